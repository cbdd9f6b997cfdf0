"""Pairs of lines that belong together: two parallel files, or two columns of a table."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from steploom.data.counted import counted
from steploom.data.text.files import read_text
from steploom.data.text.parallel_columns import PairColumns, find_pair_columns
from steploom.data.text.table import TABLES, column_place, say_whole_lines, suffix_of, table_rows
from steploom.errors import DataError, OptionError

__all__ = ["Pairs", "read_pairs", "read_sources"]

logger = logging.getLogger("steploom")


@dataclass(frozen=True)
class Pairs:
    """Lines of a source and of a target; those of one place belong together. None is blank.

    Args:
        source, target: the lines.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.source)

    @property
    def both(self) -> Iterator[tuple[str, str]]:
        """Source and target, pair by pair."""
        return zip(self.source, self.target, strict=True)

    def chosen(self, places: Sequence[int]) -> Pairs:
        """Some of the pairs."""
        return Pairs(tuple(self.source[i] for i in places), tuple(self.target[i] for i in places))


def read_pairs(
    files: Sequence[Path],
    columns: PairColumns | None = None,
    what: str = "the data",
    given: Collection[str] = (),
) -> Pairs:
    """The pairs of two parallel files, the source first, or of two columns of one table.

    A row that is blank on both sides is left out.

    Args:
        files: two text files with the same number of lines, or one table as `table_rows` reads it.
        columns: of the table; None: as `find_pair_columns` finds them.
        what: the part of the data for messages, such as "--valid".
        given: the options that say a column, for messages: "--source-column", "--target-column".

    Raises:
        DataError: a file cannot be read, the files are of unequal length, or one side of a pair is blank.
        OptionError: it is neither one file nor two, or there is no such column.
    """
    if len(files) not in (1, 2):
        raise OptionError(
            f"{what}: expected two parallel files (source, then target) or one table with both columns, found "
            f"{len(files)} files: {', '.join(str(file) for file in files)}"
        )
    if len(files) == 1:
        return _of_table(files[0], columns or find_pair_columns(files[0], None, None), given)
    for name in given:
        raise OptionError(f"{name} is for one table; {what} is two files: {files[0]} and {files[1]}")
    if all(_is_table(file) for file in files):
        raise OptionError(
            f"{what}: expected two parallel files or one table, found two tables, {files[0]} and {files[1]}. Put them "
            "into one, with one header"
        )
    return _of_two_files(files[0], files[1])


def read_sources(path: Path, columns: PairColumns | None = None) -> list[str]:
    """The lines to translate: every line of a file, or the source column of a .tsv or .csv file; blank ones too.

    Args:
        path: the file.
        columns: those of the table that a model was trained on; None: it was trained on two parallel files.

    Raises:
        DataError: the file cannot be read, or there is no such column.
    """
    text = read_text(path)
    if columns is None or suffix_of(path) not in TABLES:
        lines = _lines(text)
        say_whole_lines(path)
        if columns is not None and all("\t" in line for line in lines if line.strip()):
            logger.info(f"{path}: whole lines are read, tabs and all; if it is a table, call it .tsv")
        return lines
    rows = table_rows(path, text, blank=True)
    first = next(cells for _, cells in rows if cells)
    place, named = column_place(path, first, columns.source, None)
    return [_cell(path, row, cells, place) if cells else "" for row, cells in columns.pairs_of(path, rows, named)]


def _is_table(path: Path) -> bool:
    """Whether all rows of a file have the same number of cells, two or more."""
    text = read_text(path)
    if suffix_of(path) != ".csv" and "\t" not in text.lstrip("\n").split("\n", 1)[0]:
        return False
    sizes = {len(cells) for _, cells in table_rows(path, text)}
    return len(sizes) == 1 and sizes != {1}


def _of_two_files(source: Path, target: Path) -> Pairs:
    for file in (source, target):
        say_whole_lines(file)
    sides = [_lines(read_text(file)) for file in (source, target)]
    if len(sides[0]) != len(sides[1]):
        shorter = 0 if len(sides[0]) < len(sides[1]) else 1
        raise DataError(
            f"this file ends after {counted(len(sides[shorter]), 'line')}, and {(source, target)[1 - shorter]} has "
            f"{len(sides[1 - shorter]):,}",
            file=(source, target)[shorter],
            row=len(sides[shorter]) + 1,
            hint="Line i of one file must be the translation of line i of the other",
        )
    rows = [(i + 1, pair) for i, pair in enumerate(zip(*sides, strict=True))]
    return _pairs(rows, (source, target), (None, None))


def _of_table(path: Path, columns: PairColumns, given: Collection[str]) -> Pairs:
    rows = table_rows(path, read_text(path))
    first = rows[0][1]
    if len(first) < 2:
        raise DataError(
            "expected a table with two columns or more, found one",
            file=path,
            row=rows[0][0],
            hint="Separate source and target by a tab (in a .csv file by a comma), or give two parallel files",
        )
    options = (name if given else None for name in ("--source-column", "--target-column"))
    source, source_named = column_place(path, first, columns.source, next(options))
    target, target_named = column_place(path, first, columns.target, next(options))
    if source == target:
        raise OptionError(f"--target-column: '{columns.target}' is the source column too. Name another one")
    names = (columns.source if source_named else None, columns.target if target_named else None)
    pairs = [
        (row, (_cell(path, row, cells, source, len(first)), _cell(path, row, cells, target, len(first))))
        for row, cells in columns.pairs_of(path, rows, source_named or target_named)
    ]
    return _pairs(pairs, (path, path), names)


def _cell(path: Path, row: int, cells: list[str], place: int, expected: int | None = None) -> str:
    if (expected is not None and len(cells) != expected) or place >= len(cells):
        raise DataError(
            f"expected {place + 1 if expected is None else expected} cells as in the first row, found {len(cells)}",
            file=path,
            row=row,
        )
    # A line end inside a quoted cell would make two lines of one.
    return cells[place].replace("\n", " ")


def _pairs(
    rows: list[tuple[int, tuple[str, str]]], files: tuple[Path, Path], columns: tuple[str | None, str | None]
) -> Pairs:
    kept = []
    for row, pair in rows:
        blank = [not side.strip() for side in pair]
        if all(blank):
            continue
        if any(blank):
            side = blank.index(True)
            raise DataError(
                f"the {('source', 'target')[side]} is empty, and its other side is not",
                file=files[side],
                row=row,
                column=columns[side],
                hint="Fill it, or take the pair out",
            )
        kept.append(pair)
    if not kept:
        raise DataError("there is no pair of lines", file=files[0])
    return Pairs(tuple(pair[0] for pair in kept), tuple(pair[1] for pair in kept))


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")
