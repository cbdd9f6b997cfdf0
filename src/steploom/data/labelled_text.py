"""Texts with their labels from tables, JSON lines, and files with a text a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from steploom.data.csv_text import find_separator, numbered_rows
from steploom.data.json_values import read_text as stored_text
from steploom.data.name_list import names_shown
from steploom.data.text import read_text, suffix_of
from steploom.errors import DataError, OptionError, nearest

__all__ = ["LabelledText", "TextColumns", "find_text_columns", "read_labelled_texts", "read_plain_texts"]

_TEXTS = ("text", "sentence", "review", "content", "comment", "message", "document", "tweet", "phrase", "title", "body")
_LABELS = ("label", "labels", "class", "category", "sentiment", "target", "polarity", "topic", "rating", "y", "type")
_HINT = "Name the column of the text with --text and that of the label with --label"


class LabelledText(NamedTuple):
    """A text, its label (None without), and the line of the file it stands on, counted from 1."""

    row: int
    text: str
    label: str | None


@dataclass(frozen=True)
class TextColumns:
    """Where in a table, or in the object of a JSON line, text and label stand.

    Attributes:
        text, label: names; numbers, counted from 1, where the file has no header. `label` None: there is none.
        header: whether the first row holds names.
    """

    text: str
    label: str | None
    header: bool

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"text": self.text, "label": self.label, "header": self.header}

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """From what `to_json` gave.

        Raises:
            TypeError: a value is of another type.
        """
        label, header = values["label"], values["header"]
        if not isinstance(header, bool):
            raise TypeError("'header' should be true or false")
        return cls(stored_text(values["text"], "text"), None if label is None else stored_text(label, "label"), header)

    @property
    def shown(self) -> str:
        """For a person."""
        noun = "column " if self.header else "column number "
        return f"{noun}{self.text}" + ("" if self.label is None else f", the label in {noun}{self.label}")


def read_plain_texts(path: Path, label: str | None) -> list[LabelledText]:
    """A text a line, all with the same label; blank lines do not count.

    Raises:
        DataError: the file cannot be read.
    """
    lines = enumerate(read_text(path).split("\n"), 1)
    return [LabelledText(row, line.strip(), label) for row, line in lines if line.strip()]


def find_text_columns(path: Path, text: str | None, label: str | None) -> TextColumns:
    """Where text and label stand in a training file.

    What is not given is found: a column with a usual name, or in a file of two columns the one with fewer different
    values as the label. A number means a file without a header, unless the other one is a name.

    Args:
        path: a table (.csv; .tsv, or tabs in a file of another name) or JSON lines (.jsonl).
        text, label: what the user gave.

    Raises:
        DataError: the file cannot be read, or the columns are not clear.
        OptionError: there is no such column.
    """
    if text is not None and text == label:
        raise OptionError(f"--text and --label both name the column '{text}'")
    if suffix_of(path) in (".jsonl", ".ndjson"):
        return _find_keys(path, text, label)
    rows = [row for _, row in _rows(path)]
    first = rows[0]
    given = [name for name in (text, label) if name is not None]
    if given and all(name.isdecimal() for name in given):
        return _numbered(path, first, text, label)
    names = [name.strip() for name in first]
    for name, option in ((text, "--text"), (label, "--label")):
        if name is not None and name not in names:
            if not name.isdecimal():
                raise OptionError(
                    f"{option}: the first row of {path} has no '{name}'; it has {names_shown(names)}."
                    f"{nearest(name, names)} Where the file has no header, give numbers from 1 to {len(names)}."
                )
            _check_number(path, name, option, len(names))
    text, label = (_named(name, names) for name in (text, label))
    by_name = {name.lower(): name for name in reversed(names) if name}
    text = text or next((by_name[n] for n in _TEXTS if n in by_name and by_name[n] != label), None)
    label = label or next((by_name[n] for n in _LABELS if n in by_name and by_name[n] != text), None)
    if text is not None and label is not None:
        return TextColumns(text, label, header=True)
    if len(names) != 2:
        raise DataError(
            f"which column is the text is not clear; the first row has {names_shown(names)}",
            file=path,
            row=1,
            hint=_HINT,
        )
    if text is not None or label is not None:
        other = next(name for name in names if name not in (text, label))
        return TextColumns(text or other, label or other, header=True)
    return _of_two(names, rows)


def _of_two(names: list[str], rows: list[list[str]]) -> TextColumns:
    """The label of two columns is the one with fewer values; the first row is a header if its cell there is none."""
    below = [row for row in rows[1:] if len(row) == 2]
    values = [{row[place].strip() for row in below} for place in (0, 1)]
    place = 0 if len(values[0]) < len(values[1]) else 1
    if below and names[place] not in values[place] and len(values[place]) < len(below):
        return TextColumns(names[1 - place], names[place], header=True)
    return TextColumns(str(2 - place), str(place + 1), header=False)


def _numbered(path: Path, first: list[str], text: str | None, label: str | None) -> TextColumns:
    for name, option in ((text, "--text"), (label, "--label")):
        if name is not None:
            _check_number(path, name, option, len(first))
    if text is None or label is None:
        if len(first) != 2:
            raise DataError(
                f"the file has {len(first)} columns, and only one of text and label is given", file=path, hint=_HINT
            )
        other = str(3 - int(text or label or 1))
        text, label = text or other, label or other
    return TextColumns(text, label, header=False)


def _check_number(path: Path, number: str, option: str, columns: int) -> None:
    if not 1 <= int(number) <= columns:
        raise OptionError(f"{option}: {path} has the columns 1 to {columns}, found {number}")


def _named(name: str | None, names: Sequence[str]) -> str | None:
    """The name of a column that is given by name or, beside a name, by number."""
    return name if name is None or name in names else names[int(name) - 1]


def _find_keys(path: Path, text: str | None, label: str | None) -> TextColumns:
    objects = list(_objects(path))
    keys = list(objects[0][1])
    for name, option in ((text, "--text"), (label, "--label")):
        if name is not None and name not in keys:
            raise OptionError(
                f"{option}: the first line of {path} has no key '{name}'; it has {names_shown(keys)}."
                f"{nearest(name, keys)}"
            )
    by_name = {key.lower(): key for key in reversed(keys)}
    text = text or next((by_name[n] for n in _TEXTS if n in by_name and by_name[n] != label), None)
    label = label or next((by_name[n] for n in _LABELS if n in by_name and by_name[n] != text), None)
    if (text is None or label is None) and len(keys) == 2:
        if text is None and label is None:
            values = [{str(found.get(key)) for _, found in objects} for key in keys]
            label = keys[0] if len(values[0]) < len(values[1]) else keys[1]
        other = next(key for key in keys if key not in (text, label))
        text, label = text or other, label or other
    if text is None or label is None:
        raise DataError(
            f"which key is the text is not clear; the first line has {names_shown(keys)}", file=path, row=1, hint=_HINT
        )
    return TextColumns(text, label, header=True)


def read_labelled_texts(path: Path, columns: TextColumns, labelled: bool) -> list[LabelledText]:
    """The texts of a table or of JSON lines, with their labels.

    Args:
        path: the file.
        columns: where they stand.
        labelled: whether each must have a label; else labels are not read.

    Raises:
        DataError: a column or key is not there, a row has too few cells, or a text or a label is empty.
    """
    columns = columns if labelled else replace(columns, label=None)
    if suffix_of(path) in (".jsonl", ".ndjson"):
        return [_checked(path, row, *_values(path, row, found, columns)) for row, found in _objects(path)]
    rows = list(_rows(path))
    first = [name.strip() for name in rows[0][1]]
    if not labelled and len(first) == 1 and (not columns.header or columns.text not in first):
        # A text a line, without a header.
        return [_checked(path, row, cells[0], None) for row, cells in rows]
    places = [_place(path, name, first, columns.header) for name in (columns.text, columns.label) if name is not None]
    found = []
    for row, cells in rows[1:] if columns.header else rows:
        if len(cells) != len(first):
            raise DataError(f"expected {len(first)} cells as in the first row, found {len(cells)}", file=path, row=row)
        values = [cells[place] for place in places]
        found.append(_checked(path, row, values[0], values[1] if labelled else None))
    if not found:
        raise DataError("there is a header and no row below it", file=path)
    return found


def _place(path: Path, name: str, first: list[str], header: bool) -> int:
    if header and name in first:
        return first.index(name)
    if not header and int(name) <= len(first):
        return int(name) - 1
    noun = f"column '{name}'" if header else f"column number {name}"
    near = nearest(name, first).strip() if header else ""
    raise DataError(
        f"there is no {noun}, which the training had; the first row has {names_shown(first)}",
        file=path,
        row=1,
        hint=near or None,
    )


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


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """The lines and the cells of a table; only tabs separate in files that are not called .csv."""
    text = read_text(path)
    if suffix_of(path) == ".csv":
        separator = find_separator(path, text.encode())
        return list(numbered_rows(path, text, separator))
    return [(row, line.split("\t")) for row, line in enumerate(text.split("\n"), 1) if line.strip()]


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for row, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"this is no JSON ({error})", file=path, row=row) from None
        if not isinstance(found, dict):
            raise DataError('expected a JSON object such as {"text": "...", "label": "..."}', file=path, row=row)
        yield row, found
