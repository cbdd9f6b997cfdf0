"""The derivative of each primitive.

`i` is the instruction y = op(a, b, c) and `g` the gradient of y; a rule tells `e` what to write, and gives the gradient
of each argument, None where it is zero. Ties follow PyTorch: `maximum` gives half of the gradient to either side, `max`
shares it evenly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

from steploom.program.program import Argument, Instruction, Order

__all__ = ["Attribute", "Emitter", "Gradients", "Rule"]

Gradients = Sequence[Argument | None]
Attribute = int | float | Order


class Emitter(Protocol):
    """What writes an instruction and gives its result; it may simplify, as adding 0."""

    def __call__(self, op: str, *args: Argument, **attrs: Attribute) -> Argument: ...


Rule = Callable[[Emitter, Instruction, Argument], Gradients]


def no_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """Comparisons, what is constant between jumps, and what was detached."""
    return [None] * len(i.args)


def neg_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = -a."""
    return [e("neg", g)]


def abs_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = |a|."""
    return [e("mul", g, e("sign", i.args[0]))]


def exp_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = exp(a)."""
    return [e("mul", g, i.out)]


def log_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = log(a)."""
    return [e("div", g, i.args[0])]


def sqrt_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = √a. 0 where y is 0, as PyTorch has it for norms and standard deviations."""
    return [e("where", e("ne", i.out, 0.0), e("div", g, e("mul", i.out, 2.0)), 0.0)]


def rsqrt_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = 1 / √a."""
    return [e("mul", e("mul", g, -0.5), e("mul", e("square", i.out), i.out))]


def reciprocal_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = 1 / a."""
    return [e("neg", e("mul", g, e("square", i.out)))]


def sigmoid_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = σ(a)."""
    return [e("sigmoid_grad", g, i.out)]


def tanh_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = tanh(a)."""
    return [e("tanh_grad", g, i.out)]


def relu_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = max(a, 0)."""
    return [e("relu_grad", g, i.out)]


def softplus_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = log(1 + exp(a))."""
    return [e("mul", g, e("sigmoid", i.args[0]))]


def sin_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = sin(a)."""
    return [e("mul", g, e("cos", i.args[0]))]


def cos_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = cos(a)."""
    return [e("neg", e("mul", g, e("sin", i.args[0])))]


def erf_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = erf(a)."""
    bell = e("exp", e("neg", e("square", i.args[0])))
    return [e("mul", g, e("mul", bell, 2 / math.sqrt(math.pi)))]


def atan_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = arctan(a)."""
    return [e("div", g, e("add", e("square", i.args[0]), 1.0))]


def log1p_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = log(1 + a)."""
    return [e("div", g, e("add", i.args[0], 1.0))]


def expm1_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = exp(a) - 1."""
    return [e("mul", g, e("add", i.out, 1.0))]


def square_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = a²."""
    return [e("mul", e("mul", g, 2.0), i.args[0])]


def add_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = a + b."""
    return [g, g]


def sub_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = a - b."""
    return [g, e("neg", g)]


def mul_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = a b."""
    a, b = i.args
    return [e("mul", g, b), e("mul", g, a)]


def div_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = a / b."""
    b = i.args[1]
    share = e("div", g, b)
    return [share, e("neg", e("mul", share, i.out))]


def extreme_gradient(strict: str, weak: str) -> Rule:
    """The larger or the smaller of two: the comparisons under which a is the one."""

    def rule(e: Emitter, i: Instruction, g: Argument) -> Gradients:
        a, b = i.args
        left = e("mul", g, e("mul", e("add", e(strict, a, b), e(weak, a, b)), 0.5))
        return [left, e("sub", g, left)]

    return rule


def pow_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = a to the power of a number."""
    base, exponent = i.args
    assert isinstance(exponent, float)
    return [e("mul", g, e("mul", e("pow", base, exponent - 1.0), exponent)), None]


def where_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = a where the mask is not 0, else b."""
    mask = i.args[0]
    return [None, e("where", mask, g, 0.0), e("where", mask, 0.0, g)]


def fma_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = a b + c."""
    a, b, _ = i.args
    return [e("mul", g, b), e("mul", g, a), g]


def submul_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = (a - b) c."""
    a, b, c = i.args
    share = e("mul", g, c)
    return [share, e("neg", share), e("mul", g, e("sub", a, b))]


def sum_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = the sum of each group of neighbours."""
    return [e("expand", g, width=_width(i.args[0]))]


def max_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = the largest of each group of neighbours. With `first`, the first of those that are equal has the gradient."""
    a, width = i.args[0], _width(i.args[0])
    mask = e("eq", a, e("expand", i.out, width=width))
    if i.attrs.get("first"):
        return [e("mul", _first(e, mask, width // i.out.width), e("expand", g, width=width))]
    count = e("sum", mask, groups=i.out.width)
    return [e("mul", mask, e("expand", e("div", g, count), width=width))]


def _first(e: Emitter, mask: Argument, size: int) -> Argument:
    """Of a mask, what has nothing before it in its group of `size` neighbours."""

    def shifted(value: Argument, by: int) -> Argument:
        order = tuple(column - by if column % size >= by else -1 for column in range(_width(value)))
        return e("gather", value, order=order)

    before, seen = shifted(mask, 1), 1
    while seen < size - 1:
        before = e("maximum", before, shifted(before, seen))
        seen *= 2
    return e("where", before, 0.0, mask)


def dot_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = the sum of the products of two in each group of neighbours."""
    a, b = i.args
    spread = e("expand", g, width=_width(a))
    return [e("mul", spread, b), e("mul", spread, a)]


def moments_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = the mean μ of each of the groups of n neighbours, then the r = 1 / √(σ² + ε) of each of them.

    ∂μ/∂a = 1/n and ∂r/∂a = -r² â / n, with â = (a - μ) r.
    """
    a, groups = i.args[0], int(i.attrs["groups"])
    width = _width(a)
    n = width // groups
    inverse = e("slice", i.out, start=groups, stop=2 * groups)
    of_mean = e("mul", e("slice", g, start=0, stop=groups), 1 / n)
    of_inverse = e("mul", e("mul", e("slice", g, start=groups, stop=2 * groups), -1 / n), e("square", inverse))
    standard = e("standardize", a, i.out, **i.attrs)
    return [e("add", e("expand", of_mean, width=width), e("mul", e("expand", of_inverse, width=width), standard))]


def standardize_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = (a - μ) r, with the moments μ and r of a; the gradient by way of both is part of that of a:
    r (g - mean(g) - y mean(g y))."""
    return [e("standardize_grad", g, i.out, i.args[1], groups=i.attrs["groups"]), None]


def expand_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = each column repeated."""
    return [e("sum", g, groups=_width(i.args[0]))]


def _width(argument: Argument) -> int:
    assert not isinstance(argument, float)
    return argument.width
