"""The toy network and the toy task, importable by name in these tests."""

import sys
from pathlib import Path

import pytest

from steploom.tasks.registry import TASKS

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def toy_task(monkeypatch):
    """The task "toy" stands in the registry."""
    monkeypatch.setitem(TASKS, "toy", "toy:ToyTask")
