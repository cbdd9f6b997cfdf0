"""A table in a file: CSV (also gzipped; comma, semicolon, tab or bar) and Parquet, with errors that name the row.

Cells of a CSV file stay text until a column's meaning is known, so that a series called "NA" is no missing value.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from steploom.data.csv_text import find_separator, numbered_rows
from steploom.data.file_bytes import read_bytes, utf8_of
from steploom.data.name_list import join_names, names_shown, split_names
from steploom.errors import DataError, nearest

__all__ = ["MISSING", "TRUTHS", "Table", "read_table", "shown"]

FORMATS = "Expected CSV (UTF-8, also gzipped) or Parquet"
_MISSING_WORDS = "NA N/A n/a na NaN nan NAN -nan null NULL Null None none #N/A <NA>"
MISSING = ("", *_MISSING_WORDS.split())
"""Texts that mean "not measured" in a column of numbers."""
TRUTHS = {"true": 1.0, "false": 0.0}
"""Truth values as numbers, by their texts in small letters."""


@dataclass(frozen=True)
class Table:
    """The cells of one file.

    Attributes:
        path: the file.
        cells: its columns; all of type string where they come from CSV.
        text: the CSV text, kept to find the line of a row when something is wrong; None for Parquet.
        separator: what stands between two cells of the CSV text.
    """

    path: Path
    cells: pa.Table
    text: bytes | None = None
    separator: str = ","

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self.cells.column_names)

    def __len__(self) -> int:
        return int(self.cells.num_rows)

    def line(self, index: int) -> int:
        """The line number in the file, counted from 1, of data row `index`, counted from 0 (Parquet: the row)."""
        if self.text is None:
            return index + 1
        rows = numbered_rows(self.path, self.text, self.separator)
        next(rows)
        return next(line for i, (line, _) in enumerate(rows) if i == index)

    def error(
        self, what: str, *, index: int | None = None, column: str | None = None, hint: str | None = None
    ) -> DataError:
        """A `DataError` about this file, at data row `index`."""
        return DataError(
            what, file=self.path, row=None if index is None else self.line(index), column=column, hint=hint
        )

    def require(self, name: str, option: str) -> None:
        """Raise a `DataError` unless there is a column `name`, which the user gave as `option`."""
        if name not in self.names:
            cut = next((n for n in self.names if "," in n and name in split_names(n.replace('"', ""))), None)
            hint = nearest(name, self.names).strip() or None
            if cut is not None:
                hint = f"Put a name with a comma in quotation marks: {option} '{join_names([cut])}'"
            raise self.error(
                f"there is no column '{name}' ({option}); the columns are {names_shown(self.names)}", hint=hint
            )

    def texts(self, name: str) -> pa.Array:
        """Column `name` as trimmed strings; null only where Parquet has null."""
        return pc.utf8_trim_whitespace(_one_chunk(self.cells[name]).cast(pa.string()))

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        """Column `name` as float64, NaN where missing; of a column of truth values alone, 1 for true and 0 for false.

        Raises:
            DataError: a cell is text or infinite.
        """
        column = _one_chunk(self.cells[name])
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            numbers = self._numbers_of_text(name)
        else:
            try:
                numbers = column.cast(pa.float64(), safe=False)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                raise self.error(f"expected numbers, found the type {column.type}", column=name) from None
        values: npt.NDArray[np.float64] = numbers.to_numpy(zero_copy_only=False).astype(np.float64)
        infinite = np.isinf(values)
        if infinite.any():
            raise self.error(
                f"expected a finite number, found {'-' if values[infinite][0] < 0 else ''}infinity",
                index=int(infinite.argmax()),
                column=name,
                hint="Leave the cell empty where the value is unknown",
            )
        return values

    def is_text(self, name: str) -> bool:
        """Whether column `name` has values and not one of them is a number; truth values of Parquet are no texts."""
        column = _one_chunk(self.cells[name])
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            return bool(pa.types.is_dictionary(column.type))
        known = self._known(name)
        return bool(known) and not any(_is_number(v) for v in known)

    def is_truth(self, name: str) -> bool:
        """Whether column `name` has values and each of them is a truth value: of Parquet, or True, false and so on."""
        known = self._known(name)
        return bool(known) and all(v.lower() in TRUTHS for v in known)

    def _known(self, name: str) -> list[str]:
        """The different values of a column, as texts."""
        return [v for v in pc.unique(self.texts(name)).to_pylist() if v is not None and v not in MISSING]

    def _numbers_of_text(self, name: str) -> pa.Array:
        texts = self.texts(name)
        texts = pc.if_else(pc.is_in(texts, value_set=pa.array(MISSING)), pa.scalar(None, pa.string()), texts)
        try:
            return texts.cast(pa.float64())
        except pa.ArrowInvalid:
            values = texts.to_pylist()
        if self.is_truth(name):
            return pa.array([None if v is None else TRUTHS[v.lower()] for v in values], pa.float64())
        for index, value in enumerate(values):
            if value is not None and not _is_number(value):
                what = f"expected a number, found {shown(value)}"
                raise self.error(what, index=index, column=name, hint=_number_hint(value))
        # Python reads a few numbers that Arrow does not, such as '+1'.
        return pa.array([None if v is None else float(v) for v in values], pa.float64())


def read_table(path: Path) -> Table:
    """Read one file.

    Raises:
        DataError: it is missing, a folder, empty, without rows, not UTF-8, ragged, or no table at all.
    """
    raw = read_bytes(path, FORMATS)
    table = _parquet(path) if raw[:4] == b"PAR1" else _csv(path, raw)
    _refuse_twice(path, table.names)
    if not len(table):
        raise DataError("there is a header and no row below it", file=path)
    return table


def _parquet(path: Path) -> Table:
    try:
        return Table(path, pa.parquet.read_table(path))
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"the Parquet file cannot be read ({str(error).splitlines()[0]})", file=path) from None


def _csv(path: Path, raw: bytes) -> Table:
    text = utf8_of(path, raw, FORMATS)
    if b"\n " in text or text.startswith(b" "):
        text = re.sub(rb"(?m)^ +(?=\r?$)", b"", text)
    separator = find_separator(path, text)
    first = [row for _, row in islice(numbered_rows(path, text, separator), 2)]
    if len(first) < 2:
        raise DataError("there is a header and no row below it", file=path)
    names = [name.strip() or f"column {i + 1}" for i, name in enumerate(first[0])]
    _refuse_twice(path, names)
    try:
        cells = _parsed(text, names, separator)
    except pa.ArrowInvalid as error:
        for line, row in numbered_rows(path, text, separator):
            if len(row) != len(names):
                raise DataError(
                    f"expected {len(names)} cells as in the header, found {len(row)}", file=path, row=line
                ) from None
        hint = "Check that quotation marks come in pairs" if b'"' in text else None
        reason = str(error).splitlines()[0]
        raise DataError(f"the table cannot be read ({reason})", file=path, hint=hint) from None
    if b'"' in text and any(pc.any(pc.match_substring(column, "\n")).as_py() for column in cells.columns):
        # A quotation mark without its other half would have taken rows into a cell: this reads them all once more.
        for _ in numbered_rows(path, text, separator):
            pass
    unnamed = (name for name, typed in zip(names, first[0], strict=True) if not typed.strip())
    empty = [name for name in unnamed if not pc.any(pc.not_equal(pc.utf8_trim_whitespace(cells[name]), "")).as_py()]
    return Table(path, cells.drop_columns(empty) if empty else cells, text, separator)


def _parsed(text: bytes, names: list[str], separator: str, block: int = 2**20) -> pa.Table:
    """The cells below the header, as strings."""
    parse = pa.csv.ParseOptions(delimiter=separator, newlines_in_values=b'"' in text)
    convert = pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    read = pa.csv.ReadOptions(column_names=names, skip_rows_after_names=1, block_size=block)
    # Arrow's threads may still hold the bytes when Python ends: were they Python's own, giving them back would abort.
    owned = pa.BufferOutputStream()
    owned.write(text.lstrip(b"\r\n"))
    try:
        return pa.csv.read_csv(
            pa.BufferReader(owned.getvalue()), read_options=read, parse_options=parse, convert_options=convert
        )
    except pa.ArrowInvalid as error:
        if "block" in str(error) and block <= len(text):
            # A row is longer than a block.
            return _parsed(text, names, separator, min(len(text) + 1, 2**31 - 1))
        raise


def _refuse_twice(path: Path, names: list[str]) -> None:
    if len(set(names)) < len(names):
        twice = min(name for name, count in Counter(names).items() if count > 1)
        raise DataError(f"the column name '{twice}' stands twice in the header", file=path, row=1, hint="Rename one")


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks()
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def shown(text: str, width: int = 40) -> str:
    """A cell in quotation marks for a message: on one line, cut after `width` characters."""
    cut = text if len(text) <= width else text[: width - 3] + "..."
    return "'" + cut.replace("\n", "\\n").replace("\r", "\\r") + "'"


def _number_hint(text: str) -> str:
    if re.fullmatch(r"[-+]?\d[\d.,' \u00a0\u202f]*", text):
        return "Write a decimal point, and nothing between thousands"
    if text.lower() in ("true", "false", "yes", "no"):
        return "Write 1 for true and 0 for false"
    if re.search(r"\d", text) and re.fullmatch(r"[^\d\w]*[-+]?\d[\d.,]*\s*\D{0,8}", text):
        return "Write the number alone, without its unit"
    return "Leave the cell empty where the value is unknown"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text
