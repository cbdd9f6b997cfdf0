"""A user's text files: running text, lines, or one column of a table of lines."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Sequence
from pathlib import Path

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
    raw = _read_bytes(path)
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError("the text is UTF-16; expected UTF-8", file=path, hint="Save it again as UTF-8")
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in raw:
        row = raw.count(b"\n", 0, raw.index(b"\0")) + 1
        raise DataError("this is no text (it holds a zero byte)", file=path, row=row, hint=_FORMATS)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"byte 0x{raw[error.start]:02x} is not UTF-8 (Latin-1, perhaps)",
            file=path,
            row=raw.count(b"\n", 0, error.start) + 1,
            hint="Save the file as UTF-8, for example with: iconv -f latin1 -t utf-8",
        ) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise DataError("the file is empty", file=path, hint=_FORMATS)
    return text


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
    reader, rows, line = csv.reader(io.StringIO(text, newline="")), [], 1
    # The module's limit of a cell, 131,072 characters, holds for the whole process: it is put back.
    limit = csv.field_size_limit(max(len(text), 1))
    try:
        for row in reader:
            if row:
                # A line end inside a quoted cell would end the line of text.
                rows.append((line, [cell.replace("\n", " ") for cell in row]))
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"this is no CSV ({error})", file=path, row=line) from None
    finally:
        csv.field_size_limit(limit)
    return rows


def _shown(names: Sequence[str]) -> str:
    return ", ".join(f"'{name[:20]}'" for name in names[:8])


def _read_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise DataError("this is a folder; expected a file", file=path, hint=f"Name a file in it. {_FORMATS}")
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        near = nearest(path.name, [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else [])
        raise DataError("there is no such file", file=path, hint=near.strip() or None) from None
    except OSError as error:
        raise DataError(f"the file cannot be read ({error.strerror})", file=path) from None
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error):
            raise DataError("the gzip file is damaged or cut off", file=path) from None
    if not raw.strip():
        raise DataError("the file is empty", file=path, hint=_FORMATS)
    return raw
