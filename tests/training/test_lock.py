"""The lock of a directory: one holder, who may take it twice, and none left behind by a folder that was removed."""

import shutil
import sys
import threading
from pathlib import Path

import pytest

from steploom.errors import ModelDirectoryError
from steploom.training.lock import LOCK, only_training_in

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks on Windows")


def refused(folder: Path) -> bool:
    """Whether another thread is refused the lock."""
    found: list[bool] = []

    def ask() -> None:
        try:
            with only_training_in(folder):
                found.append(False)
        except ModelDirectoryError:
            found.append(True)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return found[0]


def test_who_holds_it_may_take_it_again_and_another_may_not(tmp_path):
    folder = tmp_path / "model" / "last"
    with only_training_in(folder):
        with only_training_in(folder):
            assert refused(folder)
        assert refused(folder)
    assert not refused(folder)


def test_a_removed_folder_can_be_locked_anew_and_then_by_one_alone(tmp_path):
    with only_training_in(tmp_path / "last"):
        shutil.rmtree(tmp_path / "last")
    with only_training_in(tmp_path / "last"):
        assert refused(tmp_path / "last")


def test_a_lock_on_a_file_that_was_removed_meanwhile_does_not_count(tmp_path, monkeypatch):
    """Between opening and locking, the holder gives up its training and removes the folder."""
    import fcntl

    real, folder = fcntl.flock, tmp_path / "last"

    def slow(file, flags):
        monkeypatch.setattr(fcntl, "flock", real)
        shutil.rmtree(folder)
        real(file, flags)

    monkeypatch.setattr(fcntl, "flock", slow)
    with only_training_in(folder):
        assert (folder / LOCK).exists() and refused(folder)
