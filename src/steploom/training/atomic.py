"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

__all__ = ["write_atomically"]


def write_atomically(path: Path, write: Callable[[BinaryIO], object] | bytes) -> None:
    """Writes `path` so that whatever kills the process leaves the old content or the new one, never a part.

    Args:
        path: the file to write or to replace.
        write: the content, or a function that writes it to the open file.
    """
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as file:
        if isinstance(write, bytes):
            file.write(write)
        else:
            write(file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    if os.name == "posix":
        # The new name is safe from a power cut only when the folder is on disk too.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
