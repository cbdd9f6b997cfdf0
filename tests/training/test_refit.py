"""Training anew: as by hand, and the same each time."""

from __future__ import annotations

import math

import torch

from steploom.training.fit import FitResult
from steploom.training.options import TrainOptions
from steploom.training.refit import refit, steps_of_refit
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
    def steps(best: int | None, made: int = 400, **options: object) -> int:
        checked = TrainOptions.checked({"epochs": 10, "lr": 0.01, **options})
        return steps_of_refit(FitResult(8, made, 0.5, best, "patience", 1.0, True), checked, 50)

    assert steps(None) == 0
    assert steps(100) == 200  # at a constant rate, as far as 200 steps along a cosine
    assert steps(300) == 400  # but no more than were made
    early, late = steps(100, schedule="cosine"), steps(500, made=500, schedule="cosine")
    assert 190 < early < 200 and late == 500
    assert steps(100, warmup=20) in range(200, 203)
