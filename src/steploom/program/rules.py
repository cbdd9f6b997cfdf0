"""The derivative of each primitive.

`i` is the instruction y = op(a, b, c) and `g` the gradient of y; a rule tells `e` what to write, and gives the gradient
of each argument, None where it is zero. Ties follow PyTorch: `maximum` gives half of the gradient to either side, `max`
shares it evenly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

from steploom.program.program import Argument, Instruction

__all__ = ["Emitter", "Gradients", "Number", "Rule"]

Gradients = Sequence[Argument | None]
Number = int | float


class Emitter(Protocol):
    """What writes an instruction and gives its result; it may simplify, as adding 0."""

    def __call__(self, op: str, *args: Argument, **attrs: Number) -> Argument: ...


Rule = Callable[[Emitter, Instruction, Argument], Gradients]


def no_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [None] * len(i.args)


def neg_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("neg", g)]


def abs_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("mul", g, e("sign", i.args[0]))]


def exp_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("mul", g, i.out)]


def log_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("div", g, i.args[0])]


def sqrt_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("div", g, e("mul", i.out, 2.0))]


def rsqrt_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("mul", e("mul", g, -0.5), e("mul", e("square", i.out), i.out))]


def reciprocal_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("neg", e("mul", g, e("square", i.out)))]


def sigmoid_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("sigmoid_grad", g, i.out)]


def tanh_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("tanh_grad", g, i.out)]


def relu_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("relu_grad", g, i.out)]


def softplus_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("mul", g, e("sigmoid", i.args[0]))]


def sin_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("mul", g, e("cos", i.args[0]))]


def cos_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("neg", e("mul", g, e("sin", i.args[0])))]


def erf_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    bell = e("exp", e("neg", e("square", i.args[0])))
    return [e("mul", g, e("mul", bell, 2 / math.sqrt(math.pi)))]


def log1p_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("div", g, e("add", i.args[0], 1.0))]


def expm1_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("mul", g, e("add", i.out, 1.0))]


def square_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("mul", g, e("mul", i.args[0], 2.0))]


def add_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [g, g]


def sub_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [g, e("neg", g)]


def mul_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    a, b = i.args
    return [e("mul", g, b), e("mul", g, a)]


def div_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    b = i.args[1]
    share = e("div", g, b)
    return [share, e("neg", e("mul", share, i.out))]


def extreme_gradient(strict: str, weak: str) -> Rule:
    """The derivative of the larger or the smaller of two."""

    def rule(e: Emitter, i: Instruction, g: Argument) -> Gradients:
        a, b = i.args
        left = e("mul", g, e("mul", e("add", e(strict, a, b), e(weak, a, b)), 0.5))
        return [left, e("sub", g, left)]

    return rule


def pow_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    base, exponent = i.args
    assert isinstance(exponent, float)
    return [e("mul", g, e("mul", e("pow", base, exponent - 1.0), exponent)), None]


def where_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    mask = i.args[0]
    return [None, e("where", mask, g, 0.0), e("where", mask, 0.0, g)]


def fma_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    a, b, _ = i.args
    return [e("mul", g, b), e("mul", g, a), g]


def sum_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("expand", g, width=_width(i.args[0]))]


def max_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    a, width = i.args[0], _width(i.args[0])
    mask = e("eq", a, e("expand", i.out, width=width))
    count = e("sum", mask, groups=i.out.width)
    return [e("mul", mask, e("expand", e("div", g, count), width=width))]


def expand_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("sum", g, groups=_width(i.args[0]))]


def _width(argument: Argument) -> int:
    assert not isinstance(argument, float)
    return argument.width
