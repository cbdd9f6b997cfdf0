"""A tiny network on made-up data, for tests of the training itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from steploom.data.batches import share
from steploom.errors import DataError
from steploom.models.network import Carry, Loss, Network
from steploom.tasks.task import Evaluation, Files, Prediction, Prepared, Task
from steploom.training.options import TrainOptions, option


class ToyBatches:
    """Noisy sums of the inputs, (time, batch, 2) to (time, batch, 1)."""

    def __init__(
        self, seed: int = 0, count: int = 7, rows: int = 4, carries_state: bool = False, pause: float = 0.0
    ) -> None:
        self.seed, self.count, self.rows, self.carries_state, self.pause = seed, count, rows, carries_state, pause

    def __len__(self) -> int:
        return self.count

    def batch(self, epoch: int, index: int, rank: int = 0, world: int = 1) -> dict[str, Tensor]:
        time.sleep(self.pause)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch * 1009 + index)
        x = torch.randn(5, self.rows, 2, generator=generator)
        mask = torch.rand(5, self.rows, generator=generator) < 0.8
        y = x.cumsum(0).sum(-1) * 0.3
        if self.carries_state:
            chosen = share(self.rows, rank, world)
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


class ToyOptions(TrainOptions):
    """Options of the toy task."""

    hidden_size: int = option(6, "size", ge=1)
    rows: int = option(4, "rows of a batch", ge=1)
    steps: int = option(7, "batches an epoch", ge=1)
    stream: bool = option(False, "carry the state from batch to batch")
    pause: float = option(0.0, "seconds that a batch takes to read", ge=0)


class ToyTask(Task):
    """Learns sums; the data file holds the seed of the made-up data."""

    name = "toy"
    summary = "Sums of numbers."
    TrainOptions = ToyOptions

    @classmethod
    def prepare(
        cls, options: Any, train: Sequence[Path], valid: Sequence[Path] = (), test: Sequence[Path] = ()
    ) -> Prepared[Any]:
        text = train[0].read_text().strip()
        if not text.isdigit():
            raise DataError("expected a whole number", file=train[0], row=1)
        task = cls(options, {"seed": {"seed": int(text)}})
        batches = ToyBatches(int(text), options.steps, options.rows, options.stream, options.pause)
        return Prepared(task, batches, ToyBatches(99, 3, options.rows, options.stream), 99, Files(test) or None)

    def build(self) -> ToyNetwork:
        return ToyNetwork(self.options.dropout, self.options.hidden_size)

    def describe(self, loss: float) -> dict[str, float]:
        return {"rmse": loss**0.5}

    def evaluate(self, network: Any, data: object, options: Any) -> Evaluation:
        seed = int(data[0].read_text()) if isinstance(data, Files) else 99
        with torch.no_grad():
            result = network.loss(ToyBatches(seed).batch(0, 0), None)
        return Evaluation({"mse": float(result.total / result.weight)}, {"zero": {"mse": 1.0}})

    def predict(self, network: Any, data: Path | None, options: Any) -> Prediction:
        text = f"{float(next(network.parameters()).detach().sum()):.6f}\n"
        return Prediction(text, lambda path: path.write_text(text) and None)

    def plot(self, network: Any, data: Sequence[Path], path: Path) -> None:
        path.write_bytes(b"picture")
