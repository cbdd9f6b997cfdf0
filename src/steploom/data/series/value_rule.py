"""What the values of a target have to be, checked row by row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from steploom.data.series.series import FloatArray
from steploom.data.series.table_group import TableGroup

__all__ = ["ValueRule"]


@dataclass(frozen=True)
class ValueRule:
    """What the values of a target have to be.

    Attributes:
        says: the rule, in words.
        breaks: from measured values (rows,) to whether each breaks it.
        hint: what to do about a value that does.
        refuses: whether such a value is an error; it is a note else.
    """

    says: str
    breaks: Callable[[FloatArray], npt.NDArray[np.bool_]]
    hint: str
    refuses: bool = True

    def check(self, tables: TableGroup, column: str, values: FloatArray, order: npt.NDArray[np.int64]) -> list[str]:
        """Notes about a column, none where all is well.

        Args:
            tables: the tables.
            column: the name of the target.
            values: (rows,) what is used of it, NaN where missing.
            order: (rows,) the row of each value in the tables.

        Raises:
            DataError: a value breaks the rule; the message names the first row.
        """
        wrong = np.flatnonzero(np.isfinite(values) & self.breaks(values))
        if not len(wrong):
            return []
        first = int(wrong[np.argmin(order[wrong])])
        row = int(order[first])
        if self.refuses:
            more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            raise tables.error(f"{self.says}; found {values[first]:g}{more}", row, column=column, hint=self.hint)
        file, line = tables.place(row)
        return [f"{self.says}; {len(wrong)} in '{column}', the first: {file.name}, row {line}. {self.hint}"]
