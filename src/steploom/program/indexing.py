"""Indices that differ from row to row.

An index out of range, for which PyTorch raises an error, makes what is taken or written not a number: a step that runs
natively cannot raise.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from steploom.errors import UnsupportedOperation
from steploom.program import picks
from steploom.program.operators import is_rows
from steploom.program.picks import as_index, is_index
from steploom.program.traced import sample_of

__all__ = [
    "bucketize",
    "count_nonzero",
    "embedding",
    "gather_along",
    "hits",
    "index",
    "index_add",
    "index_select",
    "isin",
    "one_hot",
    "scatter",
    "scatter_add",
    "scatter_reduce",
    "searchsorted",
]

DIFFERS = "what it takes differs from row to row; of features use torch.gather, of a parameter take rows by one index"
MOST_EMBEDDED = 1024  # rows of a table, beyond which the product with a row of zeros and a one is too slow


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """As `torch.nn.functional.one_hot`; all zeros for an index out of range."""
    if num_classes < 1:
        raise UnsupportedOperation("the number of classes depends on what the step reads; give it num_classes")
    return hits(tensor, num_classes).to(torch.int64)


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
    values = picks.put(index, _sources(src, dim, index), n, last=True) if isinstance(src, Tensor) else src
    is_hit = picks.put(index, torch.ones_like(index), n) > 0
    return _all_within(index, n, torch.where(is_hit, values, x)).to(x.dtype).movedim(-1, dim)


def scatter_add(x: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """As `torch.scatter_add`."""
    x, index = _targets(x, dim, index)
    n = x.shape[-1]
    return _all_within(index, n, x + picks.put(index, _sources(src, dim, index), n)).to(x.dtype).movedim(-1, dim)


def scatter_reduce(
    x: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """As `torch.scatter_reduce`, by way of what each place of the result gets from each index."""
    x, index = _targets(x, dim, index)
    n, nothing = x.shape[-1], {"sum": 0.0, "mean": 0.0, "prod": 1.0, "amax": -torch.inf, "amin": torch.inf}[reduce]
    is_hit = hits(index, n).mT
    given = torch.where(is_hit, _sources(src, dim, index).unsqueeze(-2), nothing)
    if include_self:
        given = torch.cat([x.unsqueeze(-1), given], -1)
    count = is_hit.sum(-1) + int(include_self)
    if reduce != "mean":
        found: Tensor = getattr(given, reduce)(-1)
    else:
        found = torch.div(given.sum(-1), count.clamp(min=1), rounding_mode=None if x.is_floating_point() else "floor")
    return _all_within(index, n, torch.where(count > 0, found, x)).to(x.dtype).movedim(-1, dim)


def index_add(x: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """As `torch.index_add`, by an index that is the same for all rows."""
    if is_rows(index):
        raise UnsupportedOperation("what it adds to differs from row to row; use torch.scatter_add")
    x, source = x.movedim(dim, -1), source.movedim(dim, -1)
    given: dict[int, list[int]] = {}
    for k, place in enumerate(sample_of(index).tolist()):
        given.setdefault(place, []).append(k)
    most = max(map(len, given.values()), default=0)
    # Behind the last feature stands a 0, for places that get fewer than others, or nothing.
    chosen = [[*ks, *[source.shape[-1]] * (most - len(ks))] for ks in given.values()]
    summed = F.pad(source, (0, 1))[..., torch.tensor(chosen, dtype=torch.int64)].sum(-1)
    order = {place: number for number, place in enumerate(given)}
    added = F.pad(summed, (0, 1))[..., [order.get(place, len(order)) for place in range(x.shape[-1])]]
    return (x + alpha * added).movedim(-1, dim)


def bucketize(x: Tensor, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """As `torch.bucketize`."""
    return searchsorted(boundaries, x, out_int32=out_int32, right=right)


def searchsorted(
    boundaries: Tensor, x: Tensor, *, out_int32: bool = False, right: bool = False, side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """As `torch.searchsorted`: how many boundaries are below, or with `right` not above."""
    if sorter is not None:
        raise UnsupportedOperation("it is called with sorter; give it what is sorted")
    each, among = x.unsqueeze(-1), boundaries.unsqueeze(-2)
    # What is no number is above all.
    above = (each >= among if right or side == "right" else each > among) | each.isnan()
    index = as_index(above.sum(-1), boundaries.shape[-1] + 1)
    return index.to(torch.int32) if out_int32 else index


def isin(elements: Any, among: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """As `torch.isin`."""
    if is_rows(among) or not is_rows(elements):
        raise UnsupportedOperation("it mixes the rows of the batch")
    among = among if isinstance(among, Tensor) else torch.tensor([among])
    found: Tensor = (elements.unsqueeze(-1) == among.flatten()).any(-1)
    return ~found if invert else found


def count_nonzero(x: Tensor, dim: int | list[int] | None = None) -> Tensor:
    """As `torch.count_nonzero`."""
    return (x != 0).sum(dim)


def embedding(
    weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Tensor:
    """As `torch.nn.functional.embedding`: the product of the index's one-hot vector with the table."""
    count = weight.shape[0]
    if count > MOST_EMBEDDED:
        raise UnsupportedOperation(f"it looks rows up in a table of {count}, more than {MOST_EMBEDDED}")
    if scale_grad_by_freq or sparse:
        raise UnsupportedOperation("its gradients are sparse, or scaled by how often a row is read")
    found = hits(indices, count).to(weight.dtype) @ weight
    if padding_idx >= 0:
        found = torch.where((indices == padding_idx).unsqueeze(-1), found.detach(), found)
    return _all_within(indices.unsqueeze(-1), count, found)


def index(x: Tensor, indices: list[Tensor | None]) -> Any:
    """Rows of a parameter by an index, `codebook[nearest]`; NotImplemented where all indices are fixed, or masks."""
    first = indices[0]
    if not any(is_rows(item) for item in indices) or (first is not None and first.dtype == torch.bool):
        return NotImplemented
    if is_rows(x) or len(indices) != 1 or first is None:
        raise UnsupportedOperation(DIFFERS)
    count = x.shape[0]
    return _rows(x, first if is_index(first, count) else torch.where(first < 0, first + count, first))


def index_select(x: Tensor, dim: int, indices: Tensor) -> Any:
    """As `torch.index_select`, of rows of a parameter; NotImplemented where the indices are fixed."""
    if not is_rows(indices):
        return NotImplemented
    if is_rows(x) or dim % x.dim():
        raise UnsupportedOperation(DIFFERS)
    return _rows(x, indices)


def _rows(table: Tensor, indices: Tensor) -> Tensor:
    found = embedding(table.reshape(table.shape[0], -1), indices)
    return found.reshape(*indices.shape, *table.shape[1:])


def hits(index: Tensor, count: int) -> Tensor:
    """(..., count): whether the index is that number."""
    return index.unsqueeze(-1) == torch.arange(count, device=index.device)


def _targets(x: Tensor, dim: int, index: Tensor) -> tuple[Tensor, Tensor]:
    x, index = x.movedim(dim, -1), index.movedim(dim, -1)
    if x.shape[:-1] != index.shape[:-1]:
        raise UnsupportedOperation("its index has other sizes than what it is written into")
    return x, index


def _sources(src: Tensor, dim: int, index: Tensor) -> Tensor:
    """What is put, one number for each index."""
    src = src.movedim(dim, -1)
    for axis, size in enumerate(index.shape):
        src = src.narrow(axis, 0, size)
    return src


def _all_within(index: Tensor, count: int, result: Tensor) -> Tensor:
    """The result; not a number where one of the indices of the last axis is none of `count`."""
    if is_index(index, count):
        return result
    return torch.where(((index >= 0) & (index < count)).all(-1, keepdim=True), result, torch.nan)
