"""A training that was killed and resumed ends with the bits of one that was not."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from toy import ToyBatches, toy_network

from steploom.errors import ModelDirectoryError
from steploom.tasks.train import resume as steploom_resume
from steploom.tasks.train import train as steploom_train
from steploom.tasks.trained import load
from steploom.training import state as state_module
from steploom.training.fit import fit
from steploom.training.lock import LOCK
from steploom.training.options import TrainOptions
from steploom.training.state import State

SCRIPT = Path(__file__).with_name("toy_run.py")
VALID = ToyBatches(9, 2)


class Killed(Exception):
    pass


class Dying(ToyBatches):
    """Batches that end the training when the n-th is asked for."""

    calls = 0

    def batch(self, epoch, index, rank=0, world=1):
        self.calls += 1
        if self.calls == self.last:
            raise Killed
        return super().batch(epoch, index, rank, world)


def train(directory: Path, options: TrainOptions, stream: bool, dies_at: int = -1, resume: bool = False, valid=VALID):
    directory.mkdir(exist_ok=True)
    network = toy_network()
    batches = Dying(carries_state=stream)
    batches.last = dies_at
    result = fit(network, batches, valid, options, directory, resume=resume)
    return result, network


def content(directory: Path) -> list[dict]:
    rows = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


SETTINGS = {
    "adam": ({}, False),
    "stream and momentum": ({"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "schedule": "cosine"}, True),
    "mean of weights, plateau": ({"average": 0.8, "schedule": "plateau", "warmup": 5, "lr": 0.2}, True),
    "rmsprop, patience": ({"optimizer": "rmsprop", "momentum": 0.5, "patience": 2, "lr": 0.1}, False),
    "adamw, step": ({"optimizer": "adamw", "weight_decay": 0.1, "schedule": "step", "clip_value": 0.01}, False),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_killed_twice_and_resumed(tmp_path, name):
    given, stream = SETTINGS[name]
    options = TrainOptions.checked({"lr": 0.02, "epochs": 4, "checkpoint_steps": 3, **given})
    whole, expected = train(tmp_path / "whole", options, stream)
    for kills in ((2, 9), (11, 4), (16, 8)):
        directory = tmp_path / f"killed {kills}"
        for number, dies_at in enumerate(kills):
            with pytest.raises(Killed):
                train(directory, options, stream, dies_at, resume=number > 0)
        result, network = train(directory, options, stream, resume=True)
        assert (result.steps, result.best_valid_loss, result.stopped) == (
            whole.steps,
            whole.best_valid_loss,
            whole.stopped,
        )
        for key, value in network.state_dict().items():
            assert torch.equal(value, expected.state_dict()[key]), key
        assert content(directory) == content(tmp_path / "whole")


@pytest.mark.parametrize("valid", [VALID, None])
@pytest.mark.parametrize("step", [6, 7, 21])
def test_interrupted_within_a_step_and_resumed(tmp_path, step, valid):
    """Also within the last step of an epoch, 7 and 21, whose validation must not be lost."""
    options = TrainOptions.checked({"lr": 0.3, "epochs": 3, "average": 0.5, "schedule": "plateau"})
    _, expected = train(tmp_path / "whole", options, True, valid=valid)
    directory = tmp_path / "interrupted"
    directory.mkdir()
    network = toy_network()
    real, calls = network.loss, []

    def loss(batch, carry):
        calls.append(network.training)
        if sum(calls) == step and network.training:
            os.kill(os.getpid(), signal.SIGINT)
        return real(batch, carry)

    network.loss = loss
    result = fit(network, ToyBatches(carries_state=True), valid, options, directory)
    assert (result.steps, result.stopped) == (step, "interrupted" if step < 21 else "epochs")
    _, network = train(directory, options, True, resume=True, valid=valid)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), expected.parameters(), strict=True))
    assert content(directory) == content(tmp_path / "whole")


def test_a_checkpoint_at_the_end_of_an_epoch_and_one_after_each_step(tmp_path):
    for every in (0, 1):
        options = TrainOptions.checked({"lr": 0.02, "epochs": 2, "checkpoint_steps": every})
        _, expected = train(tmp_path / f"whole{every}", options, True)
        for dies_at in (1, 8, 9, 14):
            directory = tmp_path / f"{every} {dies_at}"
            with pytest.raises(Killed):
                train(directory, options, True, dies_at)
            _, network = train(directory, options, True, resume=True)
            assert all(torch.equal(a, b) for a, b in zip(network.parameters(), expected.parameters(), strict=True))


def test_more_epochs_than_planned_at_first(tmp_path):
    short, long = (TrainOptions.checked({"lr": 0.02, "epochs": n}) for n in (2, 4))
    _, expected = train(tmp_path / "whole", long, True)
    train(tmp_path / "longer", short, True)
    result, network = train(tmp_path / "longer", long, True, resume=True)
    assert result.epochs == 4
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), expected.parameters(), strict=True))
    assert content(tmp_path / "longer") == content(tmp_path / "whole")


def test_resuming_what_is_done_gives_the_best_weights_again(tmp_path):
    options = TrainOptions.checked({"lr": 0.3, "epochs": 3})
    first, expected = train(tmp_path, options, False)
    again, network = train(tmp_path, options, False, resume=True)
    assert again == first
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), expected.parameters(), strict=True))


@pytest.mark.parametrize("moment", ["best", "checkpoint"])
def test_killed_while_a_file_is_written(tmp_path, monkeypatch, moment):
    options = TrainOptions.checked({"lr": 0.02, "epochs": 3, "checkpoint_steps": 2})
    _, expected = train(tmp_path / "whole", options, True)
    real, written = torch.save, []

    def dying_save(content, file):
        written.append("checkpoint" if "state" in content else "best")
        if written.count(moment) == 2 and written[-1] == moment:
            file.write(b"half of the file")
            raise Killed
        real(content, file)

    monkeypatch.setattr(state_module.torch, "save", dying_save)
    with pytest.raises(Killed):
        train(tmp_path / "killed", options, True)
    monkeypatch.undo()
    _, network = train(tmp_path / "killed", options, True, resume=True)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), expected.parameters(), strict=True))
    assert sorted(p.suffix for p in (tmp_path / "killed" / "last").glob("best*")) == [".pt"]


def test_a_damaged_checkpoint_is_an_error(tmp_path):
    options = TrainOptions.checked({"epochs": 1})
    train(tmp_path, options, False)
    (tmp_path / "last" / "checkpoint.pt").write_bytes(b"no checkpoint")
    with pytest.raises(ModelDirectoryError, match=r"checkpoint\.pt: damaged"):
        train(tmp_path, options, False, resume=True)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks on Windows")
def test_a_directory_in_training_is_left_alone(tmp_path):
    import fcntl

    (tmp_path / "last").mkdir()
    with (tmp_path / "last" / LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ModelDirectoryError, match="another process is training"):
            train(tmp_path, TrainOptions.checked({"epochs": 1}), False)
    train(tmp_path, TrainOptions.checked({"epochs": 1}), False)


def start(*words: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def weights(directory: Path) -> dict[str, torch.Tensor]:
    return load_file(directory / "weights.safetensors")


PLAN = {"epochs": 4, "stream": True, "steps": 30, "dropout": 0.2, "pause": 0.01, "lr": 0.01, "checkpoint_steps": 4}


@pytest.fixture
def one_thread():
    """The sub-processes compute with one thread; so must what they are compared with."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def whole(tmp_path: Path, plan: dict) -> tuple[Path, list[str]]:
    """An uninterrupted training in this process, and the words that start the same one elsewhere."""
    data = tmp_path / "data.txt"
    data.write_text("3\n")
    steploom_train("toy", data, tmp_path / "whole", **plan)
    return tmp_path / "whole", [str(data), *(f"{name}={json.dumps(value)}" for name, value in plan.items())]


def checkpointed(directory: Path) -> int:
    file = directory / "last" / "checkpoint.pt"
    return file.stat().st_mtime_ns if file.exists() else 0


def complete(directory: Path) -> bool:
    """Whether the model there is the one that the training ends with."""
    file = directory / "model.json"
    return file.exists() and json.loads(file.read_text())["training"]["stopped"] != "interrupted"


def kill_at_random(tmp_path: Path, count: int) -> None:
    """Kills one training `count` times at random moments, then lets it end."""
    expected, words = whole(tmp_path, PLAN)
    directory, moments = tmp_path / "killed", random.Random(2)
    command = ["train", str(directory), *words]
    for _ in range(count):
        before = checkpointed(directory)
        process = start(*command)
        while checkpointed(directory) == before and process.poll() is None:
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.3))
        process.kill()
        process.communicate()
        command = ["resume", str(directory)]
        if complete(directory):
            break
    if not complete(directory):
        steploom_resume(directory)
    assert all(torch.equal(value, weights(expected)[name]) for name, value in weights(directory).items())
    assert content(directory) == content(expected)


def test_sigkill_at_random_moments(tmp_path, toy_task, one_thread):
    kill_at_random(tmp_path, 2)


@pytest.mark.slow
def test_sigkill_at_ten_random_moments(tmp_path, toy_task, one_thread):
    kill_at_random(tmp_path, 10)


def test_sigkill_before_the_first_checkpoint(tmp_path, toy_task, one_thread):
    expected, words = whole(tmp_path, {**PLAN, "checkpoint_steps": 0, "epochs": 1, "pause": 0.03})
    directory = tmp_path / "killed"
    process = start("train", str(directory), *words)
    while not (directory / "last" / "run.json").exists() and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert not checkpointed(directory)
    steploom_resume(directory)
    assert all(torch.equal(value, weights(expected)[name]) for name, value in weights(directory).items())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_cleanly_and_says_how_to_go_on(tmp_path, toy_task, one_thread, number):
    expected, words = whole(tmp_path, {"epochs": 3, "steps": 40, "dropout": 0.2, "pause": 0.02})
    directory = tmp_path / "stopped"
    process = start("train", str(directory), *words)
    while not checkpointed(directory) and process.poll() is None:
        time.sleep(0.005)
    time.sleep(0.2)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130 and out == ""
    assert f"Go on with: steploom resume {directory}" in err and "Traceback" not in err
    load(directory)
    steploom_resume(directory)
    assert all(torch.equal(value, weights(expected)[name]) for name, value in weights(directory).items())


def state_after(**values) -> State:
    """A checkpoint's state in the third of ten epochs, with one validation behind it."""
    return State(**{"epoch": 2, "step": 14, "seconds": 59.0, "rows": [{}], "best_loss": 1.0, "best_step": 7, **values})


@pytest.mark.parametrize(
    ("kept", "options", "stopped"),
    [
        ({}, {}, ""),
        ({"stopped": "interrupted"}, {}, ""),
        ({"seconds": 60.0}, {"max_minutes": 1.0}, "time"),
        ({"seconds": 60.0, "stopped": "interrupted"}, {"max_minutes": 1.0}, "time"),
        ({"seconds": 60.0, "stopped": "time"}, {"max_minutes": 1.0}, "time"),
        ({"seconds": 60.0, "stopped": "time"}, {"max_minutes": 2.0}, ""),
        ({"seconds": 60.0, "index": 3}, {"max_minutes": 1.0}, ""),  # what these steps gave is still to be validated
        ({"waited": 3, "stopped": "interrupted"}, {"patience": 3}, "patience"),
        ({"waited": 2, "stopped": "interrupted"}, {"patience": 3}, ""),
        ({"waited": 3, "stopped": "patience"}, {"patience": 4}, ""),
        ({"epoch": 10, "stopped": "interrupted"}, {}, "epochs"),
    ],
)
def test_limits_are_compared_before_a_step_is_made(kept, options, stopped):
    state = state_after(**kept)
    state.plan_again(TrainOptions.checked({"epochs": 10, **options}))
    assert state.stopped == stopped


def test_killed_when_the_time_was_up_and_resumed_validates_without_a_step(tmp_path):
    class DyingValidation(ToyBatches):
        def batch(self, epoch, index, rank=0, world=1):
            raise Killed

    slow = ToyBatches(count=1000, pause=0.02)
    options = TrainOptions.checked({"lr": 0.02, "epochs": 2, "max_minutes": 0.3 / 60, "average": 0.9})
    with pytest.raises(Killed):
        fit(toy_network(), slow, DyingValidation(9, 2), options, tmp_path)
    kept = torch.load(tmp_path / "last" / "checkpoint.pt", weights_only=True)
    network = toy_network()
    result = fit(network, slow, VALID, options, tmp_path, resume=True)
    assert (result.stopped, result.steps, result.best_step) == ("time", kept["state"]["step"], kept["state"]["step"])
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), kept["average"], strict=True))
    again = fit(toy_network(), slow, VALID, options, tmp_path, resume=True)
    assert (again.stopped, again.steps) == ("time", result.steps)
