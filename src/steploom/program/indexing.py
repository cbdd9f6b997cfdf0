"""Indices that differ from row to row.

An index out of range, for which PyTorch raises an error, makes the result not a number: a step that runs natively
cannot raise.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from steploom.errors import UnsupportedOperation
from steploom.program import picks
from steploom.program.operators import is_rows
from steploom.program.traced import is_index

__all__ = ["embedding", "gather_along", "index", "index_select", "one_hot", "scatter", "scatter_add"]

MOST_EMBEDDED = 1024  # rows of a table, beyond which the product with a row of zeros and a one is too slow


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """As `torch.nn.functional.one_hot`."""
    if num_classes < 1:
        raise UnsupportedOperation("the number of classes depends on what the step reads; give num_classes")
    return _hits(tensor, num_classes).to(torch.int64)


def gather_along(x: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """As `torch.gather`."""
    x, index = x.movedim(dim, -1), index.movedim(dim, -1)
    for axis, size in enumerate(index.shape[:-1]):
        x = x.narrow(axis, 0, size)
    return picks.take(x, index).movedim(-1, dim)


def scatter(x: Tensor, dim: int, index: Tensor, src: Tensor | float, *, reduce: str | None = None) -> Tensor:
    """As `torch.scatter`; of what is written twice, the last stays."""
    if reduce is not None:
        raise UnsupportedOperation(f"it is called with reduce={reduce!r}")
    x, index = _targets(x, dim, index)
    n = x.shape[-1]
    ones = index.to(x.dtype) * 0 + 1
    values = picks.put(index, _sources(src, dim, index), n, last=True) if isinstance(src, Tensor) else src
    written = torch.where(picks.put(index, ones, n) > 0, values, x)
    return _all_within(index, n, written).movedim(-1, dim)


def scatter_add(x: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """As `torch.scatter_add`."""
    x, index = _targets(x, dim, index)
    n = x.shape[-1]
    return _all_within(index, n, x + picks.put(index, _sources(src, dim, index), n)).movedim(-1, dim)


def embedding(
    weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Tensor:
    """As `torch.nn.functional.embedding`: the product with a row of zeros and a one."""
    count = weight.shape[0]
    if count > MOST_EMBEDDED or scale_grad_by_freq:
        raise UnsupportedOperation(f"it looks rows up in a table of {count}" + " by frequency" * scale_grad_by_freq)
    found = _hits(indices, count).to(weight.dtype) @ weight
    if padding_idx >= 0:
        found = torch.where((indices == padding_idx).unsqueeze(-1), found.detach(), found)
    return _within(indices.unsqueeze(-1), count, found)


def index(x: Tensor, indices: list[Tensor | None]) -> Any:
    """Rows of a parameter by an index, `codebook[nearest]`; NotImplemented where all indices are fixed, or masks."""
    first = indices[0]
    if not any(is_rows(item) for item in indices) or (first is not None and first.dtype == torch.bool):
        return NotImplemented
    if is_rows(x) or len(indices) != 1 or first is None:
        raise UnsupportedOperation("which features it takes differs from row to row; use torch.gather")
    wrapped = first if is_index(first, x.shape[0]) else torch.where(first < 0, first + x.shape[0], first)
    return embedding(x.flatten(1), wrapped).reshape(*first.shape, *x.shape[1:])


def index_select(x: Tensor, dim: int, indices: Tensor) -> Any:
    """As `torch.index_select`, of rows of a parameter; NotImplemented where the indices are fixed."""
    if is_rows(indices) and dim % x.dim():
        raise UnsupportedOperation("which features it takes differs from row to row; use torch.gather")
    return index(x, [indices])


def _hits(index: Tensor, count: int) -> Tensor:
    """(..., count): whether the index is that number."""
    return index.unsqueeze(-1) == torch.arange(count)


def _targets(x: Tensor, dim: int, index: Tensor) -> tuple[Tensor, Tensor]:
    x, index = x.movedim(dim, -1), index.movedim(dim, -1)
    if x.shape[:-1] != index.shape[:-1]:
        raise UnsupportedOperation("its index has other sizes than what it is written into")
    return x, index


def _sources(src: Tensor, dim: int, index: Tensor) -> Tensor:
    """What is put, one number for each index."""
    return src.movedim(dim, -1).narrow(-1, 0, index.shape[-1])


def _within(index: Tensor, count: int, result: Tensor) -> Tensor:
    return result if is_index(index, count) else torch.where((index >= 0) & (index < count), result, torch.nan)


def _all_within(index: Tensor, count: int, result: Tensor) -> Tensor:
    if is_index(index, count):
        return result
    return torch.where(((index >= 0) & (index < count)).all(-1, keepdim=True), result, torch.nan)
