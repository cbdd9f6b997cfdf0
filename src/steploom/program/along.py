"""The primitives for what differs from row to row: the order of features, and features by their index.

An index is a whole number held as any other, from 0; in each group of neighbours it counts from the first of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from steploom.program.program import Argument, Instruction
from steploom.program.rules import Emitter, Gradients

__all__ = ["argsort_columns", "put_along_columns", "put_along_gradient", "take_along_columns", "take_along_gradient"]


def argsort_columns(a: Tensor, *, groups: int, descending: int) -> Tensor:
    """In each group the indices that sort it; equal numbers keep their order, and what is no number is the largest."""
    parts = a.reshape(*a.shape[:-1], groups, -1)
    return parts.argsort(dim=-1, descending=bool(descending), stable=True).to(a.dtype).reshape(a.shape)


def take_along_columns(a: Tensor, index: Tensor, *, groups: int) -> Tensor:
    """In each group the features that an index names; not a number where there is none."""
    a, index = _of_groups(groups, a, index)
    inside = (index >= 0) & (index < a.shape[-1])
    taken = a.gather(-1, torch.where(inside, index, 0.0).long())
    return torch.where(inside, taken, torch.nan).flatten(-2)


def take_along_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y_j = a_(index_j): the gradient of a feature is the sum of those where it was taken."""
    a, index = i.args
    assert not isinstance(a, float)
    n = a.width // int(i.attrs["groups"])
    return [e("put_along", index, g, groups=i.attrs["groups"], n=n, last=0), None]


def put_along_columns(index: Tensor, values: Tensor, *, groups: int, n: int, last: int) -> Tensor:
    """Groups of `n` features, each the sum of the values whose index names it; with `last`, the last of them."""
    index, values = _of_groups(groups, index, values)
    inside = (index >= 0) & (index < n)
    places = torch.where(inside, index, float(n)).long()
    nothing = values.new_zeros(*values.shape[:-1], n + 1)
    put = nothing.scatter(-1, places, values) if last else nothing.scatter_add(-1, places, values)
    return put[..., :n].flatten(-2)


def put_along_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """The gradient of a value is that of the feature it was put to: of a value that another was put over, too, as
    PyTorch has it."""
    return [None, e("take_along", g, i.args[0], groups=i.attrs["groups"])]


def _of_groups(groups: int, *values: Tensor) -> list[Tensor]:
    """The values as (..., groups, features)."""
    rows = max((value.shape[:-1] for value in values), key=len)  # what is the same for all rows may have none
    return [value.expand(*rows, -1).reshape(*rows, groups, -1) for value in values]
