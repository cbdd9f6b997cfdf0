"""Cells that a program could get wrong where nobody looks: at states of 0, in index buffers, in the dtype."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steploom import Cell, Recurrent, use_engine
from tests.program.random_cells import random_cell


class Base(Cell):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.states = {"h": hidden_size}
        self.input = nn.Linear(input_size, hidden_size)
        self.recurrent = nn.Linear(hidden_size, hidden_size, bias=False)
        self.register_buffer("order", torch.randperm(hidden_size))
        self.norm = nn.RMSNorm(hidden_size)


class Normalised(Base):
    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        return ((self.input(x) + F.normalize(self.recurrent(h), dim=-1)).tanh(),)


class Spread(Base):
    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        u = self.recurrent(h)
        return ((self.input(x) + u / (u.std(-1, keepdim=True) + 0.1)).tanh(),)


class Largest(Base):
    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        return ((self.input(x) + self.recurrent(h).max(-1, keepdim=True).values).tanh(),)


class Shifted(Base):
    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        return ((self.recurrent(h) + h.mean(-1, keepdim=True)).tanh() * self.input(x).sigmoid() + 0.1,)


class OfTheDtype(Base):
    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        return (self.norm(self.input(x) * 1e-4) + 0.1 * h,)


class Ordered(Base):
    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        return ((self.input(x) + h[:, self.order]).tanh(),)  # type: ignore[index]


class NormOfInput(Base):
    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        return ((self.input(F.layer_norm(x, x.shape[-1:])) + h).tanh(),)


class ScaledInput(Base):
    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        return ((self.input(x * x.mean(-1, keepdim=True).tanh()) + h).tanh(),)


CELLS = [Normalised, Spread, Largest, Shifted, OfTheDtype, Ordered, NormOfInput, ScaledInput]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [6, 20])  # a value that 16 columns share is read where it stands
@pytest.mark.parametrize("x_is_data", [False, True])
def test_sequences_that_begin_at_zero_agree_with_the_reference(
    cell: type[Cell], dtype: torch.dtype, size: int, x_is_data: bool
) -> None:
    torch.manual_seed(0)
    rnn = Recurrent(cell(3, size)).to(dtype)
    x = torch.randn(5, 2, 3, dtype=dtype)
    x[1] = 0
    gradients = []
    for engine in ("auto", "reference"):
        inputs = x.clone().requires_grad_(not x_is_data)
        with use_engine(engine), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            y, _ = rnn(inputs)
        subjects = [*rnn.parameters()] if x_is_data else [inputs, *rnn.parameters()]
        gradients.append(
            [y.detach(), *torch.autograd.grad(y.sin().sum(), subjects, materialize_grads=True, allow_unused=True)]
        )
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [20, 64])
@pytest.mark.parametrize("number", range(20))
@pytest.mark.parametrize("x_is_data", [False, True])
def test_cells_invented_at_random_agree_with_the_reference(number: int, size: int, x_is_data: bool) -> None:
    cell = random_cell(number, 5, size).double()
    x = torch.randn(4, 9, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(number))
    found = []
    for engine in ("native", "reference"):
        inputs = x.clone().requires_grad_(not x_is_data)
        y, _ = Recurrent(cell, engine=engine)(inputs)
        subjects = [*cell.parameters()] if x_is_data else [inputs, *cell.parameters()]
        found.append([y, *torch.autograd.grad(y.sin().sum(), subjects, materialize_grads=True, allow_unused=True)])
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-10)


def test_an_index_that_is_loaded_later_counts() -> None:
    one, other = Recurrent(Ordered(3, 8)), Recurrent(Ordered(3, 8))
    x = torch.randn(7, 4, 3)
    other(x)
    other.load_state_dict(one.state_dict())
    torch.testing.assert_close(one(x)[0], other(x)[0])


class Shrunk(Base):
    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        return (F.softshrink(self.input(x)) + F.hardshrink(self.recurrent(h)) + h**0,)


def test_what_is_no_number_shows_and_a_power_of_nothing_has_no_gradient() -> None:
    torch.manual_seed(0)
    rnn = Recurrent(Shrunk(3, 4), engine="native")
    x, state = torch.randn(2, 2, 3, requires_grad=True), torch.zeros(1, 2, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(rnn(x, (state,))[0].sum(), state)
    assert gradient.isfinite().all()
    with torch.no_grad():
        x[0, 0] = torch.nan
    y = rnn(x, (state,))[0]
    assert y[:, 0].isnan().all()
    assert y[:, 1].isfinite().all()
