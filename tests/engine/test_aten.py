"""The aten engine against the reference, where it does more than call a kernel."""

import pytest
import torch

from steploom.cells.gru import GRUCell
from steploom.cells.lstm import LSTMCell
from steploom.cells.simple import RNNCell
from steploom.engine import aten, reference

CELLS = [LSTMCell, GRUCell, RNNCell]


def results(run, cell, x, state, **options):
    """Outputs, states and gradients."""
    leaves = [part.clone().requires_grad_() for part in (x, *state)]
    y, final = run(cell, leaves[0], tuple(leaves[1:]), **options)
    loss = sum(part.sin().sum() for part in (y, *final))
    return [y, *final, *torch.autograd.grad(loss, [*leaves, *cell.parameters()])]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("density", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_lengths_and_resets(kind, padded, density, dtype):
    torch.manual_seed(0)
    cell = kind(3, 5).to(dtype)
    x = torch.randn(9, 4, 3, dtype=dtype)
    state = tuple(torch.randn(4, 5, dtype=dtype) for _ in cell.states)
    lengths = torch.tensor([9, 0, 5, 1]) if padded else None
    resets = torch.rand(9, 4) < density
    expected = results(reference.run, cell, x, state, lengths=lengths, resets=resets)
    found = results(aten.run, cell, x, state, lengths=lengths, resets=resets)
    tolerance = 1e-10 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", CELLS)
def test_gradients_in_evaluation_mode(kind):
    cell = kind(3, 5).eval()
    x, state = torch.randn(4, 2, 3), tuple(torch.zeros(2, 5) for _ in range(len(kind(3, 5).states)))
    torch.testing.assert_close(results(aten.run, cell, x, state), results(reference.run, cell, x, state))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("kind", CELLS)
def test_second_derivatives(kind, dtype):
    torch.manual_seed(0)
    cell = kind(3, 5).to(dtype)
    x = torch.randn(4, 2, 3, dtype=dtype, requires_grad=True)
    state = tuple(torch.randn(2, 5, dtype=dtype) for _ in cell.states)
    second = []
    for run in (aten.run, reference.run):
        (first,) = torch.autograd.grad(run(cell, x, state)[0].sin().sum(), x, create_graph=True)
        second.append(torch.autograd.grad(first.square().sum(), [x, *cell.parameters()]))
    torch.testing.assert_close(second[0], second[1])


def test_the_kernels_get_the_cells_own_weights():
    cell = LSTMCell(3, 5)
    weights = aten._weights(cell)
    assert [weight.data_ptr() for weight in weights] == [
        parameter.data_ptr()
        for parameter in (cell.input.weight, cell.recurrent.weight, cell.input.bias, cell.recurrent.bias)
    ]


def test_a_large_memory_stands_still_in_the_padding():
    """The frozen steps pass on values and gradients of any size unchanged."""
    cell = LSTMCell(1, 3)
    state = (torch.zeros(1, 3), torch.tensor([[1e-6, 1.0, 1e6]]))
    _, (_, c) = aten.run(cell, torch.zeros(200, 1, 1), state, lengths=torch.tensor([0]))
    torch.testing.assert_close(c, state[1], rtol=1e-6, atol=0)
