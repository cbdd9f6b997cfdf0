"""Sorting and what is made of it.

A program has no whole numbers of its own: the index of a feature is a number as any other, and has no gradient.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from steploom.errors import UnsupportedOperation
from steploom.program import picks
from steploom.program.picks import as_index

__all__ = ["argmax", "argmin", "axis_of", "kthvalue", "median", "quantile", "sort", "topk"]


def axis_of(dim: int | None) -> int:
    """The axis along which something is done."""
    if dim is None:
        raise UnsupportedOperation("it mixes the rows of the batch; give it dim=-1")
    return dim


def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """As `torch.argmax`: the first of the largest."""
    dim = axis_of(dim)
    moved = x.detach().movedim(dim, -1)
    n = moved.shape[-1]
    numbers = torch.arange(n, dtype=torch.float64, device=x.device)
    largest = (moved == moved.amax(-1, keepdim=True)) | moved.isnan()
    first = torch.where(largest, numbers, float(n)).amin(-1, keepdim=True)
    index = as_index(first, n).movedim(-1, dim)
    return index if keepdim else index.squeeze(dim)


def argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """As `torch.argmin`: the first of the smallest."""
    return argmax(-x, dim, keepdim)


def sort(x: Tensor, dim: int = -1, descending: bool = False, *, stable: bool | None = True) -> tuple[Tensor, Tensor]:
    """As `torch.sort`; equal numbers keep their order."""
    return _at_places(x, dim, slice(None), descending)


def topk(x: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """As `torch.topk`, sorted in any case."""
    return _at_places(x, dim, slice(k), largest)


def kthvalue(x: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """As `torch.kthvalue`: the k-th smallest, counted from 1."""
    value, index = _at_places(x, dim, slice(k - 1, k), descending=False)
    return (value, index) if keepdim else (value.squeeze(dim), index.squeeze(dim))


def median(x: Tensor, dim: int | None = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """As `torch.median` along an axis: of two in the middle the smaller; not a number where one of them is none."""
    dim = axis_of(dim)
    value, index = kthvalue(x, (x.shape[dim] + 1) // 2, dim, keepdim)
    return torch.where(x.isnan().any(dim, keepdim), torch.nan, value), index


def quantile(
    x: Tensor, q: float | Tensor, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """As `torch.quantile` of one number `q` along an axis."""
    if isinstance(q, Tensor):
        raise UnsupportedOperation("it takes the quantile from a tensor; give it a number")
    if not 0 <= q <= 1:
        raise ValueError(f"quantile() takes q between 0 and 1, found {q:g}")
    dim = axis_of(dim)
    moved = x.movedim(dim, -1)
    # In the dtype that runs, as PyTorch does: whether it is a whole number may depend on that.
    place = float(torch.tensor(q, dtype=x.dtype) * (moved.shape[-1] - 1))
    low, high = math.floor(place), math.ceil(place)
    share = {"linear": place - low, "lower": 0.0, "higher": 1.0, "midpoint": 0.5, "nearest": round(place) - low}
    if interpolation not in share:
        raise ValueError(f"quantile() knows the interpolations {', '.join(share)}, found {interpolation!r}")
    ordered = picks.take(moved, picks.argsort(moved, descending=False)[..., low : high + 1])
    found = torch.lerp(ordered[..., :1], ordered[..., -1:], float(share[interpolation]))
    found = torch.where(moved.isnan().any(-1, keepdim=True), torch.nan, found).movedim(-1, dim)
    return found if keepdim else found.squeeze(dim)


def _at_places(x: Tensor, dim: int, places: slice, descending: bool) -> tuple[Tensor, Tensor]:
    """What stands at some places of the order along an axis, and its index."""
    moved = x.movedim(dim, -1)
    index = picks.argsort(moved, descending)[..., places]
    return picks.take(moved, index).movedim(-1, dim), as_index(index, moved.shape[-1]).movedim(-1, dim)
