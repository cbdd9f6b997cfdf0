"""Training anew: as by hand, and the same each time."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from steploom.errors import SteploomError
from steploom.models.network import Carry, Loss
from steploom.training.fit import FitResult, fit
from steploom.training.options import TrainOptions
from steploom.training.refit import refit, steps_of_refit
from tests.training.test_progress import Terminal
from tests.training.toy import ToyBatches, ToyNetwork, toy_network


def refitted(**options: object) -> ToyNetwork:
    network = toy_network()
    refit(network, ToyBatches(), TrainOptions.checked({"optimizer": "sgd", "lr": 0.1, "warmup": 3, **options}))
    return network


def test_it_is_a_loop_over_the_batches() -> None:
    by_hand = toy_network(dropout=0.0)
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.1)
    for step in range(7):
        loss = by_hand.loss(ToyBatches().batch(0, step), None)
        optimizer.zero_grad()
        (loss.total / loss.weight).backward()
        optimizer.param_groups[0]["lr"] = 0.1 * min(1, (step + 1) / 3) * 0.5 * (1 + math.cos(math.pi * step / 7))
        torch.nn.utils.clip_grad_norm_(by_hand.parameters(), 0.5)
        optimizer.step()
    network = toy_network(dropout=0.0)
    refit(network, ToyBatches(), TrainOptions(optimizer="sgd", lr=0.1, warmup=3, clip_norm=0.5))
    for ours, theirs in zip(network.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert not network.training


def test_it_gives_the_same_weights_each_time_and_leaves_the_random_state() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = refitted()
    assert torch.equal(torch.rand(1), expected)
    second, other = refitted(), refitted(seed=1)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


def test_the_steps_go_as_far_as_the_best_weights_had_gone() -> None:
    def steps(best: int | None, rates: float, made: int = 400, **options: object) -> int:
        checked = TrainOptions.checked({"epochs": 10, "lr": 0.01, **options})
        return steps_of_refit(FitResult(8, made, 0.5, best, rates, "patience", 1.0, True), checked)

    assert steps(None, 0.0) == 0
    assert steps(100, 1.0) == 200  # at a constant rate, as far as 200 steps along a cosine
    assert steps(300, 3.0) == 400  # but no more than were made
    assert steps(300, 1.6) == 320  # the rates that were used count: here the clock or a plateau cut them
    assert steps(100, 0.9, warmup=20) == 200


@pytest.mark.parametrize("plan", [{"schedule": "plateau", "lr": 0.5, "decay": 0.3}, {"schedule": "cosine"}])
def test_the_rates_that_were_used_are_summed(tmp_path: Path, plan: dict[str, object]) -> None:
    options = TrainOptions.checked({"epochs": 9, "lr": 0.02, "warmup": 2, **plan})
    result = fit(toy_network(), ToyBatches(count=1), ToyBatches(9, 2), options, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert result.best_step is not None and len({row["lr"] for row in rows}) > 2
    assert result.best_rates == pytest.approx(sum(row["lr"] for row in rows[: result.best_step]))


class Watching(ToyNetwork):
    """Notes how it was asked for its loss, and answers step `bad` with NaN."""

    bad = -1

    def __init__(self) -> None:
        super().__init__(dropout=0.0)
        self.seen: list[bool] = []

    def loss(self, batch: dict[str, Tensor], carry: Carry | None) -> Loss:
        self.seen.append(torch.is_autocast_enabled("cpu"))
        result = super().loss(batch, carry)
        return Loss(result.total * (math.nan if len(self.seen) == self.bad else 1.0), result.weight)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_computes_in_the_precision_of_the_training(precision: str) -> None:
    network = Watching()
    refit(network, ToyBatches(), TrainOptions.checked({"precision": precision}))
    assert network.seen == [precision == "bfloat16"] * 7
    assert all(p.dtype == torch.float32 and p.device.type == "cpu" for p in network.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the machine has no GPU")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_it_computes_where_the_training_does(precision: str) -> None:
    network = toy_network(dropout=0.0)
    state = torch.cuda.get_rng_state()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.max_memory_allocated()
    options = {"optimizer": "sgd", "lr": 0.1, "warmup": 3}
    refit(network, ToyBatches(), TrainOptions.checked({**options, "accelerator": "gpu", "precision": precision}))
    assert torch.cuda.max_memory_allocated() > before
    assert torch.equal(torch.cuda.get_rng_state(), state)
    expected = toy_network(dropout=0.0)
    refit(expected, ToyBatches(), TrainOptions.checked({**options, "accelerator": "cpu"}))
    for ours, theirs in zip(network.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 if precision == "float32" else 0.02)


@pytest.mark.parametrize("bad", [1, 7])
def test_a_loss_that_is_no_number_is_an_error(bad: int) -> None:
    network = Watching()
    network.bad = bad
    with pytest.raises(SteploomError, match="not a finite number"):
        refit(network, ToyBatches(), TrainOptions())
    assert len(network.seen) == bad


def test_it_shows_its_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    refit(toy_network(), ToyBatches(count=3, pause=0.3), TrainOptions())
    assert "training anew" in screen.getvalue() and "loss" in screen.getvalue()
    screen.truncate(0)
    refit(toy_network(), ToyBatches(), TrainOptions(), progress=False)
    assert not screen.getvalue().strip("\0")
