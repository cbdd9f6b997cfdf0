"""A user's text files: running text, lines, or one column of a table of lines."""

from __future__ import annotations

from pathlib import Path

from steploom.data.file_bytes import read_bytes, utf8_of
from steploom.data.text.table import column_place, rows_below, table_rows
from steploom.errors import DataError

__all__ = ["read_lines", "read_text"]

_FORMATS = "Expected a text file in UTF-8 (also gzipped)"


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
        path: a text file; with `column`, a table as `steploom.data.text.table.table_rows` reads it.
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
        raise DataError("every cell of the column is blank", file=path, column=column)
    return lines


def _column(path: Path, text: str, column: str) -> list[str]:
    rows = table_rows(path, text)
    first = rows[0][1]
    place, named = column_place(path, first, column, "--column")
    rows = rows_below(path, rows, "--column") if named else rows
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
            # A line end inside a quoted cell would end the line of text.
            cells.append(values[place].replace("\n", " "))
    return cells
