"""Division and rounding to whole numbers, in primitives.

What is left of a division is computed from the rounded quotient. Where that rounds up to a whole number, as 1 / 0.1
does, the rest is 0, while PyTorch's is nearly the divisor: both are right to within a rounding, on two sides of a jump.
"""

from __future__ import annotations

from collections.abc import Callable

from steploom.errors import UnsupportedOperation
from steploom.program.program import Argument
from steploom.program.rules import Emitter

__all__ = ["ROUNDING"]


def _div(e: Emitter, a: Argument, b: Argument, rounding_mode: str | None = None) -> Argument:
    if rounding_mode is None:
        return e("div", a, b)
    return e("floor", e("div", a, b)) if rounding_mode == "floor" else _trunc(e, e("div", a, b))


def _floor_divide(e: Emitter, a: Argument, b: Argument) -> Argument:
    return _div(e, a, b, "floor")


def _remainder(e: Emitter, a: Argument, b: Argument) -> Argument:
    return e("sub", a, e("mul", _div(e, a, b, "floor"), b))


def _fmod(e: Emitter, a: Argument, b: Argument) -> Argument:
    return e("sub", a, e("mul", _div(e, a, b, "trunc"), b))


def _ceil(e: Emitter, a: Argument) -> Argument:
    return e("neg", e("floor", e("neg", a)))


def _trunc(e: Emitter, a: Argument) -> Argument:
    return e("where", e("lt", a, 0.0), _ceil(e, a), e("floor", a))


def _frac(e: Emitter, a: Argument) -> Argument:
    return e("sub", a, _trunc(e, a))


def _round(e: Emitter, a: Argument, decimals: float = 0.0) -> Argument:
    if decimals:
        raise UnsupportedOperation(f"round with decimals={decimals:g}")
    below = e("floor", a)
    middle, half = e("add", below, 0.5), e("mul", below, 0.5)
    # Halves go to the even neighbour.
    odd_half = e("mul", e("eq", a, middle), e("ne", e("floor", half), half))
    return e("add", below, e("maximum", e("gt", a, middle), odd_half))


ROUNDING: dict[str, Callable[..., Argument]] = {
    "div": _div,
    "floor_divide": _floor_divide,
    "ceil": _ceil,
    "trunc": _trunc,
    "frac": _frac,
    "round": _round,
    "remainder": _remainder,
    "fmod": _fmod,
}
"""By the operator's name in PyTorch; see `elementwise.ELEMENTWISE`."""
