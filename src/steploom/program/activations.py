"""PyTorch's activations, in primitives; see `elementwise.py`."""

from __future__ import annotations

import math
from collections.abc import Callable

from steploom.errors import UnsupportedOperation
from steploom.program.program import Argument
from steploom.program.rules import Emitter

__all__ = ["ACTIVATIONS"]


def _hardtanh(e: Emitter, a: Argument, low: float = -1.0, high: float = 1.0) -> Argument:
    return e("where", e("le", a, low), low, e("where", e("ge", a, high), high, a))


def _hardsigmoid(e: Emitter, a: Argument) -> Argument:
    """PyTorch's slope is 1/6 as float32 has it, in float64 too, while the values are exact: so is ours, since steps are
    compared with cells in float64."""
    slope = 0.1666666716337204
    within = _hardtanh(e, a, -3.0, 3.0)
    exact = e("add", e("mul", e("detach", within), 1 / 6 - slope), 0.5)
    return e("add", e("mul", within, slope), exact)


def _hardswish(e: Emitter, a: Argument) -> Argument:
    return e("mul", a, _hardtanh(e, e("add", e("mul", a, 1 / 6), 0.5), 0.0, 1.0))


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


ACTIVATIONS: dict[str, Callable[..., Argument]] = {
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
}
"""By the operator's name in PyTorch; see `elementwise.ELEMENTWISE`."""
