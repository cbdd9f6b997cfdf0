"""Gradients that a backward pass writes whole, into memory that held something else before."""

import pytest
import torch
from torch import nn

from steploom.cells.cell import Cell
from steploom.cells.lstm import LSTMCell
from steploom.engine.written import written_whole
from steploom.layers.recurrent import Recurrent
from steploom.program.plan import make_plan


class Shared(Cell):
    """One matrix for the input and for the state, and a bias that is read twice."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.states = {"h": hidden_size}
        self.both = nn.Parameter(torch.randn(hidden_size, input_size))
        self.own = nn.Parameter(torch.randn(hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.randn(hidden_size))

    def forward(self, x, h):
        joined = torch.tanh(nn.functional.linear(x, self.both, self.bias) + nn.functional.linear(h, self.both))
        return (torch.tanh(nn.functional.linear(joined, self.own) * self.bias),)


class Half(Cell):
    """A matrix of which a part is read alone."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.states = {"h": hidden_size}
        self.wide = nn.Parameter(torch.randn(hidden_size, 2 * hidden_size))

    def forward(self, x, h):
        return (torch.tanh(nn.functional.linear(h, self.wide[:, : self.hidden_size]) + x),)


def names(cell):
    plan = make_plan(cell)
    return {plan.program.leaves[leaf].name for leaf in written_whole(plan)}


def test_what_one_sum_alone_writes():
    assert names(LSTMCell(3, 4)) == {"input.weight", "input.bias", "recurrent.weight", "recurrent.bias"}
    assert names(Shared(4, 4)) == {"own"}
    assert names(Half(4, 4)) == set()


@pytest.mark.parametrize("cell", [LSTMCell(4, 4), Shared(4, 4), Half(4, 4)], ids=lambda cell: type(cell).__name__)
@pytest.mark.parametrize(("batch", "lengths"), [(0, None), (3, [0, 0, 0]), (3, [0, 2, 5]), (70, None)])
def test_gradients_are_those_of_the_reference(cell, batch, lengths):
    x = torch.randn(9, batch, 4, dtype=torch.float64)
    cell = cell.double()
    given = None if lengths is None else torch.tensor(lengths)
    found = []
    for engine in ("native", "reference"):
        y, _ = Recurrent(cell, engine=engine)(x, lengths=given)
        # What lies in free memory is anything but zeros.
        held = [torch.full_like(parameter, torch.nan) for parameter in cell.parameters()]
        del held
        found.append(
            torch.autograd.grad((y * y).sum() + 0 * sum(p.sum() for p in cell.parameters()), list(cell.parameters()))
        )
    torch.testing.assert_close(*found)


def test_large_gradients_in_memory_that_is_used_again():
    rnn = Recurrent(LSTMCell(8, 520), engine="native")
    x = torch.randn(2, 2, 8)
    bad = torch.autograd.grad(rnn(x * torch.nan)[0].sum(), list(rnn.parameters()))
    assert all(gradient.isnan().all() for gradient in bad)
    assert max(gradient.nbytes for gradient in bad) > 1 << 22
    del bad
    found = torch.autograd.grad(rnn(x)[0].sum(), list(rnn.parameters()))
    expected = torch.autograd.grad(Recurrent(rnn.cell, engine="reference")(x)[0].sum(), list(rnn.parameters()))
    torch.testing.assert_close(found, expected)
    y = rnn(torch.randn(1100, 2, 8))[0]
    y.add_(1)
    y.sum().backward()
