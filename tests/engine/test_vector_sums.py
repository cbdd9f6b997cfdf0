"""Gradients of biases, peepholes and norms, which are summed up at each step where a slice has eight rows or more."""

import pytest
import torch

from steploom.cells.registry import cell_names, make_cell
from steploom.engine import native
from steploom.layers.recurrent import Recurrent

TIME, BATCH = 40, 19


@pytest.mark.parametrize("slices", [1, 2])
@pytest.mark.parametrize("name", cell_names())
def test_of_many_rows_they_are_those_of_the_reference(name: str, slices: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some cells have gradients of vectors that are made after the steps of a chunk: those cannot be summed before."""
    monkeypatch.setattr(native, "threads_of", lambda compiled, x: (slices, 1, ""))
    cell = make_cell(name, 3, 8).double()
    x = torch.randn(TIME, BATCH, 3, dtype=torch.float64)
    lengths = torch.randint(0, TIME + 1, (BATCH,))
    found = []
    for engine in ("native", "reference"):
        y, _ = Recurrent(cell, engine=engine)(x, lengths=lengths)
        found.append(torch.autograd.grad(y.square().sum(), list(cell.parameters())))
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)
