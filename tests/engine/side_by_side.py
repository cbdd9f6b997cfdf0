"""A cell run natively and by the reference engine, compared."""

from __future__ import annotations

import torch

from steploom import Cell, Recurrent

__all__ = ["compare"]


def compare(cell: Cell, dtype: torch.dtype, allowed: float) -> None:
    """Outputs and gradients of some unequal sequences must differ by no more than a share of their size."""
    x = torch.randn(7, 5, cell.input_size, dtype=dtype, requires_grad=True)
    found = []
    for engine in ("native", "reference"):
        y, _ = Recurrent(cell, engine=engine)(x, lengths=torch.tensor([7, 3, 1, 7, 5]))
        weights = torch.linspace(-1, 1, y.numel(), dtype=dtype).view_as(y)
        found.append([y, *torch.autograd.grad((y * weights).sum(), [x, *cell.parameters()], materialize_grads=True)])
    for native, expected in zip(*found, strict=True):
        assert (native - expected).norm() <= allowed * expected.norm()
