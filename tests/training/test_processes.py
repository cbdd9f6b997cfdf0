"""Two processes train like one, and leave one model directory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from steploom.tasks.train import resume, train
from steploom.training.processes import devices_and_nodes, group_taken_down, is_main_process

SCRIPT = Path(__file__).with_name("toy_run.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]


@pytest.mark.parametrize(
    ("environment", "main"),
    [
        ({}, True),
        ({"LOCAL_RANK": "0"}, True),
        ({"LOCAL_RANK": "1"}, False),
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, False),
        ({"RANK": "2", "LOCAL_RANK": "0"}, False),
        ({"SLURM_PROCID": "1"}, False),
    ],
)
def test_the_main_process_is_known_by_its_environment(monkeypatch, environment, main):
    for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK", "NODE_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_main_process() is main


def test_what_torchrun_started_counts_more_than_the_options(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert devices_and_nodes(3, 2) == (3, 2)
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8"}.items():
        monkeypatch.setenv(name, value)
    assert devices_and_nodes(1, 1) == (4, 2)


@pytest.fixture
def opened(tmp_path):
    def opened() -> None:
        torch.distributed.init_process_group("gloo", f"file://{tmp_path / 'store'}", rank=0, world_size=1)

    yield opened
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def test_a_group_opened_by_the_training_is_taken_down(opened):
    with pytest.raises(KeyboardInterrupt), group_taken_down():
        opened()
        raise KeyboardInterrupt
    assert not torch.distributed.is_initialized()


def test_a_group_of_the_callers_own_stays(opened):
    opened()
    with group_taken_down():
        assert torch.distributed.is_initialized()
    assert torch.distributed.is_initialized()


def rows(directory: Path) -> list[dict]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def assert_same_losses(one: Path, two: Path) -> None:
    assert len(rows(one)) == len(rows(two))
    for ours, theirs in zip(rows(one), rows(two), strict=True):
        for name in ("train_loss", "valid_loss"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-4)


def run(command: list[str], *words: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([*command, str(SCRIPT), *words], capture_output=True, text=True, env=environment, timeout=300)


def test_two_processes_train_like_one_and_a_single_one_can_go_on(tmp_path, toy_task):
    """50 steps on streams, batches of 5 columns, so that the shares differ; then 20 more by one process alone."""
    data = tmp_path / "data.txt"
    data.write_text("4\n")
    plan = {"epochs": 5, "stream": True, "steps": 10, "rows": 5, "optimizer": "sgd", "lr": 0.1, "momentum": 0.5}
    train("toy", data, tmp_path / "one", **plan)
    words = [f"{name}={json.dumps(value)}" for name, value in plan.items()]
    done = run([sys.executable], "train", str(tmp_path / "two"), str(data), *words, "devices=2")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1 and done.stderr == ""
    assert_same_losses(tmp_path / "one", tmp_path / "two")
    run_file = tmp_path / "two" / "last" / "run.json"
    run_file.write_text(run_file.read_text().replace('"devices": 2', '"devices": 1'))
    resume(tmp_path / "two", epochs=7)
    resume(tmp_path / "one", epochs=7)
    assert_same_losses(tmp_path / "one", tmp_path / "two")
    one, two = (load_file(tmp_path / name / "weights.safetensors") for name in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_torchrun_leaves_one_model_directory_and_refuses_a_second(tmp_path, toy_task):
    data = tmp_path / "data.txt"
    data.write_text("4\n")
    train("toy", data, tmp_path / "one", epochs=2)
    done = run(TORCHRUN, "train", str(tmp_path / "two"), str(data), "epochs=2")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert_same_losses(tmp_path / "one", tmp_path / "two")
    assert {p.name for p in tmp_path.iterdir()} == {"data.txt", "one", "two"}
    before = (tmp_path / "two" / "model.json").read_bytes()
    again = run(TORCHRUN, "train", str(tmp_path / "two"), str(data), "epochs=2")
    assert again.returncode != 0 and again.stderr.count("there is a model in this directory already") == 1
    assert (tmp_path / "two" / "model.json").read_bytes() == before


@pytest.mark.slow
def test_two_processes_resume_exactly(tmp_path, toy_task):
    data = tmp_path / "data.txt"
    data.write_text("4\n")
    plan = ["stream=true", "devices=2", "rows=5", "dropout=0.2"]
    for name, epochs in (("whole", 4), ("parts", 2)):
        done = run([sys.executable], "train", str(tmp_path / name), str(data), *plan, f"epochs={epochs}")
        assert done.returncode == 0, done.stderr
    done = run([sys.executable], "resume", str(tmp_path / "parts"), "epochs=4")
    assert done.returncode == 0, done.stderr
    whole, parts = (load_file(tmp_path / name / "weights.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())
