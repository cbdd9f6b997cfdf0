"""Time series on a regular grid: what a user's table becomes, and what windows are cut from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from steploom.data.series.frequency import season_lengths, time_grid

__all__ = ["FloatArray", "Series", "SeriesSet", "TimeArray"]

FloatArray = npt.NDArray[np.float64]
TimeArray = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class Series:
    """One series. Row i of every array is the step `start` + i times the frequency of its `SeriesSet`.

    Attributes:
        id: its name, unique in its set.
        start: time of row 0, datetime64[ns].
        target: float64 (length,), NaN where missing; never infinite.
        past: float64 (length, P), the past covariates: known up to the last row, NaN where missing.
        known: float64 (length + future, K), the covariates known ahead, NaN where missing. `future` >= 0 rows lie
            beyond the target's last row.
        static: a code for each static column, an index into `SeriesSet.categories`.
    """

    id: str
    start: np.datetime64
    target: FloatArray
    past: FloatArray
    known: FloatArray
    static: tuple[int, ...] = ()

    def __len__(self) -> int:
        """Rows of the target."""
        return len(self.target)

    @property
    def future(self) -> int:
        """Rows of known covariates beyond the target's last row."""
        return len(self.known) - len(self.target)

    @property
    def leading(self) -> int:
        """Rows before the first measured value; 0 where no value is measured."""
        measured = np.isfinite(self.target)
        return int(measured.argmax()) if measured.any() else 0


@dataclass(frozen=True)
class SeriesSet:
    """Series of one frequency with the same columns; one global model is trained on all of them.

    Attributes:
        series: the series, ordered by their first row in the user's table.
        frequency: the step as a pandas offset alias, such as "h", "15min", "D", "W-SUN" or "MS".
        time, series_name: the user's names for the time and for the series.
        target: the user's name for the target.
        past, known, static: names of the covariates, in the order of the columns of the arrays.
        categories: for each static column, its values; `Series.static` holds indices into them.
    """

    series: list[Series]
    frequency: str
    time: str = "ds"
    series_name: str = "unique_id"
    target: str = "y"
    past: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    categories: tuple[tuple[str, ...], ...] = field(default=())

    def __len__(self) -> int:
        """Number of series."""
        return len(self.series)

    def __iter__(self) -> Iterator[Series]:
        return iter(self.series)

    @property
    def seasons(self) -> tuple[int, ...]:
        """Season lengths in steps, the shortest first; 24 and 168 for hours, empty where the frequency has none."""
        return season_lengths(self.frequency)

    def times(self, series: Series, first: int = 0, count: int | None = None) -> TimeArray:
        """Times of `count` rows of one series from row `first` (either may lie outside it), datetime64[ns]."""
        return time_grid(series.start, self.frequency, len(series) if count is None else count, first)

    def with_series(self, series: list[Series]) -> SeriesSet:
        """The same columns and frequency over other series."""
        return replace(self, series=series)
