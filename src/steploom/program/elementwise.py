"""PyTorch's functions that treat each feature by itself, in primitives.

Each takes what writes instructions and the operator's arguments in its own order, tensors as values and numbers as
floats. Where a derivative jumps, the form is chosen so that it jumps as PyTorch's does.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from steploom.errors import UnsupportedOperation
from steploom.program.program import Argument
from steploom.program.rounding import ROUNDING
from steploom.program.rules import Emitter

__all__ = ["ELEMENTWISE", "LOGICAL"]

Function = Callable[..., Argument]

SAME = [
    "neg", "abs", "sign", "floor", "exp", "log", "sqrt", "rsqrt", "reciprocal", "sigmoid", "tanh", "relu",
    "sin", "cos", "erf", "log1p", "expm1", "square",
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


def _hardtanh(e: Emitter, a: Argument, low: float = -1.0, high: float = 1.0) -> Argument:
    return e("where", e("le", a, low), low, e("where", e("ge", a, high), high, a))


def _hardsigmoid(e: Emitter, a: Argument) -> Argument:
    return _hardtanh(e, e("add", e("mul", a, 1 / 6), 0.5), 0.0, 1.0)


def _hardswish(e: Emitter, a: Argument) -> Argument:
    return e("mul", a, _hardsigmoid(e, a))


def _leaky_relu(e: Emitter, a: Argument, slope: Argument = 0.01) -> Argument:
    return e("where", e("gt", a, 0.0), a, e("mul", a, slope))


def _elu(e: Emitter, a: Argument, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Argument:
    above = e("gt", a, 0.0)
    # The exponential of a large number is infinite, and 0 times infinity, its part of the gradient, not a number.
    below = e("expm1", e("mul", e("where", above, 0.0, a), input_scale))
    return e("where", above, e("mul", a, scale), e("mul", below, alpha * scale))


def _celu(e: Emitter, a: Argument, alpha: float = 1.0) -> Argument:
    return _elu(e, a, alpha, 1.0, 1 / alpha)


def _gelu(e: Emitter, a: Argument, approximate: str = "none") -> Argument:
    if approximate == "tanh":
        cubic = e("add", e("mul", e("mul", e("square", a), a), 0.044715), a)
        share = e("tanh", e("mul", cubic, math.sqrt(2 / math.pi)))
    else:
        share = e("erf", e("mul", a, math.sqrt(0.5)))
    return e("mul", e("mul", a, 0.5), e("add", share, 1.0))


def _silu(e: Emitter, a: Argument) -> Argument:
    return e("mul", a, e("sigmoid", a))


def _mish(e: Emitter, a: Argument) -> Argument:
    return e("mul", a, e("tanh", e("softplus", a)))


def _softplus(e: Emitter, a: Argument, beta: float = 1.0, threshold: float = 20.0) -> Argument:
    if threshold != 20:
        raise UnsupportedOperation(f"softplus with threshold {threshold:g}")
    return e("mul", e("softplus", e("mul", a, beta)), 1 / beta)


def _log_sigmoid(e: Emitter, a: Argument) -> Argument:
    return e("neg", e("softplus", e("neg", a)))


def _threshold(e: Emitter, a: Argument, threshold: float, value: float) -> Argument:
    return e("where", e("le", a, threshold), value, a)


def _softshrink(e: Emitter, a: Argument, bound: float = 0.5) -> Argument:
    # Within the bounds a number becomes 0, and what is no number stays so.
    below = e("where", e("lt", a, -bound), e("add", a, bound), e("mul", a, 0.0))
    return e("where", e("gt", a, bound), e("sub", a, bound), below)


def _hardshrink(e: Emitter, a: Argument, bound: float = 0.5) -> Argument:
    return e("where", e("le", e("abs", a), bound), 0.0, a)


def _tan(e: Emitter, a: Argument) -> Argument:
    return e("div", e("sin", a), e("cos", a))


def _sinh(e: Emitter, a: Argument) -> Argument:
    return e("mul", e("sub", e("expm1", a), e("expm1", e("neg", a))), 0.5)


def _cosh(e: Emitter, a: Argument) -> Argument:
    return e("mul", e("add", e("exp", a), e("exp", e("neg", a))), 0.5)


def _exp2(e: Emitter, a: Argument) -> Argument:
    return e("exp", e("mul", a, math.log(2)))


def _logaddexp(e: Emitter, a: Argument, b: Argument) -> Argument:
    # Of two that are equal, infinite ones too, the difference is 0.
    apart = e("where", e("eq", a, b), 0.0, e("sub", a, b))
    return e("add", e("maximum", a, b), e("softplus", e("neg", e("abs", apart))))


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
    "hardtanh": _hardtanh,
    "hardsigmoid": _hardsigmoid,
    "hardswish": _hardswish,
    "leaky_relu": _leaky_relu,
    "_prelu_kernel": _leaky_relu,
    "elu": _elu,
    "celu": _celu,
    "gelu": _gelu,
    "silu": _silu,
    "mish": _mish,
    "softplus": _softplus,
    "log_sigmoid_forward": _log_sigmoid,
    "threshold": _threshold,
    "softshrink": _softshrink,
    "hardshrink": _hardshrink,
    "tan": _tan,
    "sinh": _sinh,
    "cosh": _cosh,
    "exp2": _exp2,
    "logaddexp": _logaddexp,
    "log2": _log2,
    "log10": _log10,
    "erfc": _erfc,
    "addcmul": _addcmul,
    "addcdiv": _addcdiv,
    "lerp": _lerp,
    "masked_fill": _masked_fill,
    "isnan": _isnan,
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
ELEMENTWISE |= LOGICAL | ROUNDING
