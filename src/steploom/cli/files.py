"""Checks of the files that a command will write, before anything slow begins."""

from __future__ import annotations

from pathlib import Path

from steploom.errors import OptionError

__all__ = ["check_output_file"]


def check_output_file(file: str | None, data: Path | None = None, stream: bool = True) -> Path | None:
    """The path that `-o FILE` names; None for standard output.

    Args:
        file: what was typed, or None.
        data: the command's input, which must not be written over.
        stream: whether `-` means standard output.

    Raises:
        OptionError: a file cannot be made there.
    """
    if file is None or (stream and file == "-"):
        return None
    path = Path(file)
    if path.is_dir():
        raise OptionError(f"-o {file}: this is a folder. Name a file")
    if not path.parent.is_dir():
        raise OptionError(f"-o {file}: there is no folder {path.parent}. Make it, or name another file")
    if data is not None and path.exists() and data.exists() and path.samefile(data):
        raise OptionError(f"-o {file}: this is the file with the data. Name another file")
    return path
