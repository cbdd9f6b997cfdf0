"""Angles and hyperbolic functions, in primitives; see `elementwise.py`."""

from __future__ import annotations

import math
from collections.abc import Callable

from steploom.program.program import Argument
from steploom.program.rules import Emitter

__all__ = ["TRIGONOMETRY"]


def _tan(e: Emitter, a: Argument) -> Argument:
    return e("div", e("sin", a), e("cos", a))


def _asin(e: Emitter, a: Argument) -> Argument:
    return e("atan", e("div", a, e("sqrt", e("mul", e("sub", 1.0, a), e("add", a, 1.0)))))


def _acos(e: Emitter, a: Argument) -> Argument:
    return e("sub", math.pi / 2, _asin(e, a))


def _negative(e: Emitter, a: Argument) -> Argument:
    if isinstance(a, float):
        return float(math.copysign(1.0, a) < 0)
    return e("where", e("eq", a, 0.0), e("lt", e("reciprocal", a), 0.0), e("lt", a, 0.0))


def _atan2(e: Emitter, y: Argument, x: Argument) -> Argument:
    """The angle of (x, y), from whichever of y / x and x / y is at most 1; -0 counts as less than 0."""
    steep, backwards = e("gt", e("abs", y), e("abs", x)), _negative(e, x)
    above, below = e("where", steep, x, y), e("where", steep, y, x)
    nowhere = e("eq", below, 0.0)
    # Where both are 0, there is no gradient.
    angle = e("atan", e("div", e("where", nowhere, 0.0, above), e("where", nowhere, 1.0, below)))
    half = e("where", _negative(e, y), -math.pi, math.pi)
    flat = e("where", backwards, e("add", angle, half), angle)
    return e("where", steep, e("sub", e("mul", half, 0.5), angle), flat)


def _angle(e: Emitter, a: Argument) -> Argument:
    """Of a real number: π where it is below 0."""
    return e("where", e("ne", a, a), a, e("mul", e("lt", a, 0.0), math.pi))


def _sinh(e: Emitter, a: Argument) -> Argument:
    return e("mul", e("sub", e("expm1", a), e("expm1", e("neg", a))), 0.5)


def _cosh(e: Emitter, a: Argument) -> Argument:
    return e("mul", e("add", e("exp", a), e("exp", e("neg", a))), 0.5)


def _odd(positive: Callable[[Emitter, Argument], Argument]) -> Callable[[Emitter, Argument], Argument]:
    """An odd function of which the form for positive numbers loses no digits; unlike |a|, it has a derivative at 0."""

    def function(e: Emitter, a: Argument) -> Argument:
        negative = e("lt", a, 0.0)
        y = positive(e, e("where", negative, e("neg", a), a))
        return e("where", negative, e("neg", y), y)

    return function


def _asinh(e: Emitter, a: Argument) -> Argument:
    large, a, of_large = _large(e, a)
    square = e("square", a)
    rest = e("div", square, e("add", e("sqrt", e("add", square, 1.0)), 1.0))
    return e("where", large, of_large, e("log1p", e("add", a, rest)))


def _acosh(e: Emitter, a: Argument) -> Argument:
    large, a, of_large = _large(e, a)
    beyond = e("sub", a, 1.0)
    root = e("mul", e("sqrt", beyond), e("sqrt", e("add", a, 1.0)))
    return e("where", large, of_large, e("log1p", e("add", beyond, root)))


def _large(e: Emitter, a: Argument) -> tuple[Argument, Argument, Argument]:
    """Whether a square is too large for float32, the number or 1 in its place, and log 2a, which is as good there."""
    large = e("gt", a, 1e9)
    return large, e("where", large, 1.0, a), e("add", e("log", e("where", large, a, 1.0)), math.log(2))


def _atanh(e: Emitter, a: Argument) -> Argument:
    return e("mul", e("log1p", e("div", e("mul", a, 2.0), e("sub", 1.0, a))), 0.5)


def _sinc(e: Emitter, a: Argument) -> Argument:
    zero, angle = e("eq", a, 0.0), e("mul", a, math.pi)
    return e("where", zero, 1.0, e("div", e("sin", angle), e("where", zero, 1.0, angle)))


def _hypot(e: Emitter, a: Argument, b: Argument) -> Argument:
    return e("sqrt", e("add", e("square", a), e("square", b)))


def _deg2rad(e: Emitter, a: Argument) -> Argument:
    return e("mul", a, math.pi / 180)


def _rad2deg(e: Emitter, a: Argument) -> Argument:
    return e("mul", a, 180 / math.pi)


TRIGONOMETRY: dict[str, Callable[..., Argument]] = {
    "tan": _tan,
    "asin": _asin,
    "acos": _acos,
    "angle": _angle,
    "atan2": _atan2,
    "sinh": _sinh,
    "cosh": _cosh,
    "asinh": _odd(_asinh),
    "acosh": _acosh,
    "atanh": _odd(_atanh),
    "sinc": _sinc,
    "hypot": _hypot,
    "deg2rad": _deg2rad,
    "rad2deg": _rad2deg,
}
"""By the operator's name in PyTorch; see `elementwise.ELEMENTWISE`."""
