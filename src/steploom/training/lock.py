"""One training at a time in a directory."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO

from steploom.errors import ModelDirectoryError

__all__ = ["LOCK", "only_training_in"]

LOCK = ".lock"

_held: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())


@contextmanager
def only_training_in(folder: Path) -> Iterator[None]:
    """Holds a lock on `folder`, DIR/last; the system releases it when the process ends, however it ends.

    The folder is made where it is not there. Who holds the lock may take it again.

    Raises:
        ModelDirectoryError: another process, or another thread, is training there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32" or folder.resolve() in _held.get():
        yield
        return
    with _locked(folder):
        token = _held.set(_held.get() | {folder.resolve()})
        try:
            yield
        finally:
            _held.reset(token)


def _locked(folder: Path) -> IO[str]:
    import fcntl

    while True:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise ModelDirectoryError(
                f"{folder.parent}: another process is training in this directory. Wait for it, or stop it"
            ) from None
        except OSError:
            # Some network file systems have no locks: then the user has to see to it.
            return file
        if _is_still(file, folder / LOCK):
            return file
        file.close()


def _is_still(file: IO[str], path: Path) -> bool:
    """Whether `path` names the open file: who gave up a training between opening and locking has removed it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
