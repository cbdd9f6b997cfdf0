"""Checks of the files that a command will write, before anything slow begins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from steploom.errors import OptionError

__all__ = ["check_output_file", "written_whole"]


def check_output_file(file: str | None, *data: Path, stream: bool = True) -> Path | None:
    """The path that `-o FILE` names; None for standard output.

    Args:
        file: what was typed, or None.
        data: the command's inputs, which must not be written over.
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
    if path.exists() and any(given.exists() and path.samefile(given) for given in data):
        raise OptionError(f"-o {file}: this is the file with the data. Name another file")
    return path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path to write to, whose file takes the place of `path` when the block ends, and vanishes where it fails.

    What is no plain file, such as a pipe or a device, is written to itself.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    target = path.resolve()
    part = target.with_name(f".{target.stem}.part{target.suffix}")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
