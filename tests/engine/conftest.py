"""What the tests of engines share."""

import pytest
import torch

from steploom.engine.kernels import of_environment


@pytest.fixture(autouse=True)
def seeded():
    """The same random numbers in every run of a test, in whatever order the tests run."""
    torch.manual_seed(0)


@pytest.fixture
def kernels_of_environment(monkeypatch):
    """Sets STEPLOOM_ISA as if it had been set before the process began."""

    def set_to(isa: str) -> None:
        monkeypatch.setenv("STEPLOOM_ISA", isa)
        of_environment.cache_clear()

    yield set_to
    monkeypatch.undo()
    of_environment.cache_clear()
