"""Which columns of a table hold the two sides of a pair."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from steploom.data.json_values import read_text as stored_text
from steploom.data.text.files import read_text
from steploom.data.text.table import occurs_again, rows_below, table_rows
from steploom.errors import DataError

__all__ = ["PairColumns", "find_pair_columns"]

logger = logging.getLogger("steploom")

_SOURCE = re.compile(
    "(source|src|input|question|query|prompt|article|document|text|word|spelling|grapheme|utterance)s?"
)
_TARGET = re.compile(
    "(target|tgt|trg|output|answer|response|reply|translation|summary|headline|pronunciation|phoneme|transcription)s?"
)
# Without id, which is Indonesian and much else.
_LANGUAGE = re.compile(
    "ar|bg|bn|ca|cs|da|de|el|en|es|et|fa|fi|fr|he|hi|hr|hu|it|ja|ko|lt|lv|ms|nl|no|pl|pt|ro|ru|sk|sl|sr|sv|sw|ta|th|tr|"
    "uk|ur|vi|zh|deu|eng|fra|ita|jpn|kor|nld|pol|por|rus|spa|zho|arabic|bulgarian|chinese|czech|danish|dutch|english|"
    "finnish|french|german|greek|hebrew|hindi|hungarian|indonesian|italian|japanese|korean|norwegian|polish|portuguese|"
    "romanian|russian|slovak|spanish|swedish|thai|turkish|ukrainian|vietnamese"
)
# Of a name such as src_text, en-GB or text_de.
_PARTS = 2
_HINT = "Name them with --source-column and --target-column; numbers where the table has no header"


@dataclass(frozen=True)
class PairColumns:
    """The columns of a table: names in its first row, or numbers, counted from 1, where every row is a pair.

    Args:
        source, target: the two sides.
        told: whether the user gave them. Where nobody did, another table may have a header after all.
    """

    source: str = "1"
    target: str = "2"
    told: bool = True

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"source": self.source, "target": self.target, "told": self.told}

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """From what `to_json` gave.

        Raises:
            TypeError, KeyError: a value is missing, or of another type.
        """
        source, target = (stored_text(values[side], side) for side in ("source", "target"))
        return cls(source, target, bool(values.get("told", True)))

    @property
    def shown(self) -> str:
        """For a person."""
        source, target = (f"{'number ' if c.isdecimal() else ''}{c}" for c in (self.source, self.target))
        return f"the source stands in column {source}, the target in column {target}"

    @property
    def header(self) -> bool:
        """Whether the first row holds names."""
        return not (self.source.isdecimal() and self.target.isdecimal())

    def pairs_of(self, path: Path, rows: list[tuple[int, list[str]]], named: bool) -> list[tuple[int, list[str]]]:
        """The rows of a table that are pairs: all of them, or those below the header.

        Where the columns are numbers that nobody gave, a first row with usual names is a header nevertheless.

        Args:
            path: the table.
            rows: as of `table_rows`.
            named: whether a column was found by its name.

        Raises:
            DataError: there is no row below the header, or it stands there again.
        """
        if not named and (self.told or not _found([cells for _, cells in rows if cells])):
            return rows
        if not named:
            logger.info(f"{path}: the first row is a header, which the training table had not; it is no pair")
        return rows_below(path, rows, "--source-column and --target-column")


def find_pair_columns(path: Path, source: str | None, target: str | None) -> PairColumns:
    """The columns of a training table: those that the user gave, else those with usual names, else the first two.

    The first row is a header where one of its cells is a usual name of a source and another one that of a target. The
    name of a language, or its code, may be either, and a source stands before its target then; it is none where the
    same cell occurs again below it.

    Args:
        path: the table.
        source, target: names or numbers that the user gave; where there is one, the other is 1 or 2.

    Raises:
        DataError: the file cannot be read, or more than two columns are named as languages.
    """
    if source is not None or target is not None:
        return PairColumns(source or "1", target or "2")
    rows = [cells for _, cells in table_rows(path, read_text(path))]
    found = _found(rows)
    if len(found) > 2:
        listed = ", ".join(f"'{name}'" for name in found[:8])
        raise DataError(f"which columns make a pair is not clear: there are {listed}", file=path, row=1, hint=_HINT)
    source, target = found or ("1", "2")
    return PairColumns(source, target, told=False)


def _found(rows: Sequence[Sequence[str]]) -> list[str]:
    """The usual names in the first row: none, or a source and a target; more than two languages are not clear."""
    names = [cell.strip() for cell in rows[0]]
    parts = [re.split(r"[ _-]+", name.lower()) for name in names]
    sources, targets = (
        [place for place, part in enumerate(parts) if usual.fullmatch(part[0]) and len(part) <= _PARTS]
        for usual in (_SOURCE, _TARGET)
    )
    if sources and targets:
        return [names[sources[0]], names[targets[0]]]
    languages = [place for place, name in enumerate(names) if _is_language(name) and not occurs_again(rows, place)]
    if len(languages) == 1:
        languages = [*sources[:1], *languages, *targets[:1]]
    if len(languages) < 2 or (len(languages) == 2 and names[languages[0]] == names[languages[1]]):
        return []
    return [names[place] for place in languages]


def _is_language(name: str) -> bool:
    parts = re.split(r"[_-]+", name.lower())
    return len(parts) <= _PARTS and any(_LANGUAGE.fullmatch(part) for part in (parts[0], parts[-1]))
