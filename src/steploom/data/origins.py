"""Which rows of a series set are learnt from, which validate, and at which rows forecasts start.

An origin is the first row that is forecast: the forecast may use rows before it and none from it on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from steploom.errors import DataError
from steploom.data.series import FloatArray, Series, SeriesSet

__all__ = ["Rows", "mean_seasonal_change", "rolling_origins", "split_by_time"]

Rows = list[tuple[int, int]]
"""For each series the rows [first, stop) whose values are forecast; the context before `first` may lie outside."""


@dataclass(frozen=True)
class Split:
    """Rows to learn from and rows to validate on, one pair a series. A window belongs to the part that holds ALL its
    forecast rows."""

    train: Rows
    valid: Rows


def split_by_time(data: SeriesSet, context: int, horizon: int, fraction: float = 0.1) -> Split:
    """The last `fraction` of each series' time validates, at least one horizon of it where the series is long enough.

    A series with fewer than context + 2 * horizon rows only trains.

    Raises:
        DataError: a series has fewer than context + horizon rows, so that it has no window at all.
    """
    train, valid = [], []
    for series in data:
        length = len(series)
        if length < context + horizon:
            raise too_short(series, context, horizon)
        held_out = max(horizon, round(length * fraction)) if fraction > 0 else 0
        if length - held_out < context + horizon:
            held_out = horizon if length >= context + 2 * horizon and fraction > 0 else 0
        train.append((context, length - held_out))
        valid.append((length - held_out, length))
    return Split(train, valid)


def too_short(series: Series, context: int, horizon: int) -> DataError:
    """The error about a series that has not one window."""
    return DataError(
        f"series '{series.id}' has {len(series)} rows; a context of {context} and a horizon of {horizon} need "
        f"at least {context + horizon}",
        hint="Give more rows, or a shorter --context or --horizon",
    )


def rolling_origins(first: int, stop: int, horizon: int, every: int) -> range:
    """Origins `first`, `first` + `every`, ... as long as a whole horizon lies before row `stop`."""
    return range(first, max(first, stop - horizon + 1), every)


def mean_seasonal_change(target: FloatArray, season: int) -> float:
    """Mean |y[t] - y[t - season]| over the pairs that were both measured; NaN where there is none. Scales MASE."""
    change = np.abs(target[season:] - target[:-season]) if season < len(target) else np.empty(0)
    change = change[np.isfinite(change)]
    return float(change.mean()) if len(change) else float("nan")


def starts_with_context(series: Sequence[Series], context: int) -> list[int]:
    """For each series the first row that has a whole context before it."""
    return [min(context, len(s)) for s in series]
