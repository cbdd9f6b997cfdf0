"""Naive forecasts: the value one season ago, and the last value."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["last_value", "seasonal_naive", "values_a_season_ago"]

FloatArray = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def seasonal_naive(target: FloatArray, origins: Ints, horizon: int, season: int) -> FloatArray:
    """The values a season ago; where none was measured, the last value before the origin.

    Args:
        target, origins, horizon, season: as in `values_a_season_ago`.

    Returns:
        (count, horizon), NaN where nothing was measured before the origin.
    """
    forecast = values_a_season_ago(target, origins, horizon, season)
    return np.where(np.isnan(forecast), last_value(target, origins, horizon), forecast)


def values_a_season_ago(target: FloatArray, origins: Ints, horizon: int, season: int) -> FloatArray:
    """The value at the same place in the last season before the origin.

    Where that one is missing, the same place in the season before it, and so on.

    Args:
        target: (length,) one series, NaN where missing.
        origins: (count,) the rows of the first values to forecast, each at least 1.
        horizon: values to forecast.
        season: length of the season in rows.

    Returns:
        (count, horizon), NaN where nothing was measured at this place of any season before the origin.
    """
    steps = np.arange(horizon)
    # The latest row in phase with origin + step that lies before the origin.
    row = origins[:, None] + steps - season * (steps // season + 1)
    in_phase = _last_measured_in_phase(target, season)
    return np.where(row >= 0, in_phase[np.clip(row, 0, len(target) - 1)], np.nan)


def last_value(target: FloatArray, origins: Ints, horizon: int) -> FloatArray:
    """The last value measured before the origin, at every step.

    Args:
        target, origins, horizon: as in `seasonal_naive`.
    """
    last = _last_measured_in_phase(target, 1)[origins - 1]
    return np.repeat(last[:, None], horizon, axis=1)


def _last_measured_in_phase(target: FloatArray, season: int) -> FloatArray:
    """For each row the value there, or else one, two, ... seasons before it: the first that was measured."""
    padded = np.full(-(-len(target) // season) * season, np.nan)
    padded[: len(target)] = target
    table = padded.reshape(-1, season)
    row = np.where(np.isnan(table), -1, np.arange(len(table))[:, None])
    row = np.maximum.accumulate(row, axis=0)
    filled = np.where(row >= 0, np.take_along_axis(table, np.maximum(row, 0), axis=0), np.nan)
    result: FloatArray = filled.reshape(-1)[: len(target)]
    return result
