"""A user's text files: running text, lines, or one column of a table of lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from steploom.data.csv_text import numbered_rows
from steploom.data.file_bytes import read_bytes, utf8_of
from steploom.errors import DataError, OptionError, nearest

__all__ = ["read_lines", "read_text"]

_FORMATS = "Expected a text file in UTF-8 (also gzipped)"
_SUFFIXES = {".tsv": "\t", ".csv": ",", ".txt": "\t"}


def read_text(path: Path) -> str:
    """The text of a file, UTF-8, gzipped or not.

    A byte order mark is dropped, and Windows and old Macintosh line ends become "\\n".

    Raises:
        DataError: the file is missing, a folder, empty, or not UTF-8; the message names the row.
    """
    text = utf8_of(path, read_bytes(path, _FORMATS), _FORMATS).decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_lines(path: Path, column: str | None = None) -> list[str]:
    """The lines of a file that are not blank, or the cells of one column of a table, one a row.

    Args:
        path: a text file; with `column`, a table whose cells are separated by tabs, or by commas in a .csv file.
        column: None: the whole line. A number: that column, counted from 1, every row being data. Any other text: the
            column of that name in the first row.

    Raises:
        DataError: the file cannot be read, a row has too few cells, or no line holds anything.
        OptionError: there is no such column.
    """
    text = read_text(path)
    if column is None:
        lines = [line for line in text.split("\n") if line.strip()]
    else:
        lines = _column(path, text, column)
    if not lines:
        raise DataError("there is a header and no row below it", file=path)
    return lines


def _column(path: Path, text: str, column: str) -> list[str]:
    suffix = next((s for s in reversed(path.suffixes) if s != ".gz"), "")
    separator = _SUFFIXES.get(suffix, "\t")
    rows = _csv_rows(text, path) if separator == "," else _tab_rows(text)
    first = rows[0][1]
    if column.isdecimal():
        place = int(column) - 1
        if not 0 <= place < len(first):
            raise OptionError(f"--column: {path} has the columns 1 to {len(first)}, found {column}")
    elif column in first:
        place = first.index(column)
        rows = rows[1:]
    else:
        raise OptionError(
            f"--column: the first row of {path} has no '{column}'; it has {_shown(first)}.{nearest(column, first)} "
            f"Where the file has no header, give the column's number, 1 to {len(first)}."
        )
    cells = []
    for row, values in rows:
        if len(values) != len(first):
            raise DataError(
                f"expected {len(first)} cells as in the first row, found {len(values)}",
                file=path,
                row=row,
                column=column,
            )
        if values[place].strip():
            cells.append(values[place])
    return cells


def _tab_rows(text: str) -> list[tuple[int, list[str]]]:
    return [(i + 1, line.split("\t")) for i, line in enumerate(text.split("\n")) if line.strip()]


def _csv_rows(text: str, path: Path) -> list[tuple[int, list[str]]]:
    # A line end inside a quoted cell would end the line of text.
    return [(line, [cell.replace("\n", " ") for cell in row]) for line, row in numbered_rows(path, text, ",")]


def _shown(names: Sequence[str]) -> str:
    return ", ".join(f"'{name[:20]}'" for name in names[:8])
