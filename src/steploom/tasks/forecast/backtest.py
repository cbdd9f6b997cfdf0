"""Rolling origins: forecasts from many points of the past, set beside what was measured and beside naive methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from steploom.data.series.frequency import grid_positions
from steploom.data.series.row_grid import stamp
from steploom.data.series.series import FloatArray, SeriesSet
from steploom.data.series.timestamps import parse_times
from steploom.errors import DataError, OptionError
from steploom.models.seasonal_naive import last_value, values_a_season_ago
from steploom.tasks.forecast.metrics import forecast_metrics
from steploom.tasks.forecast.past import Source
from steploom.tasks.forecast.yardstick import Yardstick

__all__ = [
    "Backtest",
    "ForecastFunction",
    "Forecasts",
    "Origins",
    "not_before",
    "rolling_origins",
]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Origins:
    """Where forecasts start.

    Attributes:
        series: (windows,) the number of the series in its set.
        rows: (windows,) the first row that is forecast; a forecast may use the rows before it and none from it on.
    """

    series: Ints
    rows: Ints

    def __len__(self) -> int:
        return len(self.rows)

    def of_each(self, count: int) -> list[Ints]:
        """For each of `count` series the numbers of its windows."""
        order = np.argsort(self.series, kind="stable")
        return np.split(order, np.searchsorted(self.series[order], np.arange(1, count)))


@dataclass(frozen=True)
class Forecasts:
    """What was forecast at each origin.

    Attributes:
        mean: (windows, horizon).
        quantiles: (windows, horizon, 9) at the levels 0.1 to 0.9, rising.
    """

    mean: FloatArray
    quantiles: FloatArray


ForecastFunction = Callable[[SeriesSet, Origins], Forecasts]


def rolling_origins(data: SeriesSet, begins: Sequence[int], context: int, horizon: int, every: int) -> Origins:
    """Origins every `every` rows from `begins` on: those with a whole context before and a whole horizon after.

    They are counted from `begins` whatever the context is, so that models of different contexts have common origins.

    Args:
        data: the series.
        begins: for each series the first possible origin; may lie outside the series.
        context, horizon, every: in rows.

    Raises:
        DataError: not one origin fits.
    """
    series, rows = [], []
    for i, (one, begin) in enumerate(zip(data, begins, strict=True)):
        skipped = max(0, -(-(context - begin) // every))
        own = np.arange(begin + skipped * every, len(one) - horizon + 1, every)
        series.append(np.full(len(own), i))
        rows.append(own)
    origins = Origins(np.concatenate(series).astype(np.int64), np.concatenate(rows).astype(np.int64))
    if not len(origins):
        longest = max(max(0, len(one) - max(0, begin)) for one, begin in zip(data, begins, strict=True))
        preceded = any(begin >= context for begin in begins)
        raise DataError(
            f"there is no origin to forecast from: a forecast needs {context} rows before it and {horizon} rows "
            f"to compare with, and the longest series has {longest}" + " rows after those before it" * preceded,
            hint="Give a longer file" + ", or what came before it with --history" * (not preceded),
        )
    return origins


def not_before(source: Source, start: str, context: int, horizon: int) -> Source:
    """The same source with no origin before the time `start`; between two rows, that is the later one.

    Args:
        source: the series, and from where on they are scored.
        start: a time as a user wrote it.
        context, horizon: in rows.

    Raises:
        OptionError: it is no time, or there are origins but none from it on.
    """
    try:
        times = parse_times([start])
    except ValueError:
        raise OptionError(
            f"--start: day and month cannot be told apart in '{start}'. Expected a time such as 2014-12-31"
        ) from None
    if np.isnat(times[0]):
        raise OptionError(f"--start: expected a time such as 2014-01-01 or '2014-01-01 06:00', found '{start}'")
    data, begins, last = source.data, [], []
    for series, begin in zip(data, source.begins, strict=True):
        position, on_grid = grid_positions(times, series.start, data.frequency)
        begins.append(max(begin, int(position[0]) + (not on_grid[0])))
        if len(series) - horizon >= max(begin, context):
            last.append((begins[-1], len(series) - horizon, series))
    if last and all(begin > row for begin, row, _ in last):
        latest = stamp(max(data.times(series, row, 1)[0] for _, row, series in last))
        raise OptionError(f"--start {start} lies behind the last possible origin, {latest}")
    return replace(source, begins=begins)


@dataclass(frozen=True)
class Backtest:
    """Forecasts at rolling origins with what was measured.

    Attributes:
        data: the series.
        origins: where the forecasts start.
        forecasts: what was forecast.
        actual: (windows, horizon), NaN where not measured.
    """

    data: SeriesSet
    origins: Origins
    forecasts: Forecasts
    actual: FloatArray

    @classmethod
    def run(cls, forecaster: ForecastFunction, data: SeriesSet, origins: Origins, horizon: int) -> Backtest:
        """Forecasts at all origins."""
        steps = np.arange(horizon)
        actual = np.empty((len(origins), horizon))
        for series, own in zip(data, origins.of_each(len(data)), strict=True):
            actual[own] = series.target[origins.rows[own][:, None] + steps]
        return cls(data, origins, forecaster(data, origins), actual)

    def metrics(self, yardsticks: Sequence[Yardstick]) -> dict[str, float]:
        """The scores of the forecasts.

        Args:
            yardsticks: one a series.
        """
        return self._scores(self.forecasts.mean, self.forecasts.quantiles, yardsticks)

    def baselines(self, yardsticks: Sequence[Yardstick]) -> dict[str, dict[str, float]]:
        """The scores of the seasonal naive methods at the same origins; of the last value where there is none.

        Where some values have none a season before them, the last value stands in; a method for which none of the
        values that are scored has one is left out. The intervals are the errors that the method made in the training
        part; the last value has none.
        """
        last = self._of_each_series(last_value)
        result = {}
        for number, season in enumerate(self.data.seasons):
            known = self._of_each_series(partial(values_a_season_ago, season=season))
            if not (np.isfinite(known) & np.isfinite(self.actual)).any():
                continue
            naive = np.where(np.isnan(known), last, known)
            errors = np.stack([yardstick.errors[number] for yardstick in yardsticks])
            quantiles = naive[:, :, None] + errors[self.origins.series][:, None]
            result[f"seasonal_naive_{season}"] = self._scores(naive, quantiles, yardsticks)
        result = result or {"last_value": self._scores(last, None, yardsticks)}
        return {name: scores for name, scores in result.items() if scores}

    def _of_each_series(self, naive: Callable[[FloatArray, Ints, int], FloatArray]) -> FloatArray:
        """What a naive method says at the origins, (windows, horizon)."""
        result = np.empty_like(self.actual)
        for series, own in zip(self.data, self.origins.of_each(len(self.data)), strict=True):
            result[own] = naive(series.target, self.origins.rows[own], self.actual.shape[1])
        return result

    def _scores(
        self, mean: FloatArray, quantiles: FloatArray | None, yardsticks: Sequence[Yardstick]
    ) -> dict[str, float]:
        scale = np.array([yardstick.scale for yardstick in yardsticks])
        return forecast_metrics(self.actual, mean, quantiles, self.origins.series, scale)
