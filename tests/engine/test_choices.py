"""Cells whose steps choose: sorted, sparse and discrete, natively and by the reference engine."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steploom import Cell, Recurrent
from steploom.native import core
from steploom.testing import check_cell


class Allocation(Cell):
    """Writes to the slots that are used least (of the differentiable neural computer, Graves et al. 2016)."""

    def __init__(self, slots: int = 5, width: int = 4) -> None:
        super().__init__()
        self.input_size = 6
        self.slots, self.width = slots, width
        self.states = {"h": 8, "usage": slots, "memory": slots * width}
        self.controller = nn.GRUCell(6 + width, 8)
        self.heads = nn.Linear(8, 2 * slots + width)

    def forward(self, x: Tensor, h: Tensor, usage: Tensor, memory: Tensor) -> tuple[Tensor, ...]:
        memory = memory.view(-1, self.slots, self.width)
        read, write, value = self.heads(h).split([self.slots, self.slots, self.width], -1)
        found = (read.softmax(-1).unsqueeze(1) @ memory).squeeze(1)
        # Usages that are equal at the beginning have no order of their own.
        least, order = torch.sort(usage + 0.01 * torch.arange(self.slots, dtype=h.dtype), -1)
        before = torch.cumprod(F.pad(least[:, :-1], (1, 0), value=1.0), -1)
        free = torch.zeros_like(usage).scatter(-1, order, (1 - least) * before)
        weights = 0.5 * free + 0.5 * write.softmax(-1)
        memory = memory + torch.einsum("bn,bw->bnw", weights, value)
        usage = usage + weights - usage * weights
        return self.controller(torch.cat([x, found], -1), h), 0.9 * usage, memory.flatten(1)


class Routed(Cell):
    """The best two of four experts (Shazeer et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size = 6
        self.states = {"h": 8}
        self.gate = nn.Linear(14, 4)
        self.experts = nn.ModuleList(nn.Linear(14, 8) for _ in range(4))

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        z = torch.cat([x, h], -1)
        scores = self.gate(z)
        best = scores.topk(2, -1).values
        shares = scores.masked_fill(scores < best[:, -1:], -torch.inf).softmax(-1)
        return ((shares.unsqueeze(-1) * torch.stack([expert(z).tanh() for expert in self.experts], 1)).sum(1),)


class Quantized(Cell):
    """A state that passes through the nearest of some codes, straight through (van den Oord et al. 2017)."""

    def __init__(self, codes: int = 9) -> None:
        super().__init__()
        self.input_size = 6
        self.states = {"h": 8}
        self.cell = nn.GRUCell(6, 8)
        self.codes = nn.Parameter(torch.randn(codes, 8))

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        z = self.cell(x, h)
        nearest = torch.cdist(z, self.codes).argmin(-1)
        code = self.codes[nearest]
        return (0.5 * code + 0.5 * (z + (code - z).detach()),)


class SparseGates(Cell):
    """Gates on the simplex by sparsemax (Martins & Astudillo 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size = 6
        self.states = {"h": 8}
        self.joined = nn.Linear(14, 16)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        z, new = self.joined(torch.cat([x, h], -1)).chunk(2, -1)
        ordered = z.sort(-1, descending=True).values
        sums, k = ordered.cumsum(-1), torch.arange(1, 9, dtype=z.dtype)
        count = (1 + k * ordered > sums).sum(-1, keepdim=True)
        threshold = (sums.gather(-1, count - 1) - 1) / count
        gate = F.relu(z - threshold)
        return (gate * new.tanh() + (1 - gate) * h,)


class Attending(Cell):
    """`torch.nn.MultiheadAttention` over the last four states."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size = 6
        self.states = {"h": 8, "window": 32}
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.joined = nn.Linear(14, 8)

    def forward(self, x: Tensor, h: Tensor, window: Tensor) -> tuple[Tensor, ...]:
        new = self.joined(torch.cat([x, h], -1)).tanh()
        slots = torch.cat([window.view(-1, 4, 8)[:, 1:], new.unsqueeze(1)], 1)
        found, _ = self.attention(new.unsqueeze(1), slots, slots, need_weights=False)
        return (new + found.squeeze(1)).tanh(), slots.flatten(1)


class Turned(Cell):
    """An angle for a state; arctangents of two numbers, and a quadratic maxout (Goodfellow et al. 2013)."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size = 6
        self.states = {"h": 8}
        self.joined = nn.Linear(14, 32)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        y, x2, a, b = self.joined(torch.cat([x, h], -1)).chunk(4, -1)
        return (torch.atan2(y, x2) / 3 + 0.1 * torch.stack([a, b, a * b], -1).max(-1).values,)


CELLS = [Allocation, Routed, Quantized, SparseGates, Attending, Turned]


@pytest.mark.parametrize("kernels", core().kernels())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", CELLS)
def test_a_step_that_chooses_runs_natively_as_the_reference_does(kernels_of_environment, kind, dtype, kernels):
    kernels_of_environment(kernels)
    torch.manual_seed(0)
    cell = kind().to(dtype)
    x = torch.randn(7, 5, 6, dtype=dtype, requires_grad=True)
    found = []
    for engine in ("native", "reference"):
        y, _ = Recurrent(cell, engine=engine)(x, lengths=torch.tensor([7, 3, 1, 7, 5]))
        weights = torch.linspace(-1, 1, y.numel(), dtype=dtype).view_as(y)
        found.append([y, *torch.autograd.grad((y * weights).sum(), [x, *cell.parameters()])])
    allowed = 1e-11 if dtype == torch.float64 else 1e-5
    for native, expected in zip(*found, strict=True):
        assert (native - expected).norm() <= allowed * expected.norm()


@pytest.mark.parametrize("kind", [Routed, SparseGates, Attending, Turned])
def test_a_step_that_chooses_keeps_the_laws(kind):
    torch.manual_seed(0)
    check_cell(kind())


def test_an_index_out_of_range_shows() -> None:
    """PyTorch raises; a native step gives what is not a number."""

    class Lookup(Cell):
        def __init__(self) -> None:
            super().__init__()
            self.input_size, self.states = 2, {"h": 8}
            self.table = nn.Embedding(6, 8)

        def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
            return (0.5 * h + self.table(x[:, 0].clamp(max=7).long().abs()),)

    rnn = Recurrent(Lookup(), engine="native")
    x = torch.zeros(2, 3, 2)
    x[:, 1, 0], x[1, 2, 0] = 5.0, 6.0
    y, _ = rnn(x)
    torch.testing.assert_close(y[:, :2], Recurrent(rnn.cell, engine="reference")(x[:, :2])[0])
    assert y[0].isfinite().all() and y[1, 2].isnan().all()


def test_what_is_no_number_is_the_largest() -> None:
    class Largest(Cell):
        def __init__(self) -> None:
            super().__init__()
            self.input_size, self.states = 5, {"h": 2}

        def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
            return (torch.stack([x.argmax(-1), x.argmin(-1)], -1).to(x.dtype) + 0 * h,)

    x = torch.tensor([[0.0, 3.0, torch.nan, 4.0, 4.0], [2.0, 5.0, -1.0, -1.0, 5.0]]).unsqueeze(0)
    for engine in ("native", "reference"):
        assert Recurrent(Largest(), engine=engine)(x)[0].tolist() == [[[2.0, 2.0], [1.0, 2.0]]]
