"""Sorting in comparisons and sums: each feature is compared with each other, which tells its place in the order.

A program has no whole numbers of its own: the index of a feature is a number as any other, and has no gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor

from steploom.errors import UnsupportedOperation

__all__ = ["argmax", "argmin", "kthvalue", "max_along", "median", "min_along", "sort", "topk"]

MOST_SORTED = 256  # beyond that the table of comparisons is too large


def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """As `torch.argmax`: the first of the largest."""
    return max_along(x, _axis(dim), keepdim)[1]


def argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """As `torch.argmin`: the first of the smallest."""
    return max_along(-x, _axis(dim), keepdim)[1]


def max_along(x: Tensor, dim: int | None = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """As `torch.max` along an axis: the largest, of which the first has the gradient, and its index."""
    dim = _axis(dim)
    moved = x.movedim(dim, -1)
    n = moved.shape[-1]
    numbers = torch.arange(n, dtype=x.dtype)
    largest = moved.detach().amax(-1, keepdim=True)
    first = torch.where(moved == largest, numbers, float(n)).amin(-1, keepdim=True)
    value = torch.where(numbers == first, moved, 0.0).sum(-1, keepdim=True)
    value, index = value.movedim(-1, dim), first.to(torch.int64).movedim(-1, dim)
    return (value, index) if keepdim else (value.squeeze(dim), index.squeeze(dim))


def min_along(x: Tensor, dim: int | None = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """As `torch.min` along an axis."""
    largest, index = max_along(-x, dim, keepdim)
    return -largest, index


def sort(x: Tensor, dim: int = -1, descending: bool = False, *, stable: bool | None = True) -> tuple[Tensor, Tensor]:
    """As `torch.sort`; equal numbers keep their order."""
    return _in_order(x, dim, range(x.shape[dim]), descending)


def topk(x: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """As `torch.topk`, sorted in any case."""
    return _in_order(x, dim, range(k), largest)


def kthvalue(x: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """As `torch.kthvalue`: the k-th smallest, counted from 1."""
    value, index = _in_order(x, dim, range(k - 1, k), descending=False)
    return (value, index) if keepdim else (value.squeeze(dim), index.squeeze(dim))


def median(x: Tensor, dim: int | None = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """As `torch.median` along an axis: of two in the middle the smaller."""
    dim = _axis(dim)
    return kthvalue(x, (x.shape[dim] + 1) // 2, dim, keepdim)


def _in_order(x: Tensor, dim: int, places: range, descending: bool) -> tuple[Tensor, Tensor]:
    """What stands at some places of the order along an axis, and its index."""
    moved = x.movedim(dim, -1)
    n = moved.shape[-1]
    if n > MOST_SORTED:
        raise UnsupportedOperation(f"it compares {n} features with each other")
    one, other = moved.unsqueeze(-1), moved.unsqueeze(-2)
    numbers = torch.arange(n, dtype=x.dtype)
    ahead = other > one if descending else other < one
    ahead = ahead | ((other == one) & (numbers < numbers.unsqueeze(-1)))
    rank = ahead.to(x.dtype).sum(-1)
    wanted = torch.arange(places.start, places.stop, dtype=x.dtype).unsqueeze(-1)
    found = rank.unsqueeze(-2) == wanted  # (..., places, n)
    # Not a product: what is infinite elsewhere must not count.
    value = torch.where(found, other, 0.0).sum(-1)
    index = torch.where(found, numbers, 0.0).sum(-1).to(torch.int64)
    return value.movedim(-1, dim), index.movedim(-1, dim)


def _axis(dim: int | None) -> int:
    if dim is None:
        raise UnsupportedOperation("it mixes the rows of the batch")
    return dim
