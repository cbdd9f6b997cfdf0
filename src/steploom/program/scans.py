"""Products and sums over an axis, whole or up to each place, in few instructions of full width."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from steploom.errors import UnsupportedOperation

__all__ = ["cumprod", "cumsum", "prod"]


def prod(x: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Tensor:
    """As `torch.prod` along an axis: one half is multiplied with the other, until one number is left."""
    if dim is None:
        raise UnsupportedOperation("it mixes the rows of the batch")
    moved = _floating(x, dtype).movedim(dim, -1)
    while (n := moved.shape[-1]) > 1:
        half = n // 2
        pairs = moved[..., :half] * moved[..., half : 2 * half]
        moved = torch.cat([pairs, moved[..., -1:]], -1) if n % 2 else pairs
    result = moved.movedim(-1, dim)
    return result if keepdim else result.squeeze(dim)


def cumprod(x: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Tensor:
    """As `torch.cumprod`: each with the one before it, then with the product two before, four, and so on (Hillis &
    Steele 1986)."""
    moved = _floating(x, dtype).movedim(dim, -1)
    distance = 1
    while distance < moved.shape[-1]:
        moved = moved * F.pad(moved[..., :-distance], (distance, 0), value=1.0)
        distance *= 2
    return moved.movedim(-1, dim)


def cumsum(x: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Tensor:
    """As `torch.cumsum`: the product with a triangle of ones."""
    moved = _floating(x, dtype).movedim(dim, -1)
    n = moved.shape[-1]
    return (moved @ torch.ones(n, n, dtype=moved.dtype).triu()).movedim(-1, dim)


def _floating(x: Tensor, dtype: torch.dtype | None) -> Tensor:
    x = x if dtype is None else x.to(dtype)
    if not x.is_floating_point():
        raise UnsupportedOperation("it is of whole numbers or truth values; write mask.to(h.dtype)")
    return x
