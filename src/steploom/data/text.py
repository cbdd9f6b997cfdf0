"""A user's text files: running text, lines, or one column of a table of lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from steploom.data.csv_text import numbered_rows
from steploom.data.file_bytes import read_bytes, utf8_of
from steploom.errors import DataError, OptionError, nearest

__all__ = ["column_place", "read_lines", "read_text", "suffix_of", "table_rows"]

_FORMATS = "Expected a text file in UTF-8 (also gzipped)"


def read_text(path: Path) -> str:
    """The text of a file, UTF-8, gzipped or not.

    A byte order mark is dropped, and Windows and old Macintosh line ends become "\\n".

    Raises:
        DataError: the file is missing, a folder, empty, or not UTF-8; the message names the row.
    """
    text = utf8_of(path, read_bytes(path, _FORMATS), _FORMATS).decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def suffix_of(path: Path) -> str:
    """The ending of a file's name in lower case, without .gz."""
    return next((s.lower() for s in reversed(path.suffixes) if s.lower() != ".gz"), "")


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
    rows = table_rows(path, text)
    first = rows[0][1]
    place, named = column_place(path, first, column, "--column")
    rows = rows[1:] if named else rows
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


def table_rows(path: Path, text: str) -> list[tuple[int, list[str]]]:
    """The line number, counted from 1, and the cells of each row of a table that is not blank.

    The cells are separated by commas in a .csv file, else by tabs.
    """
    return _csv_rows(text, path) if suffix_of(path) == ".csv" else _tab_rows(text)


def column_place(path: Path, first: Sequence[str], column: str, option: str) -> tuple[int, bool]:
    """Where a column stands, counted from 0, and whether it was found by its name, so that the first row is a header.

    Args:
        path: the table.
        first: the cells of its first row.
        column: a number, counted from 1, or a name in the first row.
        option: the option that says it, for the message.

    Raises:
        OptionError: there is no such column.
    """
    if column.isdecimal():
        if not 0 < int(column) <= len(first):
            raise OptionError(f"{option}: {path} has the columns 1 to {len(first)}, found {column}")
        return int(column) - 1, False
    if column not in first:
        raise OptionError(
            f"{option}: the first row of {path} has no '{column}'; it has {_shown(first)}.{nearest(column, first)} "
            f"Where the file has no header, give the column's number, 1 to {len(first)}."
        )
    return first.index(column), True


def _tab_rows(text: str) -> list[tuple[int, list[str]]]:
    return [(i + 1, line.split("\t")) for i, line in enumerate(text.split("\n")) if line.strip()]


def _csv_rows(text: str, path: Path) -> list[tuple[int, list[str]]]:
    # A line end inside a quoted cell would end the line of text.
    return [(line, [cell.replace("\n", " ") for cell in row]) for line, row in numbered_rows(path, text, ",")]


def _shown(names: Sequence[str]) -> str:
    return ", ".join(f"'{name[:20]}'" for name in names[:8])
