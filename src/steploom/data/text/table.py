"""A table of texts, the same for every task: what is one, what separates its cells, and where a column stands."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from steploom.data.csv_text import find_separator, numbered_rows
from steploom.errors import DataError, OptionError, nearest

__all__ = [
    "JSON_LINES",
    "TABLES",
    "check_once",
    "column_place",
    "is_again",
    "occurs_again",
    "rows_below",
    "say_whole_lines",
    "suffix_of",
    "table_rows",
]

logger = logging.getLogger("steploom")

TABLES = (".csv", ".tsv")
"""Endings of the names of tables."""

JSON_LINES = (".jsonl", ".ndjson")
"""Endings of the names of files with a JSON object a line."""


def suffix_of(path: Path) -> str:
    """The ending of a file's name in lower case, without .gz."""
    return next((s.lower() for s in reversed(path.suffixes) if s.lower() != ".gz"), "")


def say_whole_lines(path: Path, hint: str = "") -> None:
    """Says of a file that is called a table or JSON lines that it is read as any text is, a line as it stands.

    Args:
        path: the file.
        hint: what to do about it.
    """
    if suffix_of(path) in TABLES + JSON_LINES:
        logger.info(f"{path}: read as text, whole lines as they stand, and not as its ending says{hint}")


def table_rows(path: Path, text: str, blank: bool = False) -> list[tuple[int, list[str]]]:
    """The line number, counted from 1, and the cells of each row of a table; rows of blank cells alone do not count.

    In a file whose name ends in .csv the cells may be quoted, and what stands between two of them (a comma, a
    semicolon, a tab or a bar) is found from the first rows. In every other file tabs separate, and quotation marks mean
    nothing.

    Args:
        path: the file, .gz or not.
        text: what it holds.
        blank: whether those rows count after all; they have no cells then.

    Raises:
        DataError: a row is no CSV, or every cell is blank.
    """
    if suffix_of(path) == ".csv":
        found = numbered_rows(path, text, find_separator(path, text.encode()), blank)
    else:
        found = ((row, line.split("\t")) for row, line in enumerate(text.removesuffix("\n").split("\n"), 1))
    rows = [(row, cells if any(cell.strip() for cell in cells) else []) for row, cells in found]
    filled = [row for row in rows if row[1]]
    if not filled:
        raise DataError("every cell of the table is empty", file=path)
    return rows if blank else filled


def column_place(
    path: Path, first: Sequence[str], column: str, option: str | None, header: bool | None = None
) -> tuple[int, bool]:
    """Where a column stands, counted from 0, and whether it was found by its name, so that the first row is a header.

    Args:
        path: the table.
        first: the cells of its first row.
        column: a number, counted from 1, or a name in the first row.
        option: the option that says it, for the message; None: the training had this column.
        header: whether it is a name; None: it is one unless it is a number.

    Raises:
        OptionError: there is no such column, and an option says it.
        DataError: there is no such column, and the training had it; or the first row has its name twice.
    """
    names = [name.strip() for name in first]
    by_name = not column.isdecimal() if header is None else header
    if by_name and column in names:
        check_once(path, names, column)
        return names.index(column), True
    if not by_name and 0 < int(column) <= len(names):
        return int(column) - 1, False
    near = nearest(column, names) if by_name else ""
    if option is None:
        noun = f"column '{column}'" if by_name else f"column number {column}"
        what = f"there is no {noun}, which the training had; the first row has {_shown(names)}"
        raise DataError(what, file=path, row=1, hint=near.strip() or None)
    if not by_name:
        raise OptionError(f"{option}: {path} has the columns 1 to {len(names)}, found {column}")
    raise OptionError(
        f"{option}: the first row of {path} has no '{column}'; it has {_shown(names)}.{near} "
        f"Where the file has no header, give the column's number, 1 to {len(names)}."
    )


def check_once(path: Path, names: Sequence[str], name: str) -> None:
    """Refuses a column that is meant by a name which two columns have.

    Args:
        path: the table.
        names: those of its first row, without blanks around them.
        name: of the column.

    Raises:
        DataError: the name stands there twice or more.
    """
    places = [str(place) for place, found in enumerate(names, 1) if found == name]
    if len(places) > 1:
        listed = f"{', '.join(places[:-1])} and {places[-1]}"
        raise DataError(
            f"the columns {listed} have the same name, '{name}', so that it is not clear which one is meant",
            file=path,
            row=1,
            hint="Rename one of them",
        )


def occurs_again(rows: Sequence[Sequence[str]], place: int) -> bool:
    """Whether a cell of the first row stands again below it, in the same column, as no name would.

    Where the whole first row stands again, files with a header each were put together, and it does not count.

    Args:
        rows: the cells of all rows, the first one included.
        place: of the column, counted from 0.
    """
    cell = rows[0][place].strip()
    return any(place < len(row) and row[place].strip() == cell for row in rows[1:] if not is_again(row, rows[0]))


def is_again(cells: Sequence[str], header: Sequence[str]) -> bool:
    """Whether a row is the header once more. That of a single column is never: a text may be its name."""
    return len(header) > 1 and [cell.strip() for cell in cells] == [cell.strip() for cell in header]


def rows_below(path: Path, rows: Sequence[tuple[int, list[str]]], options: str) -> list[tuple[int, list[str]]]:
    """The rows below the header, which is the first row that has cells.

    Args:
        path: the table.
        rows: as of `table_rows`.
        options: those that name the columns, for the message: "--text and --label".

    Raises:
        DataError: there is no row below it, or the header stands there again, as where files were put together.
    """
    place, header = next((place, cells) for place, (_, cells) in enumerate(rows) if cells)
    below = list(rows[place + 1 :])
    again = next((row for row, cells in below if is_again(cells, header)), None)
    if again is not None:
        hint = f"where the first row is no header, give the columns by number, with {options}"
        raise DataError("the header is repeated", file=path, row=again, hint=f"Join the files without it; {hint}")
    if not any(cells for _, cells in below):
        raise DataError("there is a header and no row below it", file=path)
    return below


def _shown(names: Sequence[str]) -> str:
    return ", ".join(f"'{name[:20]}'" for name in names[:8])
