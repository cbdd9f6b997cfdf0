"""Cells that work on complex numbers, natively and by the reference engine."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from steploom import Cell, Recurrent
from steploom.cells.cell import converted
from steploom.native import core
from steploom.testing import check_cell
from tests.engine.side_by_side import compare

SIZE = 6


class LinearRecurrentUnit(Cell):
    """States that turn and shrink (Orvieto et al. 2023), kept as pairs of numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size = 4
        self.states = {"h": 2 * SIZE, "y": 5}
        self.log_decay, self.log_turn, self.log_scale = (nn.Parameter(0.3 * torch.randn(SIZE)) for _ in range(3))
        self.into_real, self.into_imaginary = (nn.Parameter(torch.randn(SIZE, 4)) for _ in range(2))
        self.out_real, self.out_imaginary = (nn.Parameter(torch.randn(5, SIZE)) for _ in range(2))
        self.skip = nn.Linear(4, 5)

    def forward(self, x: Tensor, h: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        decay = torch.exp(-torch.exp(self.log_decay) + 1j * torch.exp(self.log_turn))
        into = torch.complex(self.into_real, self.into_imaginary) * torch.exp(self.log_scale).unsqueeze(-1)
        z = torch.view_as_complex(h.view(-1, SIZE, 2))
        z = decay * z + x.to(into.dtype) @ into.T
        y = (z @ torch.complex(self.out_real, self.out_imaginary).T).real + self.skip(x)
        return torch.view_as_real(z).flatten(1), y.tanh()


class StateSpace(Cell):
    """A diagonal state space (Smith et al. 2023) with complex parameters, real and imaginary part as two states."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size = 4
        self.states = {"y": 5, "re": SIZE, "im": SIZE}
        self.poles = nn.Parameter(torch.complex(-0.1 - torch.rand(SIZE), torch.randn(SIZE)))
        self.into = nn.Parameter(torch.randn(SIZE, 4, dtype=torch.cfloat))
        self.out = nn.Parameter(torch.randn(5, SIZE, dtype=torch.cfloat))
        self.log_step = nn.Parameter(0.1 * torch.randn(SIZE))
        self.skip = nn.Parameter(torch.randn(5, 4))

    def forward(self, x: Tensor, y: Tensor, re: Tensor, im: Tensor) -> tuple[Tensor, ...]:
        decay = torch.exp(self.poles * self.log_step.exp())
        driven = x.to(self.into.dtype) @ self.into.mT
        z = decay * torch.complex(re, im) + (decay - 1) / self.poles * driven
        return (2 * (z @ self.out.conj().mT).real + x @ self.skip.T).tanh(), z.real, z.imag


class Unitary(Cell):
    """Turns, transforms, a reflection and a permutation, which keep lengths (Arjovsky et al. 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size = 4
        self.states = {"h": 2 * SIZE}
        self.turns = nn.Parameter(torch.randn(2, SIZE))
        self.mirror = nn.Parameter(torch.randn(SIZE, dtype=torch.cfloat))
        self.register_buffer("order", torch.randperm(SIZE))
        self.into = nn.Linear(4, 2 * SIZE)
        self.bias = nn.Parameter(0.1 * torch.randn(SIZE))

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        z = torch.view_as_complex(h.unflatten(-1, (-1, 2)))
        z = torch.fft.fft(z * torch.polar(torch.ones_like(self.turns[0]), self.turns[0]), norm="ortho")
        z = z - 2 * (z * self.mirror.conj()).sum(-1, keepdim=True) * self.mirror / self.mirror.abs().square().sum()
        z = torch.fft.ifft(z[:, self.order] * torch.exp(1j * self.turns[1]), norm="ortho")
        z = z + torch.view_as_complex(self.into(x).view(-1, SIZE, 2))
        size = z.abs()
        return (torch.view_as_real(torch.relu(size + self.bias) * z / (size + 1e-5)).flatten(1),)


class Holographic(Cell):
    """Binding by circular convolution (Plate 1995)."""

    def __init__(self, size: int = 7) -> None:
        super().__init__()
        self.input_size = size
        self.states = {"h": size}
        self.key = nn.Linear(size, size)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        bound = torch.fft.rfft(h) * torch.fft.rfft(self.key(x))
        found = bound * torch.fft.rfft(x).conj()
        n = x.shape[-1]
        return ((0.3 * torch.fft.irfft(bound, n=n) + 0.1 * torch.fft.irfft(found, n=n)).tanh(),)


class Writing(Cell):
    """Writes into complex tensors, whole and in part."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size = 4
        self.states = {"h": 2 * SIZE}
        self.into = nn.Linear(4, 2 * SIZE)
        self.turn = nn.Parameter(torch.randn(SIZE))

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        z = torch.view_as_complex(h.view(-1, SIZE, 2)) * torch.exp(1j * self.turn)
        u = torch.view_as_complex(self.into(x).view(-1, SIZE, 2))
        both = torch.zeros(len(x), SIZE, dtype=z.dtype)
        both[:, :3] = z[:, :3]
        part = both[:, 2:]
        part += 1j * u[:, 2:]
        both[:, 1] *= 0.5
        z = 0.5 * z
        z.mul_(both + 0.2)
        return (torch.cat([z.real, z.imag], -1).tanh(),)


class Pictures(Cell):
    """A filter in the frequencies of two axes."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size = 12
        self.states = {"h": 12}
        self.filter = nn.Parameter(0.3 * torch.randn(2, 3, 3, dtype=torch.cfloat))
        self.into = nn.Linear(12, 12)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        image = (self.into(x) + h).view(-1, 1, 3, 4).expand(-1, 2, -1, -1)
        filtered = torch.fft.irfft2(torch.fft.rfft2(image) * self.filter, s=(3, 4))
        return (filtered.mean(1).flatten(1).tanh(),)


class Heads(Cell):
    """Products of matrices, a row and a parameter each, and a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size = 4
        self.states = {"h": 2 * SIZE}
        self.turn = nn.Parameter(0.4 * torch.randn(2, 3, 3, dtype=torch.cfloat))
        self.whole = nn.Linear(SIZE, SIZE, dtype=torch.cfloat)
        self.into = nn.Linear(4, 2 * SIZE)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        z = torch.einsum("gij,bgj->bgi", self.turn, torch.view_as_complex(h.view(-1, 2, 3, 2)))
        z = z + torch.view_as_complex(self.into(x).view(-1, 2, 3, 2))
        z = z + 0.1 * torch.einsum("bgi,bhi->bgh", z, z.conj()) @ z
        z = z / torch.linalg.vector_norm(z, dim=-1, keepdim=True).clamp(min=1e-3)
        return (torch.view_as_real(self.whole(z.flatten(1))).flatten(1),)


CELLS = [LinearRecurrentUnit, StateSpace, Unitary, Holographic, Writing, Pictures, Heads]


@pytest.mark.parametrize("kernels", core().kernels())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", CELLS)
def test_a_step_with_complex_numbers_runs_natively_as_the_reference_does(kernels_of_environment, kind, dtype, kernels):
    kernels_of_environment(kernels)
    torch.manual_seed(0)
    compare(converted(kind(), dtype), dtype, 1e-11 if dtype == torch.float64 else 2e-5)


@pytest.mark.parametrize("kind", CELLS)
def test_a_step_with_complex_numbers_keeps_the_laws(kind):
    torch.manual_seed(0)
    check_cell(kind())


def test_a_complex_parameter_may_change_without_a_new_trace(monkeypatch):
    from steploom.program.tracer import Tracer

    made: list[int] = []
    begin = Tracer.__init__
    monkeypatch.setattr(Tracer, "__init__", lambda self, *given: (made.append(1), begin(self, *given))[1])
    torch.manual_seed(0)
    cell = StateSpace()
    rnn, x = Recurrent(cell, engine="native"), torch.randn(3, 2, 4)
    optimizer = torch.optim.SGD(cell.parameters(), lr=0.1)
    counts = []
    for _ in range(4):
        rnn(x)[0].sum().backward()
        optimizer.step()
        counts.append(len(made))
    assert counts[0] == counts[-1] > 0
    torch.testing.assert_close(rnn(x)[0], Recurrent(cell, engine="reference")(x)[0])
