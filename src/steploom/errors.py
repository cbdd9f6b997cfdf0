"""The errors that a user can meet. The command line prints their message alone and exits with code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

__all__ = [
    "CellError",
    "DataError",
    "ModelDirectoryError",
    "OptionError",
    "SteploomError",
    "UnsupportedOperation",
    "nearest",
]


class SteploomError(Exception):
    """A mistake that the user can mend: the message says what, where, what was expected and what to do."""


class OptionError(SteploomError):
    """An option or an argument has a value that cannot be used."""


class CellError(SteploomError):
    """A cell breaks the contract of `steploom.Cell`, or cannot be found."""


class UnsupportedOperation(CellError):
    """A step does something that a program cannot say exactly; the reference engine can still run it.

    Args:
        what: what it does, one sentence without the final stop.
        source: "file.py:31", the line of the cell.
        hint: what to write instead.
    """

    def __init__(self, what: str, *, source: str | None = None, hint: str | None = None) -> None:
        self.source = source
        place = f" ({source})" if source else ""
        super().__init__(f"{what}{place}.{f' {hint}' if hint else ''}")


class ModelDirectoryError(SteploomError):
    """A model directory is missing, incomplete, damaged, or must not be overwritten."""


class DataError(SteploomError):
    """A user's file holds something that cannot be used.

    Args:
        what: what was found and what was expected, one sentence without the final stop.
        file: the file it stands in.
        row: line number in the file, counted from 1, the header included.
        column: name of the column.
        hint: what to do about it.
    """

    def __init__(
        self,
        what: str,
        *,
        file: str | Path | None = None,
        row: int | None = None,
        column: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.file, self.row, self.column = file, row, column
        place = [str(file)] if file is not None else []
        place += [f"row {row}"] if row is not None else []
        place += [f"column '{column}'"] if column is not None else []
        message = f"{', '.join(place)}: {what}" if place else what
        super().__init__(f"{message}. {hint}" if hint else message)


def nearest(name: str, choices: Iterable[str]) -> str:
    """ " Did you mean 'x'?" for the choice that is closest to `name`, or an empty string where none is close.

    Of several that are as close it is the first.
    Hyphens before an option do not make it any closer to another.
    """
    bare = {choice.lstrip("-").lower(): choice for choice in choices}
    word = name.lstrip("-").lower()
    close = set(difflib.get_close_matches(word, bare, n=len(bare) or 1, cutoff=0.6))
    in_order = (choice for choice in bare if choice in close)
    found = max(in_order, key=lambda choice: difflib.SequenceMatcher(None, choice, word).ratio(), default=None)
    return "" if found is None else f" Did you mean '{bare[found]}'?"
