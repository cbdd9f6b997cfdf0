"""The table of primitives: what the instructions of a program are.

A row has the name (the native core's opcode has the same), the number of arguments, the meaning as a function of
tensors, and the rule of the derivative. To add a primitive is to add a row here, its rule, and its opcode; for one on
groups of features, its name in `ON_GROUPS`, its kernel in native/groups.hpp and its kind of stage, which
native/schedule_binding.hpp names; for another that runs by itself, its name in `ALONE` and a method of the
schedule (native/schedule_binding.hpp, lowering.py), as `ALONG` has for what sorts or takes an index.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from steploom.program import along, rules
from steploom.program.gathers import gather_columns, gather_gradient
from steploom.program.matrices import matmul_columns, matmul_gradient
from steploom.program.program import Argument, Instruction
from steploom.program.rules import Rule

__all__ = [
    "ALONE",
    "ALONG",
    "LEAST_SHARED",
    "NORMS",
    "ON_GROUPS",
    "PRIMITIVES",
    "REDUCTIONS",
    "Primitive",
    "is_elementwise",
    "read_whole",
    "width_of",
]


@dataclass(frozen=True)
class Primitive:
    """A row of the table.

    Attributes:
        arity: number of arguments; None for any number.
        meaning: from the arguments (tensors and floats) and the attributes to the result.
        rule: the derivative. None for what `derive` takes apart by itself, and for what occurs in backward steps alone.
        costly: costly enough to be saved for the backward pass rather than computed again.
    """

    arity: int | None
    meaning: Callable[..., Tensor]
    rule: Rule | None
    costly: bool = False


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


def _max_groups(a: Tensor, *, groups: int, first: int = 0) -> Tensor:
    if first:
        return a.reshape(*a.shape[:-1], groups, -1).max(-1).values
    return a.reshape(*a.shape[:-1], groups, -1).amax(-1)


def _repeat_columns(a: Tensor, *, width: int) -> Tensor:
    return a.unsqueeze(-1).expand(*a.shape, width // a.shape[-1]).reshape(*a.shape[:-1], width)


def _dot_groups(a: Tensor, b: Tensor, *, groups: int) -> Tensor:
    return _sum_groups(a * b, groups=groups)


def _moments(a: Tensor, *, groups: int, eps: float) -> Tensor:
    parts = a.reshape(*a.shape[:-1], groups, -1)
    variance, mean = torch.var_mean(parts, -1, correction=0)
    return torch.cat([mean, (variance + eps).rsqrt()], -1)


def _standardize(a: Tensor, moments: Tensor, *, groups: int, eps: float) -> Tensor:
    # Not from `moments`: whoever differentiates this function shall find all that `a` does.
    parts = a.reshape(*a.shape[:-1], groups, -1)
    return torch.nn.functional.layer_norm(parts, parts.shape[-1:], eps=eps).reshape(a.shape)


def _scaled_standardize_gradient(g: Tensor, scale: Tensor, y: Tensor, moments: Tensor, *, groups: int) -> Tensor:
    return _standardize_gradient(g * scale, y, moments, groups=groups)


def _standardize_gradient(g: Tensor, y: Tensor, moments: Tensor, *, groups: int) -> Tensor:
    parts, standard = (a.reshape(*a.shape[:-1], groups, -1) for a in (g, y))
    away = parts - parts.mean(-1, keepdim=True) - standard * (parts * standard).mean(-1, keepdim=True)
    return (away * moments[..., groups:].unsqueeze(-1)).reshape(g.shape)


def _root(a: Tensor) -> Tensor:
    """√a, with the derivative of norms: 0 where a is 0."""
    zero = a == 0
    return torch.where(zero, 0.0, torch.where(zero, 1.0, a).sqrt())


PRIMITIVES: dict[str, Primitive] = {
    "neg": Primitive(1, torch.neg, rules.neg_gradient),
    "abs": Primitive(1, torch.abs, rules.abs_gradient),
    "sign": Primitive(1, torch.sign, rules.no_gradient),
    "floor": Primitive(1, torch.floor, rules.no_gradient),
    "exp": Primitive(1, torch.exp, rules.exp_gradient, costly=True),
    "log": Primitive(1, torch.log, rules.log_gradient, costly=True),
    "sqrt": Primitive(1, _root, rules.sqrt_gradient, costly=True),
    "rsqrt": Primitive(1, torch.rsqrt, rules.rsqrt_gradient, costly=True),
    "reciprocal": Primitive(1, torch.reciprocal, rules.reciprocal_gradient, costly=True),
    "sigmoid": Primitive(1, torch.sigmoid, rules.sigmoid_gradient, costly=True),
    "tanh": Primitive(1, torch.tanh, rules.tanh_gradient, costly=True),
    "relu": Primitive(1, torch.relu, rules.relu_gradient),
    "softplus": Primitive(1, _soft_plus, rules.softplus_gradient, costly=True),
    "sin": Primitive(1, torch.sin, rules.sin_gradient, costly=True),
    "cos": Primitive(1, torch.cos, rules.cos_gradient, costly=True),
    "erf": Primitive(1, torch.erf, rules.erf_gradient, costly=True),
    "atan": Primitive(1, torch.atan, rules.atan_gradient, costly=True),
    "log1p": Primitive(1, torch.log1p, rules.log1p_gradient, costly=True),
    "expm1": Primitive(1, torch.expm1, rules.expm1_gradient, costly=True),
    "square": Primitive(1, torch.square, rules.square_gradient),
    "add": Primitive(2, lambda a, b: a + b, rules.add_gradient),
    "sub": Primitive(2, lambda a, b: a - b, rules.sub_gradient),
    "mul": Primitive(2, lambda a, b: a * b, rules.mul_gradient),
    "div": Primitive(2, lambda a, b: a / b, rules.div_gradient, costly=True),
    "maximum": Primitive(2, _either(torch.maximum), rules.extreme_gradient("gt", "ge")),
    "minimum": Primitive(2, _either(torch.minimum), rules.extreme_gradient("lt", "le")),
    "pow": Primitive(2, lambda a, b: a**b, rules.pow_gradient, costly=True),
    "gt": Primitive(2, _compare(torch.gt), rules.no_gradient),
    "ge": Primitive(2, _compare(torch.ge), rules.no_gradient),
    "lt": Primitive(2, _compare(torch.lt), rules.no_gradient),
    "le": Primitive(2, _compare(torch.le), rules.no_gradient),
    "eq": Primitive(2, _compare(torch.eq), rules.no_gradient),
    "ne": Primitive(2, _compare(torch.ne), rules.no_gradient),
    "where": Primitive(3, _choose, rules.where_gradient),
    "fma": Primitive(3, lambda a, b, c: a * b + c, rules.fma_gradient),
    "submul": Primitive(3, lambda a, b, c: (a - b) * c, rules.submul_gradient),
    "sigmoid_grad": Primitive(2, lambda g, y: g * y * (1 - y), None),
    "tanh_grad": Primitive(2, lambda g, y: g * (1 - y * y), None),
    "relu_grad": Primitive(2, lambda g, y: g * (y > 0), None),
    "detach": Primitive(1, lambda a: a.detach(), rules.no_gradient),
    "fill": Primitive(0, lambda *, width, value: torch.full((width,), value), rules.no_gradient),
    "product": Primitive(2, lambda a, m: a @ m.mT, None),
    "slice": Primitive(1, lambda a, *, start, stop: a[..., start:stop], None),
    "concat": Primitive(None, lambda *parts: torch.cat(parts, -1), None),
    "sum": Primitive(1, _sum_groups, rules.sum_gradient),
    "max": Primitive(1, _max_groups, rules.max_gradient),
    "dot": Primitive(2, _dot_groups, rules.dot_gradient),
    "moments": Primitive(1, _moments, rules.moments_gradient),
    "standardize": Primitive(2, _standardize, rules.standardize_gradient, costly=True),
    "standardize_grad": Primitive(3, _standardize_gradient, None),
    "scaled_standardize_grad": Primitive(4, _scaled_standardize_gradient, None),
    "expand": Primitive(1, _repeat_columns, rules.expand_gradient),
    "gather": Primitive(1, gather_columns, gather_gradient),
    "matmul": Primitive(2, matmul_columns, matmul_gradient),
    "argsort": Primitive(1, along.argsort_columns, rules.no_gradient, costly=True),
    "take_along": Primitive(2, along.take_along_columns, along.take_along_gradient, costly=True),
    "put_along": Primitive(2, along.put_along_columns, along.put_along_gradient, costly=True),
}

# So many columns must share a value for it to be read in place: passes over fewer cost more than to write it to each
# of them first.
LEAST_SHARED = 96

REDUCTIONS = {"sum", "max", "dot", "moments"}
NORMS = {"standardize", "standardize_grad", "scaled_standardize_grad"}  # their last argument are moments
ON_GROUPS = NORMS | REDUCTIONS
ALONG = {"argsort", "take_along", "put_along"}
# What the native core runs a row at a time, each instruction by itself.
ALONE = ON_GROUPS | ALONG | {"gather", "matmul"}
STRUCTURE = {"fill", "product", "slice", "concat", "expand"} | ALONE


def is_elementwise(op: str) -> bool:
    """Whether the primitive treats each feature by itself."""
    return op not in STRUCTURE


def read_whole(i: Instruction) -> tuple[Argument, ...]:
    """The arguments of an instruction that it reads otherwise than column by column."""
    return () if is_elementwise(i.op) else i.args


def width_of(op: str, args: Sequence[Argument], attrs: Mapping[str, Any]) -> int:
    """The width of an instruction's result: the shape rule of each primitive."""
    widths = [argument.width for argument in args if not isinstance(argument, float)]
    if op in ("fill", "expand"):
        return int(attrs["width"])
    if op == "product":
        return widths[1]
    if op == "slice":
        return int(attrs["stop"]) - int(attrs["start"])
    if op == "gather":
        return len(attrs["order"])
    if op == "matmul":
        return int(attrs["groups"] * attrs["n"] * attrs["m"])
    if op == "put_along":
        return int(attrs["groups"] * attrs["n"])
    if op == "take_along":
        return widths[1]
    if op == "concat":
        return sum(widths)
    if op in REDUCTIONS:
        return int(attrs["groups"]) * (2 if op == "moments" else 1)
    return widths[0]
