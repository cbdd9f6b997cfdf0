"""Pairs of sentences from a table, with the score that people gave them or without one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from steploom.data.text.files import read_text
from steploom.data.text.table import check_once, rows_below, table_rows
from steploom.errors import DataError, OptionError, nearest

__all__ = ["SentenceColumns", "SentencePairs", "read_sentence_pairs"]


@dataclass(frozen=True)
class SentenceColumns:
    """Which columns of a table hold a pair: names of its first row, or numbers counted from 1 in a table without one.

    Args:
        first, second: the two sentences.
        score: how related they are; None: not asked for.
    """

    first: str
    second: str
    score: str | None = None


@dataclass(frozen=True)
class SentencePairs:
    """Pairs of sentences in the order of their file.

    Args:
        first, second: the sentences as they stand in the file.
        scores: what people gave them, empty where not asked for.
    """

    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.first)


def read_sentence_pairs(path: Path, columns: SentenceColumns) -> SentencePairs:
    """The pairs of a table, one a row, as `steploom.data.text.table.table_rows` reads it.

    Raises:
        DataError: the file cannot be read, a row has too few or too many cells, a sentence is blank, a score is no
            number, there is no row, or two columns have a name that is asked for.
        OptionError: there is no such column.
    """
    rows = table_rows(path, read_text(path))
    head = rows[0][1]
    named = {"first": columns.first, "second": columns.second}
    named |= {} if columns.score is None else {"score": columns.score}
    if by_number := all(name.isdecimal() for name in named.values()):
        places = {part: int(name) - 1 for part, name in named.items()}
        wrong = next((part for part, place in places.items() if not 0 <= place < len(head)), None)
        if wrong is not None:
            raise OptionError(f"--{wrong}: {path} has the columns 1 to {len(head)}, found {named[wrong]}")
    else:
        places = {part: _place(path, head, part, named) for part in named}
        rows = rows_below(path, rows, "--first and --second")
    pairs: dict[str, list[str]] = {"first": [], "second": []}
    scores: list[float] = []
    for row, cells in rows:
        if len(cells) != len(head):
            raise DataError(f"expected {len(head)} cells as in the first row, found {len(cells)}", file=path, row=row)
        for part, found in pairs.items():
            sentence = " ".join(cells[places[part]].split())
            if not sentence:
                raise DataError("expected a sentence, found a blank cell", file=path, row=row, column=named[part])
            found.append(sentence)
        if "score" in places:
            header = by_number and not scores and row == rows[0][0]
            scores.append(_score(path, row, named["score"], cells[places["score"]], header))
    return SentencePairs(tuple(pairs["first"]), tuple(pairs["second"]), tuple(scores))


def _place(path: Path, head: list[str], part: str, named: dict[str, str]) -> int:
    head, name = [cell.strip() for cell in head], named[part]
    if name in head:
        check_once(path, head, name)
        return head.index(name)
    shown = ", ".join(f"'{cell[:20]}'" for cell in head[:8])
    near = nearest(name, [cell for cell in head if cell not in named.values()])
    raise OptionError(
        f"--{part}: the first row of {path} has no '{name}'; it has {shown}.{near} Name the columns, or "
        "where the file has no header, give the number of each with --first, --second and --score"
    )


def _score(path: Path, row: int, column: str, cell: str, header: bool) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if math.isfinite(value):
        return value
    hint = "Where the first row is a header, give the columns' names instead of their numbers" if header else None
    raise DataError(f"expected a score, a number, found '{cell[:40]}'", file=path, row=row, column=column, hint=hint)
