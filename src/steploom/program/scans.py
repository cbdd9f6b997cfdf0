"""Products, sums and maxima over an axis, whole or up to each place, in few instructions of full width."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from steploom.program.casts import is_inexact
from steploom.program.ordering import axis_of
from steploom.program.picks import as_index

__all__ = ["cummax", "cummin", "cumprod", "cumsum", "logcumsumexp", "prod"]


def prod(x: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Tensor:
    """As `torch.prod` along an axis: one half is multiplied with the other, until one number is left."""
    dim = axis_of(dim)
    moved = _counted(x, dtype).movedim(dim, -1)
    while (n := moved.shape[-1]) > 1:
        half = n // 2
        pairs = moved[..., :half] * moved[..., half : 2 * half]
        moved = torch.cat([pairs, moved[..., -1:]], -1) if n % 2 else pairs
    result = moved.movedim(-1, dim)
    return result if keepdim else result.squeeze(dim)


def cumprod(x: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Tensor:
    """As `torch.cumprod`."""
    return _scan(_counted(x, dtype), dim, torch.mul, 1.0)


def cumsum(x: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Tensor:
    """As `torch.cumsum`."""
    return _scan(_counted(x, dtype), dim, torch.add, 0.0)


def logcumsumexp(x: Tensor, dim: int) -> Tensor:
    """As `torch.logcumsumexp`."""
    return _scan(x, dim, torch.logaddexp, -torch.inf)


def cummax(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """As `torch.cummax`: of equal ones the last, and from where one is none on no number."""
    largest = (x if x.is_floating_point() else x.to(torch.float64)).movedim(dim, -1)
    n = largest.shape[-1]
    index = torch.arange(n, dtype=largest.dtype) + torch.zeros_like(largest.detach())
    distance = 1
    while distance < n:
        before = F.pad(largest[..., :-distance], (distance, 0), value=-torch.inf)
        stays = (largest >= before) | largest.isnan()
        index = torch.where(stays, index, F.pad(index[..., :-distance], (distance, 0)))
        largest = torch.where(stays, largest, before)
        distance *= 2
    return largest.movedim(-1, dim).to(x.dtype), as_index(index, n).movedim(-1, dim)


def cummin(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """As `torch.cummin`."""
    largest, index = cummax(-x, dim)
    return -largest, index


def _scan(x: Tensor, dim: int, function: Callable[[Tensor, Tensor], Tensor], nothing: float) -> Tensor:
    """Each number with the one before it, then with what the two before that gave, the four, and so on (Hillis & Steele
    1986)."""
    moved = x.movedim(dim, -1)
    distance = 1
    while distance < moved.shape[-1]:
        moved = function(moved, F.pad(moved[..., :-distance], (distance, 0), value=nothing))
        distance *= 2
    return moved.movedim(-1, dim)


def _counted(x: Tensor, dtype: torch.dtype | None) -> Tensor:
    """What is summed or multiplied: truth values as whole numbers."""
    dtype = torch.int64 if dtype is None and not is_inexact(x) else dtype
    return x if dtype is None else x.to(dtype)
