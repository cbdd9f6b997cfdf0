"""Cells whose steps choose: sorted, sparse and discrete, natively and by the reference engine."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steploom import Cell, Recurrent
from steploom.native import core
from steploom.testing import check_cell
from tests.engine.side_by_side import compare


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
    compare(cell, dtype, 1e-11 if dtype == torch.float64 else 1e-5)


# A gradient that goes straight through is no derivative, so that Quantized keeps them not.
@pytest.mark.parametrize("kind", [Allocation, Routed, SparseGates, Attending, Turned])
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


def test_writes_out_of_range_show() -> None:
    x = torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 2.0, 3.0, 5.0]]).unsqueeze(0)
    for function in (
        lambda x: torch.zeros_like(x).scatter(-1, x.long(), 1.0),
        lambda x: torch.zeros_like(x).scatter_add(-1, x.long(), x),
        lambda x: x.gather(-1, x.long()),
    ):
        with torch.no_grad():
            y, _ = Recurrent(_Of(function, 5), engine="native")(x)
        assert y[0, 0].isfinite().all() and y[0, 1].isnan().any()


class _Of(Cell):
    """A cell whose state is a function of its input, without a gradient of its own."""

    def __init__(self, function: Callable[[Tensor], Tensor], size: int) -> None:
        super().__init__()
        self.input_size, self.states, self.function = size, {"h": size}, function
        self.weight = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        return (self.function(x) + self.weight * h,)


def both(cell: Cell, x: Tensor) -> tuple[Tensor, Tensor]:
    """What the native engine gives, and the reference engine."""
    with torch.no_grad():
        native, expected = (Recurrent(cell, engine=engine)(x)[0] for engine in ("native", "reference"))
    return native, expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("divisor", [7, 49, 107])
def test_what_jumps_at_a_whole_quotient_jumps_where_pytorch_does(divisor: int, dtype: torch.dtype) -> None:
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "ceil": lambda x: torch.ceil(x / divisor),
        "trunc": lambda x: torch.div(x, divisor, rounding_mode="trunc") + torch.fmod(x, divisor),
        "frac": lambda x: torch.frac(x / divisor),
        "whole": lambda x: (x / divisor).long() + torch.fmod(x.long(), divisor).to(x.dtype),
        "divisors": lambda x: x % torch.full_like(x, divisor) + (x / torch.full_like(x, divisor)).floor(),
        "after a rest": lambda x: F.relu(x / divisor).floor() + (x / divisor).abs().floor() + (-(x / divisor)).floor(),
        "compared": lambda x: ((x / divisor).clamp(min=-1) >= 1).to(x.dtype) + (x / divisor - 1).sign(),
        "part": lambda x: torch.cat([(x / divisor)[:, 2:].floor(), (x / divisor)[:, :2].ceil()], -1),
    }
    x = torch.arange(-5 * divisor, 5 * divisor + 1, dtype=dtype)[: 10 * divisor // 5 * 5].view(1, -1, 5)
    for name, function in functions.items():
        native, expected = both(_Of(function, 5).to(dtype), x)
        assert torch.equal(native, expected), name


def alarm(x: Tensor) -> Tensor:
    """What is written into new tensors of truth values and of whole numbers."""
    seen, count = torch.zeros(x.shape[0], 1, dtype=torch.bool), torch.zeros(x.shape[0], 5, dtype=torch.long)
    seen |= x[:, :1] > 6
    count += (x > 6).long()
    count[:, 0] = (x[:, 0] > 8).long()
    return torch.where(seen, 1.0, 0.0) + 10 * count


def test_writes_into_new_tensors_count() -> None:
    x = torch.tensor([[9.0, 1.0, 7.0, 0.0, 0.0], [1.0, 9.0, 9.0, 9.0, 9.0]]).unsqueeze(0)
    native, expected = both(_Of(alarm, 5), x)
    assert torch.equal(native, expected)
    assert native.flatten().tolist() == [11.0, 1.0, 11.0, 1.0, 1.0, 0.0, 10.0, 10.0, 10.0, 10.0]


def test_what_is_no_number_or_infinite_stays_where_it_is() -> None:
    x = torch.tensor([[1.0, -torch.inf, 2.0, 3.0, 4.0], [1.0, 2.0, torch.nan, 0.0, 3.0]]).unsqueeze(0)
    for function in (lambda x: x.cumsum(-1), lambda x: x.median(-1, True).values, lambda x: x.sort(-1).values):
        native, expected = both(_Of(function, 5), x)
        torch.testing.assert_close(native, expected, equal_nan=True)


class Tokens(Cell):
    """Inputs and a state that are indices: of a table, of features, and of the next slot of a ring."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size = 2
        self.states = {"h": 6, "ring": 12, "next": 1}
        self.table = nn.Embedding(7, 6)

    def forward(self, x: Tensor, h: Tensor, ring: Tensor, next: Tensor) -> tuple[Tensor, ...]:
        new = (self.table(x[:, 0].long()) + 0.5 * h + ring.gather(-1, x[:, 1:].long())).tanh()
        slots = ring.view(-1, 4, 3).clone()
        slots.scatter_(1, next.long().unsqueeze(-1).expand(-1, 1, 3), new[:, None, :3])
        return new, slots.flatten(1), (next + 1) % 4


def test_inputs_and_states_may_be_indices() -> None:
    torch.manual_seed(0)
    cell = Tokens().double()
    x = torch.stack([torch.randint(0, 7, (9, 4)), torch.randint(0, 12, (9, 4))], -1).double()
    found = []
    for engine in ("native", "reference"):
        y, states = Recurrent(cell, engine=engine)(x)
        found.append([y, *states, *torch.autograd.grad(y.square().sum(), list(cell.parameters()))])
    for native, expected in zip(*found, strict=True):
        torch.testing.assert_close(native, expected)
