"""Cells whose states are memories and matrices, at the sizes people use."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steploom import Cell, Recurrent, use_engine

Step = Callable[..., tuple[Tensor, Tensor]]


class Memory(Cell):
    """Equations over h and a memory M, with a projection of the input.

    Args:
        input_size: features of `x`.
        size: of h, and of the projection.
        memory: features of the memory.
        step: the equations.
        projections: how many values of `size` features the input is projected to.
    """

    def __init__(self, input_size: int, size: int, memory: int, step: Step, projections: int):
        super().__init__()
        self.input_size, self.size = input_size, size
        self.states = {"h": size, "M": memory}
        self.input = nn.Linear(input_size, projections * size)
        self.recurrent = nn.Linear(size, size, bias=False)
        self.projections = projections
        self.step = SimpleNamespace(run=step)

    def forward(self, x: Tensor, h: Tensor, memory: Tensor) -> tuple[Tensor, ...]:
        parts = self.input(x).chunk(self.projections, -1)
        h, memory = self.step.run(parts, self.recurrent(h), memory)
        return h, memory.flatten(1)


def matrix_memory(parts: tuple[Tensor, ...], u: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """mLSTM (Beck et al. 2024), without its stabiliser."""
    q, k, v, o = parts
    memory = 0.9 * memory.view(-1, k.shape[1], k.shape[1]) + (v + u).unsqueeze(-1) * k.unsqueeze(-2) / 8
    return o.sigmoid() * (memory @ q.unsqueeze(-1)).squeeze(-1), memory


def matrix_memory_by_einsum(parts: tuple[Tensor, ...], u: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    q, k, v, o = parts
    memory = 0.9 * memory.view(-1, k.shape[1], k.shape[1]) + torch.einsum("bi,bj->bij", k, v + u) / 8
    return o.sigmoid() * torch.einsum("bij,bi->bj", memory, q), memory


def delta_rule(parts: tuple[Tensor, ...], u: Tensor, memory: Tensor, heads: int = 4) -> tuple[Tensor, Tensor]:
    """DeltaNet (Schlag et al. 2021), keys by values."""
    q, k, v = (part.view(-1, heads, part.shape[1] // heads) for part in parts)
    k = F.normalize(k, dim=-1)
    memory = memory.view(-1, heads, k.shape[-1], k.shape[-1])
    old = (memory.transpose(-1, -2) @ k.unsqueeze(-1)).squeeze(-1)
    memory = memory + k.unsqueeze(-1) * (0.5 * (v + u.view_as(v) - old)).unsqueeze(-2)
    return torch.einsum("bhij,bhi->bhj", memory, q).flatten(1), memory


def ring(parts: tuple[Tensor, ...], u: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """Attention over the last states, each of them a row."""
    x, q = parts
    memory = memory.view(-1, memory.shape[1] // x.shape[1], x.shape[1])
    weights = (memory @ (q + u).unsqueeze(-1)).squeeze(-1).softmax(-1)
    h = (x + (weights.unsqueeze(1) @ memory).squeeze(1)).tanh()
    return h, torch.cat([memory[:, 1:], h.unsqueeze(1)], 1)


def ring_of_columns(parts: tuple[Tensor, ...], u: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    x, q = parts
    memory = memory.view(-1, x.shape[1], memory.shape[1] // x.shape[1])
    weights = torch.einsum("bdn,bd->bn", memory, q + u).softmax(-1)
    h = (x + torch.einsum("bn,bdn->bd", weights, memory)).tanh()
    return h, torch.cat([memory[:, :, 1:], h.unsqueeze(-1)], -1)


def links(parts: tuple[Tensor, ...], u: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """The temporal links of a differentiable neural computer (Graves et al. 2016), read both ways."""
    x, w = parts
    w, n = w.softmax(-1), x.shape[1]
    memory = memory.view(-1, n, n)
    both = (memory @ u.unsqueeze(-1)).squeeze(-1) - (memory.mT @ u.unsqueeze(-1)).squeeze(-1)
    memory = (1 - w.unsqueeze(-1) - w.unsqueeze(-2)) * memory + w.unsqueeze(-1) * x.tanh().unsqueeze(-2)
    return (x + both).tanh(), memory


def rotation(parts: tuple[Tensor, ...], u: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """A product of whole matrices, one of them transposed."""
    x, step = parts
    n = int(memory.shape[1] ** 0.5)
    memory = memory.view(-1, n, n)
    turned = memory.mT @ step[:, : n * n].view(-1, n, n).mT / n + memory @ memory.mT / n
    return (x + u + F.pad(turned.flatten(1), (0, x.shape[1] - n * n))).tanh(), turned.tanh()


def interleaved(parts: tuple[Tensor, ...], u: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """Features stacked last, and taken in an order with some of them twice."""
    (x,) = parts
    order = torch.arange(2 * x.shape[1]) * 7 % (x.shape[1] + 3) % x.shape[1]
    pairs = torch.stack([x, u], -1).flatten(1)
    first, second = memory[:, order].chunk(2, -1)
    shifted = F.pad(memory, (3, 0), value=0.5)[:, :-3]
    h = (pairs.view(x.shape[0], 2, -1).sum(1) + first * second + shifted).tanh()
    return h, h + 0.5 * memory.roll(1, -1)


def keys_of_slots(parts: tuple[Tensor, ...], u: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """Weights that multiply every slot of the memory: a product a slot."""
    x, q = parts
    memory = memory.view(-1, memory.shape[1] // x.shape[1], x.shape[1])
    keys = (memory @ torch.ones(x.shape[1], x.shape[1], dtype=x.dtype).triu()).tanh()
    weights = (keys @ (q + u).unsqueeze(-1)).squeeze(-1).softmax(-1)
    h = (x + (weights.unsqueeze(1) @ memory).squeeze(1)).tanh()
    return h, torch.cat([memory[:, 1:], h.unsqueeze(1)], 1)


CELLS = {
    "matrix memory of 64": lambda: Memory(5, 64, 64 * 64, matrix_memory, 4),
    "matrix memory of 7": lambda: Memory(5, 7, 49, matrix_memory, 4),
    "matrix memory by einsum": lambda: Memory(5, 33, 33 * 33, matrix_memory_by_einsum, 4),
    "delta rule": lambda: Memory(5, 64, 1024, delta_rule, 3),
    "delta rule, odd": lambda: Memory(5, 20, 100, delta_rule, 3),
    "ring": lambda: Memory(5, 40, 40 * 19, ring, 2),
    "ring of columns": lambda: Memory(5, 40, 40 * 19, ring_of_columns, 2),
    "links": lambda: Memory(5, 32, 32 * 32, links, 2),
    "rotation": lambda: Memory(5, 150, 144, rotation, 2),
    "interleaved": lambda: Memory(5, 160, 160, interleaved, 1),
}
WITH_A_PRODUCT_A_SLOT = {"keys of slots": lambda: Memory(5, 6, 6 * 100, keys_of_slots, 2)}


@pytest.mark.parametrize("name", [*CELLS, *WITH_A_PRODUCT_A_SLOT])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_memory_runs_natively_as_the_reference_does(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    rnn = Recurrent((CELLS | WITH_A_PRODUCT_A_SLOT)[name]()).to(dtype)
    x = torch.randn(6, 5, 5, dtype=dtype, requires_grad=True)
    found = []
    for engine in ("native", "reference"):
        with use_engine(engine):
            y, states = rnn(x, lengths=torch.tensor([6, 3, 1, 6, 5]))
        weights = torch.linspace(-1, 1, y.numel(), dtype=dtype).view_as(y)
        loss = (y * weights).sum() + sum(state.square().sum() for state in states)
        found.append([y, *states, *torch.autograd.grad(loss, [x, *rnn.parameters()])])
    allowed = 1e-12 if dtype == torch.float64 else 1e-5
    for native, expected in zip(*found, strict=True):
        assert (native - expected).norm() <= allowed * expected.norm()


@pytest.mark.parametrize("name", CELLS)
def test_the_program_of_a_memory_does_not_grow_with_its_size(name: str) -> None:
    program = Recurrent(CELLS[name]()).program
    assert len(program.instructions) < 60
    assert len(program.derivative.instructions) < 90
