"""What the tests of layers share."""

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded():
    """The same random numbers in every run of a test, in whatever order the tests run."""
    torch.manual_seed(0)
