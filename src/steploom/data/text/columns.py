"""Where text and label stand in a table or in JSON lines, and the rows of both."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from steploom.data.json_values import read_text as stored_text
from steploom.data.name_list import names_shown
from steploom.data.text.files import read_text
from steploom.data.text.table import JSON_LINES, check_once, is_again, occurs_again, suffix_of, table_rows
from steploom.errors import DataError, OptionError, nearest

__all__ = ["TextColumns", "doubted_header", "find_text_columns", "numbered_objects"]

_TEXTS = ("text", "sentence", "review", "content", "comment", "message", "document", "tweet", "phrase", "title", "body")
_LABELS = ("label", "labels", "class", "category", "sentiment", "target", "polarity", "topic", "rating", "y", "type")
_HINT = "Name the column of the text with --text and that of the label with --label"


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
            ValueError: without a header, one is no number.
        """
        label, header = values["label"], values["header"]
        if not isinstance(header, bool):
            raise TypeError("'header' should be true or false")
        found = cls(stored_text(values["text"], "text"), stored_text(label, "label"), header)
        if not header and not (found.text.isdecimal() and label.isdecimal()):
            raise ValueError("'text' and 'label' should be numbers of columns, for there is no header")
        return found

    @property
    def shown(self) -> str:
        """For a person."""
        noun = "column " if self.header else "column number "
        return f"{noun}{self.text}" + ("" if self.label is None else f", the label in {noun}{self.label}")


def find_text_columns(path: Path, text: str | None, label: str | None) -> TextColumns:
    """Where text and label stand in a training file.

    What is not given is found: a column with a usual name, or in a file of two columns the one with fewer different
    values as the label. A number means a file without a header, unless the other one is a name. Two usual names in the
    first row are a header; a single one counts only where its cell does not occur again in its column.

    Args:
        path: a table (.csv; .tsv, or tabs in a file of another name) or JSON lines (.jsonl).
        text, label: what the user gave.

    Raises:
        DataError: the file cannot be read, or the columns are not clear, as where two have the same name.
        OptionError: there is no such column.
    """
    if text is not None and text == label:
        raise OptionError(f"--text and --label both name the column '{text}'")
    if suffix_of(path) in JSON_LINES:
        return _find_keys(path, text, label)
    rows = [row for _, row in table_rows(path, read_text(path))]
    found = _find_columns(path, rows, text, label)
    if found.header:
        for name in (found.text, found.label):
            check_once(path, [cell.strip() for cell in rows[0]], name or "")
    return found


def doubted_header(path: Path, found: TextColumns) -> tuple[int, list[str], TextColumns] | None:
    """Of a table whose first row was taken for a header without two usual names in it: the number of that row, its
    cells, and where text and label stand if it is none.

    Args:
        path: the file.
        found: what `find_text_columns` found in it, with nothing given.

    Raises:
        DataError: the file cannot be read.
    """
    if not found.header or found.label is None or suffix_of(path) in JSON_LINES:
        return None
    if found.text.lower() in _TEXTS and found.label.lower() in _LABELS:
        return None
    row, cells = table_rows(path, read_text(path))[0]
    names = [cell.strip() for cell in cells]
    text, label = (str(names.index(name) + 1) for name in (found.text, found.label))
    return row, names, TextColumns(text, label, header=False)


def _find_columns(path: Path, rows: list[list[str]], text: str | None, label: str | None) -> TextColumns:
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
    one = text or label
    if one is not None:
        other = names[1 - names.index(one)]
        # A usual name may also be a text or a label, such as "y" of "y" and "n".
        if given or not any(occurs_again(rows, names.index(name)) for name in {one, label or other}):
            return TextColumns(text or other, label or other, header=True)
    return _of_two(names, rows)


def _of_two(names: list[str], rows: list[list[str]]) -> TextColumns:
    """The label of two columns is the one with fewer values; the first row is a header if its cell there is none."""
    below = [row for row in rows[1:] if len(row) == 2 and not is_again(row, names)]
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
    objects = list(numbered_objects(path))
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


def numbered_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The line, counted from 1, and the object of each line of JSON.

    Raises:
        DataError: the file cannot be read, or a line is no JSON object.
    """
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
