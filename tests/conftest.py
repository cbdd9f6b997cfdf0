"""What all tests share."""

import os
from pathlib import Path

import pytest

# The tests are small: a second thread gains nothing, and on a busy machine the two wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; a user's machine has none of it."""
    folder = Path(os.environ.get("STEPLOOM_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data sets are not here: {folder} (set STEPLOOM_DATA)")
    return folder
