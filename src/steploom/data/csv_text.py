"""The text of a CSV file: its separator and the lines its rows stand on."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
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
        sizes = [len(row) for _, row, _ in _rows(path, sample, separator) if row]
        if sizes and sizes[0] > 1:
            counts[separator] = (len(set(sizes)) == 1, sizes[0])
    return max(counts, key=lambda s: counts[s]) if counts else ","


def numbered_rows(
    path: Path, text: bytes | str, separator: str, blank: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """The line number, counted from 1, and the cells of each row that is not blank; with `blank`, of blank ones too.

    Raises:
        DataError: a row cannot be read as CSV; or it goes on over several lines, and not because its author wrote line
            ends into a cell.
    """
    for number, row, lines in _rows(path, text, separator):
        if len(lines) > 1:
            _check_quotation(path, number, lines, separator)
        if row or blank:
            yield number, row


def _rows(path: Path, text: bytes | str, separator: str) -> Iterator[tuple[int, list[str], list[str]]]:
    """The line number, the cells and the lines of each row, however it is quoted."""
    if isinstance(text, bytes):
        # An undecodable tail can only come from a sample cut inside a character.
        text = text.decode("utf-8", "ignore")
    lines: list[str] = []
    reader = csv.reader(_kept(io.StringIO(text, newline=""), lines), delimiter=separator)
    while True:
        number = reader.line_num + 1
        lines.clear()
        try:
            with _cells_up_to(len(text)):
                row = next(reader, None)
        except csv.Error as error:
            raise DataError(f"this is no CSV ({error})", file=path, row=number) from None
        if row is None:
            return
        yield number, row, lines


def _kept(lines: Iterable[str], kept: list[str]) -> Iterator[str]:
    """The lines, each of which is also added to `kept`."""
    for line in lines:
        kept.append(line)
        yield line


def _check_quotation(path: Path, number: int, lines: list[str], separator: str) -> None:
    """Refuses a row of several lines in which quotation marks do not come in pairs.

    A single one at the beginning of a cell takes all rows into that cell up to the next one, or to the end of the file,
    and csv sees no fault in that.
    """
    try:
        with _cells_up_to(sum(map(len, lines))):
            next(csv.reader(lines, delimiter=separator, strict=True))
    except csv.Error as error:
        unclosed = "end of data" in str(error)
        raise DataError(
            f"a quotation mark opens a cell that {'nothing closes' if unclosed else 'is not closed in its row'}: "
            f"{len(lines):,} lines of the file would be one row",
            file=path,
            row=number,
            hint="Take the quotation mark out; or put the whole cell between two, and write those within it twice",
        ) from None


@contextmanager
def _cells_up_to(characters: int) -> Iterator[None]:
    """Lifts csv's limit of a cell, 131,072 characters, which holds for the whole process, while one row is read."""
    limit = csv.field_size_limit()
    csv.field_size_limit(max(characters, limit))
    try:
        yield
    finally:
        csv.field_size_limit(limit)
