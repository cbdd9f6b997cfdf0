"""From checked rows to series on a regular grid: gaps become missing values, and nothing is imputed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from steploom.data.series.frequency import time_grid
from steploom.data.series.series import FloatArray, Series

__all__ = ["GridRows", "cut_series"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class GridRows:
    """Rows sorted by series and time, with their place on the grid of their series.

    Attributes:
        frequency: the step of the grids.
        offsets: (series + 1,) where the rows of each series begin.
        positions: (rows,) the grid number of each row, 0 for the first one of its series, rising.
        starts: (series,) datetime64[ns], the time of grid number 0.
    """

    frequency: str
    offsets: Ints
    positions: Ints
    starts: npt.NDArray[np.datetime64]

    @property
    def lengths(self) -> Ints:
        """(series,) the length of each grid."""
        lengths: Ints = self.positions[self.offsets[1:] - 1] + 1
        return lengths

    @property
    def shifts(self) -> Ints:
        """(series + 1,) where each grid begins when they stand one behind the other."""
        shifts: Ints = np.concatenate([[0], np.cumsum(self.lengths)])
        return shifts

    def spread(self, values: FloatArray) -> FloatArray:
        """Values (rows, columns) on the grids of all series one behind the other, NaN where there is no row."""
        shifts = self.shifts
        grid = np.full((int(shifts[-1]), values.shape[1]), np.nan)
        grid[np.repeat(shifts[:-1], np.diff(self.offsets)) + self.positions] = values
        return grid


def cut_series(
    rows: GridRows,
    names: list[str],
    target: FloatArray,
    past: FloatArray,
    known: FloatArray,
    static: list[tuple[int, ...]],
    keep_future: bool = False,
    keep_leading: bool = False,
) -> dict[str, tuple[Series, int]]:
    """The series between their first and last measured value, by name, each with the grid number of its row 0.

    Series without any value are left out; or kept with no rows but future ones. Known covariates go on to the last row
    of the table.

    Args:
        rows: where the rows lie.
        names: (series,) names.
        target, past, known: (grid rows of all series, columns), what `GridRows.spread` gave; target has one column.
        static: (series,) category codes.
        keep_future: whether series without a value, but with covariates known ahead, are kept.
        keep_leading: whether rows before the first measured value are kept, for their covariates.
    """
    cut = {}
    for i, (name, (begin, end)) in enumerate(zip(names, pairwise(rows.shifts.tolist()), strict=True)):
        measured = np.flatnonzero(np.isfinite(target[begin:end, 0]))
        if not len(measured):
            if keep_future and known.shape[1]:
                none = target[begin:begin, 0], past[begin:begin]
                cut[name] = Series(name, rows.starts[i], *none, known[begin:end], static[i]), 0
            continue
        first, last = 0 if keep_leading else int(measured[0]), int(measured[-1]) + 1
        start = time_grid(rows.starts[i], rows.frequency, 1, first)[0]
        cut[name] = (
            Series(
                name,
                start,
                target[begin + first : begin + last, 0],
                past[begin + first : begin + last],
                known[begin + first : end],
                static[i],
            ),
            first,
        )
    return cut
