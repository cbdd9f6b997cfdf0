"""Texts with their labels from tables, JSON lines, and files with a text a line."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from steploom.data.text.columns import TextColumns, numbered_objects
from steploom.data.text.files import read_text
from steploom.data.text.table import JSON_LINES, column_place, rows_below, suffix_of, table_rows
from steploom.errors import DataError

__all__ = ["LabelledText", "read_labelled_texts", "read_plain_texts"]

logger = logging.getLogger("steploom")


class LabelledText(NamedTuple):
    """A text, its label (None without), and the line of the file it stands on, counted from 1."""

    row: int
    text: str
    label: str | None


def read_plain_texts(path: Path, label: str | None) -> list[LabelledText]:
    """A text a line, all with the same label; blank lines do not count.

    Raises:
        DataError: the file cannot be read.
    """
    lines = enumerate(read_text(path).split("\n"), 1)
    return [LabelledText(row, line.strip(), label) for row, line in lines if line.strip()]


def read_labelled_texts(path: Path, columns: TextColumns, labelled: bool) -> list[LabelledText]:
    """The texts of a table or of JSON lines, with their labels.

    Args:
        path: the file.
        columns: where they stand.
        labelled: whether each must have a label; else labels are not read.

    Raises:
        DataError: a column or key is not there, a row has too few cells, a text or a label is empty, or the header of a
            table with several columns stands there again.
    """
    columns = columns if labelled else replace(columns, label=None)
    if suffix_of(path) in JSON_LINES:
        return [_checked(path, row, *_values(path, row, found, columns)) for row, found in numbered_objects(path)]
    rows = table_rows(path, read_text(path))
    first = [name.strip() for name in rows[0][1]]
    if not labelled and len(first) == 1 and (not columns.header or columns.text not in first):
        # A text a line, without a header.
        if columns.header:
            read = f"one column, whose first row, '{first[0][:40]}', is read as a text"
            logger.info(f"{path}: {read}; a header would be '{columns.text}', as in training")
        return [_checked(path, row, cells[0], None) for row, cells in rows]
    named = [name for name in (columns.text, columns.label) if name is not None]
    places = [column_place(path, first, name, None, columns.header)[0] for name in named]
    found = []
    for row, cells in rows_below(path, rows, "--text and --label") if columns.header else rows:
        if len(cells) != len(first):
            raise DataError(f"expected {len(first)} cells as in the first row, found {len(cells)}", file=path, row=row)
        values = [cells[place] for place in places]
        found.append(_checked(path, row, values[0], values[1] if labelled else None))
    return found


def _values(path: Path, row: int, found: dict[str, Any], columns: TextColumns) -> tuple[str, str | None]:
    text, label = found.get(columns.text), None if columns.label is None else found.get(columns.label)
    if not isinstance(text, str):
        raise DataError(
            f"expected a text under the key '{columns.text}', found {json.dumps(text)[:40]}", file=path, row=row
        )
    if columns.label is None:
        return text, None
    if isinstance(label, bool):
        label = json.dumps(label)
    if not isinstance(label, (str, int, float)):
        raise DataError(
            f"expected a label under the key '{columns.label}', found {json.dumps(label)[:40]}", file=path, row=row
        )
    return text, str(label)


def _checked(path: Path, row: int, text: str, label: str | None) -> LabelledText:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise DataError("the text holds half a surrogate pair, which is no character", file=path, row=row)
    if not text.strip():
        raise DataError("the text is empty", file=path, row=row, hint="Leave the row out")
    if label is not None and not label.strip():
        raise DataError("the label is empty", file=path, row=row, hint="Give the row a label, or leave it out")
    return LabelledText(row, text.strip(), None if label is None else label.strip())
