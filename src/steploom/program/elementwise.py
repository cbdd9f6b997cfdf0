"""PyTorch's functions that treat each feature by itself, in primitives.

Each takes what writes instructions and the operator's arguments in its own order, tensors as values and numbers as
floats. Where a derivative jumps, the form is chosen so that it jumps as PyTorch's does.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from steploom.errors import UnsupportedOperation
from steploom.program.activations import ACTIVATIONS
from steploom.program.program import Argument
from steploom.program.rounding import ROUNDING
from steploom.program.rules import Emitter
from steploom.program.trigonometry import TRIGONOMETRY

__all__ = ["ELEMENTWISE", "LOGICAL"]

Function = Callable[..., Argument]

SAME = [
    "neg", "abs", "sign", "floor", "exp", "log", "sqrt", "rsqrt", "reciprocal", "sigmoid", "tanh", "relu",
    "sin", "cos", "atan", "erf", "log1p", "expm1", "square",
    "mul", "maximum", "minimum", "gt", "ge", "lt", "le", "eq", "ne", "where", "detach",
]  # fmt: skip


def _same(op: str) -> Function:
    return lambda e, *args: e(op, *args)


def _identity(e: Emitter, a: Argument, **_: object) -> Argument:
    return a


def _add(e: Emitter, a: Argument, b: Argument, alpha: float = 1.0) -> Argument:
    return e("add", a, e("mul", b, alpha))


def _sub(e: Emitter, a: Argument, b: Argument, alpha: float = 1.0) -> Argument:
    return e("sub", a, e("mul", b, alpha))


def _rsub(e: Emitter, a: Argument, b: Argument, alpha: float = 1.0) -> Argument:
    return e("sub", b, e("mul", a, alpha))


def _pow(e: Emitter, a: Argument, b: Argument) -> Argument:
    if isinstance(a, float):
        if a <= 0:
            raise UnsupportedOperation(f"a power of the number {a:g}")
        return e("exp", e("mul", b, math.log(a)))
    if not isinstance(b, float):
        return _power(e, a, b)
    simple = {0.5: "sqrt", -0.5: "rsqrt", -1.0: "reciprocal", 2.0: "square"}
    if b in simple:
        return e(simple[b], a)
    if b == 0:
        return 1.0
    return e("mul", e("square", a), a) if b == 3 else e("pow", a, b)


def _power(e: Emitter, a: Argument, b: Argument) -> Argument:
    """a^b as sign · exp(b log |a|), which is not a number where a < 0 and b is not whole."""
    whole = e("eq", e("floor", b), b)
    half = e("mul", b, 0.5)
    odd = e("mul", whole, e("ne", e("floor", half), half))
    zero = e("eq", a, 0.0)
    base = e("where", zero, 1.0, e("where", whole, e("abs", a), a))
    power = e("exp", e("mul", b, e("log", base)))
    signed = e("where", e("mul", odd, e("lt", a, 0.0)), e("neg", power), power)
    of_zero = e("where", e("eq", b, 0.0), 1.0, e("where", e("lt", b, 0.0), math.inf, e("mul", a, e("eq", b, 1.0))))
    return e("where", zero, of_zero, signed)


def _clamp(e: Emitter, a: Argument, low: Argument | None = None, high: Argument | None = None) -> Argument:
    if low is not None:
        a = e("where", e("lt", a, low), low, a)
    return a if high is None else e("where", e("gt", a, high), high, a)


def _clamp_max(e: Emitter, a: Argument, high: Argument) -> Argument:
    return _clamp(e, a, None, high)


def _exp2(e: Emitter, a: Argument) -> Argument:
    return e("exp", e("mul", a, math.log(2)))


def _logaddexp(e: Emitter, a: Argument, b: Argument) -> Argument:
    # Of two that are equal, infinite ones too, the difference is 0.
    apart = e("where", e("eq", a, b), 0.0, e("sub", a, b))
    return e("add", e("maximum", a, b), e("softplus", e("neg", e("abs", apart))))


def _logaddexp2(e: Emitter, a: Argument, b: Argument) -> Argument:
    return e("mul", _logaddexp(e, e("mul", a, math.log(2)), e("mul", b, math.log(2))), 1 / math.log(2))


def _xlogy(e: Emitter, a: Argument, b: Argument) -> Argument:
    """a log b, and 0 where a is 0 and b has no logarithm."""
    nothing = e("mul", e("eq", a, 0.0), e("le", b, 0.0))
    return e("where", nothing, 0.0, e("mul", a, e("log", e("where", nothing, 1.0, b))))


def _logit(e: Emitter, a: Argument, eps: float | None = None) -> Argument:
    if eps is not None:
        a = _clamp(e, a, eps, 1 - eps)
    return e("log", e("div", a, e("sub", 1.0, a)))


def _log2(e: Emitter, a: Argument) -> Argument:
    return e("mul", e("log", a), 1 / math.log(2))


def _log10(e: Emitter, a: Argument) -> Argument:
    return e("mul", e("log", a), 1 / math.log(10))


def _erfc(e: Emitter, a: Argument) -> Argument:
    return e("sub", 1.0, e("erf", a))


def _addcmul(e: Emitter, a: Argument, b: Argument, c: Argument, value: float = 1.0) -> Argument:
    return e("add", a, e("mul", e("mul", b, c), value))


def _addcdiv(e: Emitter, a: Argument, b: Argument, c: Argument, value: float = 1.0) -> Argument:
    return e("add", a, e("mul", e("div", b, c), value))


def _lerp(e: Emitter, a: Argument, b: Argument, weight: Argument) -> Argument:
    return e("add", a, e("mul", weight, e("sub", b, a)))


def _masked_fill(e: Emitter, a: Argument, mask: Argument, value: Argument) -> Argument:
    return e("where", mask, value, a)


def _not(e: Emitter, a: Argument) -> Argument:
    return e("eq", a, 0.0)


def _and(e: Emitter, a: Argument, b: Argument) -> Argument:
    return e("mul", e("ne", a, 0.0), e("ne", b, 0.0))


def _or(e: Emitter, a: Argument, b: Argument) -> Argument:
    return e("maximum", e("ne", a, 0.0), e("ne", b, 0.0))


def _xor(e: Emitter, a: Argument, b: Argument) -> Argument:
    return e("ne", e("ne", a, 0.0), e("ne", b, 0.0))


def _isnan(e: Emitter, a: Argument) -> Argument:
    return e("ne", a, a)


def _fmax(e: Emitter, a: Argument, b: Argument) -> Argument:
    """The larger of two, of which one may be no number; of equal ones the first."""
    return e("where", _or(e, e("ge", a, b), e("ne", b, b)), a, b)


def _fmin(e: Emitter, a: Argument, b: Argument) -> Argument:
    return e("where", _or(e, e("le", a, b), e("ne", b, b)), a, b)


def _copysign(e: Emitter, a: Argument, b: Argument) -> Argument:
    """|a| with the sign of b, of -0 too."""
    negative = _or(e, e("lt", b, 0.0), e("lt", e("div", 1.0, b), 0.0))
    same = e("eq", negative, e("lt", a, 0.0))
    # Where a is 0, there is no gradient.
    return e("where", e("eq", a, 0.0), e("where", negative, -0.0, 0.0), e("where", same, a, e("neg", a)))


def _heaviside(e: Emitter, a: Argument, at_zero: Argument) -> Argument:
    return e("where", e("eq", a, 0.0), at_zero, e("where", e("ne", a, a), a, e("gt", a, 0.0)))


ELEMENTWISE: dict[str, Function] = {op: _same(op) for op in SAME} | {
    "clone": _identity,
    "add": _add,
    "sub": _sub,
    "rsub": _rsub,
    "pow": _pow,
    "sgn": _same("sign"),
    "clamp": _clamp,
    "clamp_min": _clamp,
    "clamp_max": _clamp_max,
    "exp2": _exp2,
    "logaddexp": _logaddexp,
    "logaddexp2": _logaddexp2,
    "xlogy": _xlogy,
    "logit": _logit,
    "log2": _log2,
    "log10": _log10,
    "erfc": _erfc,
    "addcmul": _addcmul,
    "addcdiv": _addcdiv,
    "lerp": _lerp,
    "masked_fill": _masked_fill,
    "isnan": _isnan,
    "fmax": _fmax,
    "fmin": _fmin,
    "copysign": _copysign,
    "heaviside": _heaviside,
}

# These give or take truth values; of the others, arithmetic on truth values alone is refused.
LOGICAL: dict[str, Function] = {
    "logical_not": _not,
    "bitwise_not": _not,
    "logical_and": _and,
    "bitwise_and": _and,
    "__and__": _and,
    "logical_or": _or,
    "bitwise_or": _or,
    "__or__": _or,
    "logical_xor": _xor,
    "bitwise_xor": _xor,
    "__xor__": _xor,
}
ELEMENTWISE |= LOGICAL | ACTIVATIONS | ROUNDING | TRIGONOMETRY
