"""What attention must be able to learn: to copy, reverse and sort sequences of up to 20 symbols. Minutes long."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def toy() -> ModuleType:
    path = Path(__file__).parents[2] / "examples" / "toy_sequences.py"
    spec = importlib.util.spec_from_file_location("toy_sequences", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("task", "hard", "goal"),
    [("copy", False, 0.99), ("reverse", False, 0.99), ("sort", False, 0.99), ("copy", True, 0.95)],
)
def test_it_is_learnt_within_three_minutes(toy, task, hard, goal):
    with torch.random.fork_rng():
        _, found, minutes = toy.train(task, hard=hard, goal=goal, minutes=3.0)
    assert found >= goal, f"{found:.1%} after {minutes:.1f} minutes"
