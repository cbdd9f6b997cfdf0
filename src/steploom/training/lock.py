"""One training at a time in a directory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from steploom.errors import ModelDirectoryError

__all__ = ["only_training_in"]


@contextmanager
def only_training_in(folder: Path) -> Iterator[None]:
    """Holds a lock on `folder`; the system releases it when the process ends, however it ends.

    Raises:
        ModelDirectoryError: another process is training there.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ModelDirectoryError(
                f"{folder.parent}: another process is training in this directory. Wait for it, or stop it"
            ) from None
        except OSError:
            # Some network file systems have no locks: then the user has to see to it.
            pass
        yield
