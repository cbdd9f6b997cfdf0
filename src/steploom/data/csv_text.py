"""The text of a CSV file: its separator and the lines its rows stand on."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from steploom.errors import DataError

__all__ = ["find_separator", "numbered_rows"]

_SEPARATORS = (",", ";", "\t", "|")


def find_separator(path: Path, text: bytes) -> str:
    """The separator that splits every one of the first lines into the same number of cells; comma where none does."""
    rows = text[:65_536].split(b"\n")
    sample = b"\n".join(rows[:100] if len(rows) > 100 or len(text) <= 65_536 else rows[:-1])
    counts = {}
    for separator in _SEPARATORS:
        sizes = [len(row) for _, row in numbered_rows(path, sample, separator)]
        if sizes and sizes[0] > 1:
            counts[separator] = (len(set(sizes)) == 1, sizes[0])
    return max(counts, key=lambda s: counts[s]) if counts else ","


def numbered_rows(
    path: Path, text: bytes | str, separator: str, blank: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """The line number, counted from 1, and the cells of each row that is not blank; with `blank`, of blank ones too.

    Raises:
        DataError: a row cannot be read as CSV.
    """
    if isinstance(text, bytes):
        # An undecodable tail can only come from a sample cut inside a character.
        text = text.decode("utf-8", "ignore")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    while True:
        line = reader.line_num + 1
        try:
            with _cells_up_to(len(text)):
                row = next(reader, None)
        except csv.Error as error:
            raise DataError(f"this is no CSV ({error})", file=path, row=line) from None
        if row is None:
            return
        if row or blank:
            yield line, row


@contextmanager
def _cells_up_to(characters: int) -> Iterator[None]:
    """Lifts csv's limit of a cell, 131,072 characters, which holds for the whole process, while one row is read."""
    limit = csv.field_size_limit()
    csv.field_size_limit(max(characters, limit))
    try:
        yield
    finally:
        csv.field_size_limit(limit)
