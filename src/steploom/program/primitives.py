"""The table of primitives: what the instructions of a program are.

A row has the name (the native core's opcode has the same), the number of arguments, the meaning as a function of
tensors, and the rule of the derivative. `a`, `b`, `c` are the arguments, `y` the result and `g` the gradient of the
result; a rule is told the emitter `e`, the instruction and `g`, and gives the gradient of each argument (None: zero).
Ties follow PyTorch: `maximum` gives half of the gradient to either side, `max` shares it evenly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from steploom.program.program import Argument, Instruction

__all__ = ["PRIMITIVES", "Emitter", "Primitive", "is_elementwise", "width_of"]

Gradients = Sequence[Argument | None]
Number = int | float


class Emitter(Protocol):
    """What writes an instruction and gives its result; it may simplify, as adding 0."""

    def __call__(self, op: str, *args: Argument, **attrs: Number) -> Argument: ...


Rule = Callable[[Emitter, Instruction, Argument], Gradients]


@dataclass(frozen=True)
class Primitive:
    """A row of the table.

    Attributes:
        arity: number of arguments; None for any number.
        meaning: from the arguments (tensors and floats) and the attributes to the result.
        rule: the derivative.
        transcendental: dear enough to be saved for the backward pass rather than done again.
    """

    arity: int | None
    meaning: Callable[..., Tensor]
    rule: Rule
    transcendental: bool = False


def _no_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [None] * len(i.args)


def _neg(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("neg", g)]


def _abs(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("mul", g, e("sign", i.args[0]))]


def _exp(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("mul", g, i.out)]


def _log(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("div", g, i.args[0])]


def _sqrt(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("div", g, e("mul", i.out, 2.0))]


def _rsqrt(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("mul", e("mul", g, -0.5), e("mul", e("square", i.out), i.out))]


def _reciprocal(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("neg", e("mul", g, e("square", i.out)))]


def _sigmoid(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("sigmoid_grad", g, i.out)]


def _tanh(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("tanh_grad", g, i.out)]


def _relu(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("relu_grad", g, i.out)]


def _softplus(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("mul", g, e("sigmoid", i.args[0]))]


def _sin(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("mul", g, e("cos", i.args[0]))]


def _cos(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("neg", e("mul", g, e("sin", i.args[0])))]


def _erf(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    bell = e("exp", e("neg", e("square", i.args[0])))
    return [e("mul", g, e("mul", bell, 2 / math.sqrt(math.pi)))]


def _log1p(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("div", g, e("add", i.args[0], 1.0))]


def _expm1(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("mul", g, e("add", i.out, 1.0))]


def _square(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("mul", g, e("mul", i.args[0], 2.0))]


def _add(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [g, g]


def _sub(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [g, e("neg", g)]


def _mul(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    a, b = i.args
    return [e("mul", g, b), e("mul", g, a)]


def _div(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    b = i.args[1]
    share = e("div", g, b)
    return [share, e("neg", e("mul", share, i.out))]


def _extreme(strict: str, weak: str) -> Rule:
    """The derivative of the larger or the smaller of two."""

    def rule(e: Emitter, i: Instruction, g: Argument) -> Gradients:
        a, b = i.args
        left = e("mul", g, e("mul", e("add", e(strict, a, b), e(weak, a, b)), 0.5))
        return [left, e("sub", g, left)]

    return rule


def _pow(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    base, exponent = i.args
    assert isinstance(exponent, float)
    return [e("mul", g, e("mul", e("pow", base, exponent - 1.0), exponent)), None]


def _where(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    mask = i.args[0]
    return [None, e("where", mask, g, 0.0), e("where", mask, 0.0, g)]


def _fma(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    a, b, _ = i.args
    return [e("mul", g, b), e("mul", g, a), g]


def _sum(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("expand", g, width=_width(i.args[0]))]


def _max(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    a, width = i.args[0], _width(i.args[0])
    mask = e("eq", a, e("expand", i.out, width=width))
    count = e("sum", mask, groups=i.out.width)
    return [e("mul", mask, e("expand", e("div", g, count), width=width))]


def _expand(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    return [e("sum", g, groups=_width(i.args[0]))]


def _width(argument: Argument) -> int:
    assert not isinstance(argument, float)
    return argument.width


def _compare(function: Callable[[Tensor, Tensor | float], Tensor]) -> Callable[..., Tensor]:
    """A comparison that gives 1 and 0 in the dtype of what is compared."""

    def meaning(a: Tensor | float, b: Tensor | float) -> Tensor:
        like = a if isinstance(a, Tensor) else b
        assert isinstance(like, Tensor)
        first = a if isinstance(a, Tensor) else torch.full_like(like, a)
        return function(first, b).to(like.dtype)

    return meaning


def _either(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """A function of two tensors for floats on either side."""

    def meaning(a: Tensor | float, b: Tensor | float) -> Tensor:
        like = a if isinstance(a, Tensor) else b
        assert isinstance(like, Tensor)
        return function(
            a if isinstance(a, Tensor) else torch.full_like(like, a),
            b if isinstance(b, Tensor) else torch.full_like(like, b),
        )

    return meaning


def _choose(mask: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
    like = mask
    first = a if isinstance(a, Tensor) else torch.as_tensor(a, dtype=like.dtype, device=like.device)
    second = b if isinstance(b, Tensor) else torch.as_tensor(b, dtype=like.dtype, device=like.device)
    return torch.where(mask != 0, first, second)


def _soft_plus(a: Tensor) -> Tensor:
    return torch.logaddexp(a, torch.zeros_like(a))


def _sum_groups(a: Tensor, *, groups: int) -> Tensor:
    return a.reshape(*a.shape[:-1], groups, -1).sum(-1)


def _max_groups(a: Tensor, *, groups: int) -> Tensor:
    return a.reshape(*a.shape[:-1], groups, -1).amax(-1)


def _repeat_columns(a: Tensor, *, width: int) -> Tensor:
    return a.unsqueeze(-1).expand(*a.shape, width // a.shape[-1]).reshape(*a.shape[:-1], width)


PRIMITIVES: dict[str, Primitive] = {
    "neg": Primitive(1, torch.neg, _neg),
    "abs": Primitive(1, torch.abs, _abs),
    "sign": Primitive(1, torch.sign, _no_gradient),
    "floor": Primitive(1, torch.floor, _no_gradient),
    "exp": Primitive(1, torch.exp, _exp, transcendental=True),
    "log": Primitive(1, torch.log, _log, transcendental=True),
    "sqrt": Primitive(1, torch.sqrt, _sqrt, transcendental=True),
    "rsqrt": Primitive(1, torch.rsqrt, _rsqrt, transcendental=True),
    "reciprocal": Primitive(1, torch.reciprocal, _reciprocal, transcendental=True),
    "sigmoid": Primitive(1, torch.sigmoid, _sigmoid, transcendental=True),
    "tanh": Primitive(1, torch.tanh, _tanh, transcendental=True),
    "relu": Primitive(1, torch.relu, _relu),
    "softplus": Primitive(1, _soft_plus, _softplus, transcendental=True),
    "sin": Primitive(1, torch.sin, _sin, transcendental=True),
    "cos": Primitive(1, torch.cos, _cos, transcendental=True),
    "erf": Primitive(1, torch.erf, _erf, transcendental=True),
    "log1p": Primitive(1, torch.log1p, _log1p, transcendental=True),
    "expm1": Primitive(1, torch.expm1, _expm1, transcendental=True),
    "square": Primitive(1, torch.square, _square),
    "add": Primitive(2, lambda a, b: a + b, _add),
    "sub": Primitive(2, lambda a, b: a - b, _sub),
    "mul": Primitive(2, lambda a, b: a * b, _mul),
    "div": Primitive(2, lambda a, b: a / b, _div, transcendental=True),
    "maximum": Primitive(2, _either(torch.maximum), _extreme("gt", "ge")),
    "minimum": Primitive(2, _either(torch.minimum), _extreme("lt", "le")),
    "pow": Primitive(2, lambda a, b: a**b, _pow, transcendental=True),
    "gt": Primitive(2, _compare(torch.gt), _no_gradient),
    "ge": Primitive(2, _compare(torch.ge), _no_gradient),
    "lt": Primitive(2, _compare(torch.lt), _no_gradient),
    "le": Primitive(2, _compare(torch.le), _no_gradient),
    "eq": Primitive(2, _compare(torch.eq), _no_gradient),
    "ne": Primitive(2, _compare(torch.ne), _no_gradient),
    "where": Primitive(3, _choose, _where),
    "fma": Primitive(3, lambda a, b, c: a * b + c, _fma),
    "sigmoid_grad": Primitive(2, lambda g, y: g * y * (1 - y), _no_gradient),
    "tanh_grad": Primitive(2, lambda g, y: g * (1 - y * y), _no_gradient),
    "relu_grad": Primitive(2, lambda g, y: g * (y > 0), _no_gradient),
    "detach": Primitive(1, lambda a: a.detach(), _no_gradient),
    "fill": Primitive(0, lambda *, width, value: torch.full((width,), value), _no_gradient),
    "product": Primitive(2, lambda a, m: a @ m.mT, _no_gradient),
    "slice": Primitive(1, lambda a, *, start, stop: a[..., start:stop], _no_gradient),
    "concat": Primitive(None, lambda *parts: torch.cat(parts, -1), _no_gradient),
    "sum": Primitive(1, _sum_groups, _sum),
    "max": Primitive(1, _max_groups, _max, transcendental=True),
    "expand": Primitive(1, _repeat_columns, _expand),
}

STRUCTURE = {"fill", "product", "slice", "concat", "sum", "max", "expand"}


def is_elementwise(op: str) -> bool:
    """Whether the primitive treats each feature by itself."""
    return op not in STRUCTURE


def width_of(op: str, args: Sequence[Argument], attrs: dict[str, Number]) -> int:
    """The width of an instruction's result: the shape rule of each primitive."""
    widths = [argument.width for argument in args if not isinstance(argument, float)]
    if op in ("fill", "expand"):
        return int(attrs["width"])
    if op == "product":
        return widths[1]
    if op == "slice":
        return int(attrs["stop"]) - int(attrs["start"])
    if op == "concat":
        return sum(widths)
    if op in ("sum", "max"):
        return int(attrs["groups"])
    return widths[0]
