"""Commands that messages tell people to run."""

from __future__ import annotations

import shlex
from pathlib import Path

__all__ = ["command"]


def command(name: str, *paths: Path, cell: str = "") -> str:
    """`steploom NAME PATH...` as a shell takes it, whatever the paths hold.

    Args:
        name: the command of Steploom.
        paths: its arguments.
        cell: the model's cell; named where it is code of the user's own.
    """
    words = ["steploom", name, *map(str, paths), *(["--cell", cell] if ":" in cell else [])]
    return shlex.join(words)
