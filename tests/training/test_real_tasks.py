"""The promises of training, kept by the tasks themselves through the command line. Minutes long."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

STEPLOOM = [sys.executable, "-m", "steploom"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "steploom"]
PLANS = {
    "forecast": "--horizon 6 --context 24 --hidden-size 8 --batch-size 16 --batches-per-epoch 25",
    "generate": "--unit words --hidden-size 12 --batch-size 5 --bptt 16",
    "embed": "--hidden-size 8 --embedding-size 6 --decoder-size 8 --batch-size 5",
    "classify": "--hidden-size 12 --batch-size 4 --word-dropout 0 --bidirectional",
    "classify trees": "--hidden-size 12 --batch-size 4 --word-dropout 0",
    "tag": "--hidden-size 8 --embedding-size 6 --character-hidden-size 4 --batch-size 5",
    "translate": "--unit words --hidden-size 8 --batch-size 5",
}
# What is drawn at random in training whatever --dropout says differs between processes.
KILLED = PLANS | {"classify images": "--hidden-size 12 --batch-size 4 --shift 1"}
DATA = {
    "classify": "labelled.tsv",
    "classify images": "images.npz",
    "classify trees": "trees.txt",
    "embed": "text.txt",
    "forecast": "series.csv",
    "generate": "text.txt",
    "tag": "tagged.txt",
    "translate": "pairs.tsv",
}


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def command(task: str, folder: Path, out: str, *more: str) -> list[str]:
    data = str(folder / DATA[task])
    return ["train", task.split()[0], data, "-o", str(folder / out), *KILLED[task].split(), *more]


def run(words: list[str], start: list[str] = STEPLOOM) -> None:
    done = subprocess.run([*start, *words], capture_output=True, text=True, env=environment(), timeout=2000)
    assert done.returncode == 0, done.stderr


def rows(directory: Path) -> list[dict]:
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in lines]


@pytest.fixture
def files(tmp_path) -> Path:
    chosen = random.Random(0)
    times = (f"2024-{1 + day // 28:02d}-{1 + day % 28:02d} {hour:02d}:00" for day in range(56) for hour in range(24))
    lines = [
        f"{at},{10 + number % 24 + chosen.gauss(0, 0.3):.3f}" for number, at in enumerate(times) if number < 24 * 28
    ]
    (tmp_path / "series.csv").write_text("ds,y\n" + "\n".join(lines) + "\n")
    words = [f"word{number}" for number in range(12)]
    sentences = (" ".join(chosen.choices(words, k=20)) for _ in range(150))
    (tmp_path / "text.txt").write_text("\n".join(sentences) + "\n")
    texts = (" ".join(chosen.choices(words[number % 3 :], k=4 + number % 9)) for number in range(150))
    labelled = (f"{number % 3}\t{text}\n" for number, text in enumerate(texts))
    (tmp_path / "labelled.tsv").write_text("".join(labelled))
    # Some trees have no inner node.
    leaves = (" ".join(f"(1 {word})" for word in words[: 1 + number % 4]) for number in range(150))
    trees = (f"({number % 3} {below if number % 4 else 'alone'})" for number, below in enumerate(leaves))
    (tmp_path / "trees.txt").write_text("\n".join(trees) + "\n")
    images = np.random.default_rng(0).integers(0, 256, (150, 6, 6), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", x=images, y=np.arange(150) % 3)
    lengths = (length for length in range(1, 16) for _ in range(10))
    blocks = ("".join(f"{word} {word[4:]}\n" for word in chosen.choices(words, k=length)) for length in lengths)
    (tmp_path / "tagged.txt").write_text("\n".join(blocks))
    drawn = [chosen.choices(words, k=1 + number % 12) for number in range(150)]
    pairs = (f"{' '.join(line)}\t{' '.join(reversed(line))}\n" for line in drawn)
    (tmp_path / "pairs.tsv").write_text("".join(pairs))
    return tmp_path


def complete(directory: Path) -> bool:
    """Whether the model there is the one that the training ends with."""
    file = directory / "model.json"
    return file.exists() and json.loads(file.read_text())["training"]["stopped"] != "interrupted"


@pytest.mark.parametrize("task", KILLED)
def test_killed_ten_times_at_random_moments(files, task):
    """Bit-equal weights, with dropout, a mean of the weights and a schedule in play."""
    plan = ("--epochs", "3", "--checkpoint-steps", "3")
    run(command(task, files, "whole", *plan))
    directory, moments = files / "killed", random.Random(1)
    checkpoint, words = directory / "last" / "checkpoint.pt", command(task, files, "killed", *plan)
    kills = 0
    while kills < 10 and not complete(directory):
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        process = subprocess.Popen([*STEPLOOM, *words], env=environment(), stderr=subprocess.PIPE)
        while process.poll() is None and (not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before):
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.03))
        kills += process.poll() is None
        process.kill()
        process.communicate()
        words = ["resume", str(directory)]
    assert kills == 10, "the training was too short for ten kills"
    run(["resume", str(directory)])
    whole, killed = (load_file(path / "weights.safetensors") for path in (files / "whole", directory))
    assert all(torch.equal(value, killed[name]) for name, value in whole.items())
    assert rows(directory) == rows(files / "whole")


@pytest.mark.parametrize("start", ["--devices", "torchrun"])
@pytest.mark.parametrize("task", PLANS)
def test_two_processes_train_to_the_losses_of_one(files, task, start):
    plan = ("--epochs", "2", "--dropout", "0", "--batches-per-epoch", "25")[: 6 if task == "forecast" else 4]
    run(command(task, files, "one", *plan))
    if start == "torchrun":
        run(command(task, files, "two", *plan), TORCHRUN)
    else:
        run(command(task, files, "two", *plan, "--devices", "2"))
    one, two = rows(files / "one"), rows(files / "two")
    assert len(one) == len(two) == 2 and one[-1]["step"] >= 50
    for ours, theirs in zip(one, two, strict=True):
        for name in ("train_loss", "valid_loss"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-4)
    assert {p.name for p in files.iterdir()} == {*DATA.values(), "one", "two"}
    scored = ["--running-text"] if task == "embed" else []
    run(["evaluate", str(files / "two"), str(files / DATA[task]), *scored])
