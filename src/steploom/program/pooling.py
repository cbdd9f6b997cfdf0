"""Pooling as means and maxima over windows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from steploom.errors import UnsupportedOperation
from steploom.program.indexing import hits
from steploom.program.picks import as_index

__all__ = ["adaptive_avg_pool2d", "adaptive_max_pool2d", "avg_pool2d", "max_pool2d"]


def avg_pool2d(
    x: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """As `torch.nn.functional.avg_pool2d`; `avg_pool1d` becomes this operator, too."""
    if ceil_mode or (any(padding) and not count_include_pad):
        raise UnsupportedOperation("its windows have different sizes")
    windows = _windows(x, kernel_size, stride, padding, 0.0)
    return windows.mean(-1) if divisor_override is None else windows.sum(-1) / divisor_override


def max_pool2d(
    x: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    ceil_mode: bool = False,
) -> tuple[Tensor, Tensor]:
    """As `torch.nn.functional.max_pool2d` with the indices."""
    if ceil_mode or any(step != 1 for step in dilation):
        raise UnsupportedOperation("its windows have different sizes or gaps")
    places = _windows(_places(x), kernel_size, stride, padding, 0.0)
    return _largest(_windows(x, kernel_size, stride, padding, -torch.inf), places, _size(x))


def adaptive_avg_pool2d(x: Tensor, output_size: Sequence[int]) -> Tensor:
    """As `torch.nn.functional.adaptive_avg_pool2d`."""
    return _as_plane([[part.mean(-1) for part in row] for row in _parts(x, output_size)])


def adaptive_max_pool2d(x: Tensor, output_size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """As `torch.nn.functional.adaptive_max_pool2d` with the indices."""
    found = [
        [_largest(part, places, _size(x)) for part, places in zip(*rows, strict=True)]
        for rows in zip(_parts(x, output_size), _parts(_places(x), output_size), strict=True)
    ]
    values, indices = (_as_plane([[each[n] for each in row] for row in found]) for n in (0, 1))
    return values, indices


def _size(x: Tensor) -> int:
    return x.shape[-2] * x.shape[-1]


def _places(x: Tensor) -> Tensor:
    """The numbers of the places of a plane."""
    return torch.arange(_size(x), dtype=x.dtype, device=x.device).view(x.shape[-2:])


def _largest(values: Tensor, places: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest of the last axis, of which the first has the gradient, and its place, one of `count`."""
    largest, number = values.max(-1)
    chosen = torch.where(hits(number, values.shape[-1]), places, 0.0)
    return largest, as_index(chosen.sum(-1), count)


def _windows(x: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], outside: float) -> Tensor:
    """(..., height, width, numbers of a window)"""
    (high, wide), (down, across) = _pair(kernel), _pair(stride or kernel)
    above, beside = _pair(padding)
    if above or beside:
        x = F.pad(x, (beside, beside, above, above), value=outside)
    return x.unfold(-2, high, down).unfold(-2, wide, across).flatten(-2)


def _parts(x: Tensor, sizes: Sequence[int]) -> list[list[Tensor]]:
    """The parts of a plane that PyTorch takes for so many rows and columns, which may overlap: (..., numbers) each."""
    rows, columns = (
        [(n * size // count, -(-(n + 1) * size // count)) for n in range(count)]
        for size, count in zip(x.shape[-2:], sizes, strict=True)
    )
    return [[x[..., top:end, left:right].flatten(-2) for left, right in columns] for top, end in rows]


def _as_plane(parts: list[list[Tensor]]) -> Tensor:
    """One number of each part, as a plane."""
    return torch.stack([torch.stack(row, -1) for row in parts], -2)


def _pair(sizes: Sequence[int]) -> tuple[int, int]:
    return sizes[0], sizes[-1]
