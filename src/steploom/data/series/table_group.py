"""Several files read as one table, the rows of one behind the rows of the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from steploom.data.series.series import FloatArray
from steploom.data.series.table_file import Table, read_table
from steploom.errors import DataError

__all__ = ["TableGroup"]


@dataclass(frozen=True)
class TableGroup:
    """Tables in the order of their files. Rows are numbered through, from 0."""

    tables: list[Table]

    @classmethod
    def read(cls, files: Sequence[Path]) -> TableGroup:
        """Reads all files.

        Raises:
            DataError: one of them cannot be read.
        """
        return cls([read_table(file) for file in files])

    def __len__(self) -> int:
        """Rows of all tables."""
        return sum(len(t) for t in self.tables)

    @property
    def first(self) -> Table:
        """The first table."""
        return self.tables[0]

    def joined(self, part: Callable[[Table], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """What `part` gives for each table, one behind the other."""
        return np.concatenate([part(table) for table in self.tables])

    def numbers(self, name: str) -> FloatArray:
        """Column `name` of all tables as float64, NaN where missing."""
        return self.joined(lambda table: table.numbers(name))

    def place(self, row: int) -> tuple[Path, int]:
        """The file and the line number in it of a row."""
        table, index = self._table_of(row)
        return table.path, table.line(index)

    def in_one_file(self, row: int, other: int) -> bool:
        """Whether two rows were read from one file, at one time: a file may be given twice."""
        return self._table_of(row)[0] is self._table_of(other)[0]

    def error(self, what: str, row: int | None, *, column: str | None = None, hint: str | None = None) -> DataError:
        """A `DataError` at a row."""
        if row is None:
            return self.first.error(what, column=column, hint=hint)
        table, index = self._table_of(row)
        return table.error(what, index=index, column=column, hint=hint)

    def _table_of(self, row: int) -> tuple[Table, int]:
        for table in self.tables:
            if row < len(table):
                return table, row
            row -= len(table)
        raise IndexError(row)
