"""A tiny network on made-up data, for tests of the training itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from steploom.models.network import Carry, Loss, Network


class ToyBatches:
    """Noisy sums of the inputs, (time, batch, 2) to (time, batch, 1)."""

    def __init__(self, seed: int = 0, count: int = 7, rows: int = 4, carries_state: bool = False) -> None:
        self.seed, self.count, self.rows, self.carries_state = seed, count, rows, carries_state

    def __len__(self) -> int:
        return self.count

    def batch(self, epoch: int, index: int, rank: int = 0, world: int = 1) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch * 1009 + index)
        x = torch.randn(5, self.rows, 2, generator=generator)
        mask = torch.rand(5, self.rows, generator=generator) < 0.8
        y = x.cumsum(0).sum(-1) * 0.3
        if self.carries_state:
            size = self.rows // world
            chosen = slice(rank * size, (rank + 1) * size)
        else:
            chosen = slice(rank, None, world)
        return {"x": x[:, chosen], "y": y[:, chosen], "mask": mask[:, chosen]}


class ToyNetwork(Network):
    """An LSTM with dropout and a linear layer; squared errors where the mask is set."""

    def __init__(self, dropout: float = 0.3, hidden_size: int = 6) -> None:
        super().__init__()
        self.rnn = nn.LSTM(2, hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden_size, 1)

    def loss(self, batch: dict[str, Tensor], carry: Carry | None) -> Loss:
        h, state = self.rnn(batch["x"], None if carry is None else (carry[0], carry[1]))
        error = (self.out(self.dropout(h)).squeeze(-1) - batch["y"]).square() * batch["mask"]
        return Loss(error.sum(), batch["mask"].sum(), state)


def toy_network(dropout: float = 0.3) -> ToyNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return ToyNetwork(dropout)
