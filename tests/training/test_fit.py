"""Training: it learns, keeps the best weights, ends when it should, and leaves nothing behind outside its directory."""

import json
import random
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy import ToyBatches, toy_network

from steploom.errors import SteploomError
from steploom.training.fit import FitResult, fit
from steploom.training.options import TrainOptions


def run(
    directory: Path, valid: ToyBatches | None = None, network=None, train=None, **options
) -> tuple[FitResult, torch.nn.Module]:
    directory.mkdir(exist_ok=True)
    network = network or toy_network()
    settings = TrainOptions.checked({"lr": 0.02, "epochs": 3, **options})
    result = fit(network, train or ToyBatches(), valid, settings, directory, lambda loss: {"rmse": loss**0.5})
    return result, network


def rows(directory: Path) -> list[dict]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def validation_loss(network, batches) -> float:
    network.eval()
    with torch.no_grad():
        parts = [network.loss(batches.batch(0, i), None) for i in range(len(batches))]
    return float(sum(p.total for p in parts) / sum(p.weight for p in parts))


def test_it_learns_and_keeps_the_best_weights(tmp_path):
    valid = ToyBatches(9, 3)
    result, network = run(tmp_path, valid, epochs=6, lr=0.3, optimizer="adam")
    losses = [row["valid_loss"] for row in rows(tmp_path)]
    assert (result.epochs, result.steps, result.stopped) == (6, 42, "epochs")
    assert losses[-1] > min(losses), "the last weights must not be the best ones for this test to say anything"
    assert result.best_valid_loss == min(losses)
    assert validation_loss(network, valid) == pytest.approx(min(losses), rel=1e-6)


def test_without_validation_the_last_weights_are_kept(tmp_path):
    result, network = run(tmp_path)
    assert result.best_valid_loss is None and result.has_weights
    kept = torch.load(tmp_path / "last" / "checkpoint.pt", weights_only=True)["network"]
    assert all(torch.equal(value, kept[name]) for name, value in network.state_dict().items())


def test_patience_ends_training(tmp_path):
    result, _ = run(tmp_path, ToyBatches(9, 3), epochs=50, lr=1.0, patience=2, clip_norm=0)
    losses = [row["valid_loss"] for row in rows(tmp_path)]
    assert result.stopped == "patience"
    assert len(losses) - 1 - losses.index(min(losses)) == 2


def test_max_minutes_ends_training_within_an_epoch_and_still_validates(tmp_path):
    slow = ToyBatches(0, 1000, pause=0.02)
    result, _ = run(tmp_path, ToyBatches(9, 3), train=slow, max_minutes=0.6 / 60)
    assert result.stopped == "time" and result.epochs == 0
    assert 0.55 < result.seconds < 2.5
    (row,) = rows(tmp_path)
    assert row["step"] == result.steps and row["valid_loss"] == result.best_valid_loss
    assert 0 < row["epoch"] < 1


def test_the_caller_keeps_random_state_threads_and_warnings(tmp_path, capfd):
    torch.manual_seed(5)
    random.seed(5)
    before = (
        torch.get_rng_state(),
        random.getstate(),
        torch.get_num_threads(),
        list(warnings.filters),
        torch.is_grad_enabled(),
    )
    run(tmp_path / "model", ToyBatches(9, 2))
    after = (
        torch.get_rng_state(),
        random.getstate(),
        torch.get_num_threads(),
        list(warnings.filters),
        torch.is_grad_enabled(),
    )
    assert torch.equal(before[0], after[0]) and before[1:] == after[1:]
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_nothing_is_written_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(tmp_path / "model", ToyBatches(9, 2))
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert {p.name for p in (tmp_path / "model").iterdir()} == {"last", "metrics.jsonl", "curves.png", "train.log"}


def test_a_seed_gives_the_same_weights_and_another_seed_others(tmp_path):
    networks = [run(tmp_path / str(i), seed=seed)[1] for i, seed in enumerate((1, 1, 2))]
    first, again, other = (torch.cat([p.flatten() for p in n.parameters()]) for n in networks)
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("reported", [False, True])
def test_a_loss_that_is_not_finite_is_an_error_and_never_saved(tmp_path, reported):
    class Bad(ToyBatches):
        def batch(self, epoch, index, rank=0, world=1):
            batch = super().batch(epoch, index, rank, world)
            if (epoch, index) == (1, 2):
                batch["y"] = batch["y"] * float("nan")
            return batch

    network = toy_network()
    if reported:
        loss = network.loss
        network.loss = lambda batch, carry: replace(loss(batch, carry), reported=torch.ones(()))
    with pytest.raises(SteploomError, match=r"epoch 2, step 10.*--lr"):
        run(tmp_path, train=Bad(), network=network, checkpoint_steps=1)
    kept = torch.load(tmp_path / "last" / "checkpoint.pt", weights_only=True)
    assert kept["state"]["step"] == 9
    assert all(value.isfinite().all() for value in kept["network"].values())


def test_a_loss_that_is_reported_changes_what_is_read_alone(tmp_path):
    _, plain = run(tmp_path / "plain")
    network = toy_network()
    loss = network.loss

    def with_reported(batch, carry):
        found = loss(batch, carry)
        return replace(found, reported=torch.as_tensor(found.weight * 9.0))

    network.loss = with_reported
    _, reported = run(tmp_path / "reported", network=network)
    assert [(row["train_loss"], row["train_rmse"]) for row in rows(tmp_path / "reported")] == [(9.0, 3.0)] * 3
    assert rows(tmp_path / "plain")[0]["train_loss"] != 9.0
    mine = reported.state_dict()
    assert all(torch.equal(value, mine[name]) for name, value in plain.state_dict().items())


def test_the_loss_of_a_step_weighs_each_term_alike(tmp_path):
    """One step of plain gradient descent, by hand: batch loss is sum / count, whatever the masks."""
    network, batches = toy_network(dropout=0.0), ToyBatches(count=1)
    by_hand = toy_network(dropout=0.0)
    result = by_hand.loss(batches.batch(0, 0), None)
    (result.total / result.weight).backward()
    run(tmp_path, network=network, train=batches, epochs=1, lr=0.5, optimizer="sgd", clip_norm=0)
    for ours, theirs in zip(network.parameters(), by_hand.parameters(), strict=True):
        assert theirs.grad is not None
        torch.testing.assert_close(ours.detach(), theirs.detach() - 0.5 * theirs.grad)


@pytest.mark.parametrize("clip", [{"clip_norm": 0.01, "clip_value": 0}, {"clip_norm": 0, "clip_value": 1e-4}])
def test_a_step_is_clipped(tmp_path, clip):
    network, before = toy_network(), torch.cat([p.detach().flatten() for p in toy_network().parameters()])
    run(tmp_path, network=network, train=ToyBatches(count=1), epochs=1, lr=1.0, optimizer="sgd", **clip)
    change = torch.cat([p.detach().flatten() for p in network.parameters()]) - before
    if clip["clip_norm"]:
        assert float(change.norm()) == pytest.approx(0.01, rel=1e-3)
    else:
        assert float(change.abs().max()) == pytest.approx(1e-4, rel=1e-2)


def test_the_rate_of_the_schedule_is_the_one_used(tmp_path):
    """One step of gradient descent at half of the rate, by warm-up."""
    full, half = toy_network(), toy_network()
    run(tmp_path / "full", network=full, train=ToyBatches(count=1), epochs=1, lr=0.5, optimizer="sgd")
    run(tmp_path / "half", network=half, train=ToyBatches(count=1), epochs=1, lr=1.0, optimizer="sgd", warmup=2)
    for ours, theirs in zip(half.parameters(), full.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_carried_state_is_detached_and_reset_at_the_epoch(tmp_path):
    """Truncated BPTT by hand over two epochs of contiguous streams."""
    batches = ToyBatches(carries_state=True, count=3)
    network, by_hand = toy_network(dropout=0.0), toy_network(dropout=0.0)
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.1)
    for epoch in range(2):
        carry = None
        for index in range(3):
            result = by_hand.loss(batches.batch(epoch, index), carry)
            carry = tuple(s.detach() for s in result.carry)
            optimizer.zero_grad()
            (result.total / result.weight).backward()
            optimizer.step()
    run(tmp_path, network=network, train=batches, epochs=2, lr=0.1, optimizer="sgd", clip_norm=0)
    for ours, theirs in zip(network.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_mean_of_the_weights_is_what_is_validated_and_kept(tmp_path):
    valid = ToyBatches(9, 3)
    plain, last = run(tmp_path / "plain", None, epochs=2, lr=0.3, optimizer="sgd")
    result, network = run(tmp_path / "mean", valid, epochs=2, lr=0.3, optimizer="sgd", average=0.9)
    kept = torch.load(tmp_path / "mean" / "last" / "checkpoint.pt", weights_only=True)
    assert all(torch.equal(a, b) for a, b in zip(last.parameters(), kept["network"].values(), strict=True))
    assert validation_loss(network, valid) == pytest.approx(result.best_valid_loss, rel=1e-6)
    assert not torch.equal(next(network.parameters()), next(last.parameters()))
    assert plain.steps == result.steps


def test_the_mean_of_the_weights_is_kept_without_validation_too(tmp_path):
    options = {"epochs": 2, "lr": 0.3, "optimizer": "sgd", "average": 0.9}
    _, network = run(tmp_path / "mean", None, **options)
    kept = torch.load(tmp_path / "mean" / "last" / "checkpoint.pt", weights_only=True)
    for ours, mean in zip(network.parameters(), kept["average"], strict=True):
        assert torch.equal(ours, mean)
    assert not torch.equal(next(network.parameters()), next(iter(kept["network"].values())))
