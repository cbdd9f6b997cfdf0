"""States that a step leaves bare: no function stands between them and a weight, a bias or another state."""

import pytest
import torch
from torch import nn

from steploom.cells.cell import Cell
from steploom.layers.recurrent import Recurrent


class Affine(Cell):
    """The gradient of c arrives untouched at two matrices and their biases."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.states = {"h": hidden_size, "c": hidden_size}
        self.a = nn.Linear(input_size, hidden_size)
        self.b = nn.Linear(hidden_size, hidden_size)

    def forward(self, x, h, c):
        return torch.tanh(c + h), self.a(x) + 0.1 * self.b(h)


class Decay(Cell):
    """The gradient of c arrives untouched at a bias, and nothing reads c."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.states = {"h": hidden_size, "c": hidden_size}
        self.p = nn.Parameter(torch.randn(hidden_size))

    def forward(self, x, h, c):
        return h, 0.5 * c + self.p


class Padded(Cell):
    """What the gradient of c is made of is also read after the loop, but only some columns of it."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.states = {"h": hidden_size, "c": hidden_size}
        self.a = nn.Linear(input_size, hidden_size - 2)

    def forward(self, x, h, c):
        c = torch.tanh(nn.functional.pad(self.a(x), (0, 2)) + c)
        return torch.tanh(h + c), c


@pytest.mark.parametrize("reversed_too", [False, True])
@pytest.mark.parametrize("time", [3, 40])
@pytest.mark.parametrize("kind", [Affine, Decay, Padded])
def test_all_gradients_are_those_of_the_reference(kind, time, reversed_too):
    cell = kind(3, 5).double()
    native = Recurrent(cell, bidirectional=reversed_too, engine="native")
    reference = Recurrent(cell, bidirectional=reversed_too, engine="reference")
    reference.load_state_dict(native.state_dict())
    x = torch.randn(time, 4, 3, dtype=torch.float64)
    state = tuple(torch.randn(1 + reversed_too, 4, 5, dtype=torch.float64) for _ in range(2))
    lengths = torch.tensor([time, 1, 0, time - 1])
    weights = None
    results = []
    for rnn in (native, reference):
        leaves = [part.clone().requires_grad_() for part in (x, *state)]
        y, final = rnn(leaves[0], tuple(leaves[1:]), lengths=lengths)
        if weights is None:
            weights = [torch.randn_like(part) for part in (y, *final)]
        loss = sum((w * part).sum() for w, part in zip(weights, (y, *final), strict=True))
        inputs = [*leaves, *rnn.parameters()]
        gradients = torch.autograd.grad(loss, inputs, allow_unused=True, materialize_grads=True)
        results.append((y, *final, *gradients))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
