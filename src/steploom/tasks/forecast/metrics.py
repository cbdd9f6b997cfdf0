"""Scores of forecasts. Only measured values count; a missing one never does."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from steploom.models.outputs import LEVELS

__all__ = ["forecast_metrics", "mean_seasonal_change"]

FloatArray = npt.NDArray[np.float64]


def forecast_metrics(
    actual: FloatArray,
    mean: FloatArray,
    quantiles: FloatArray | None,
    series: npt.NDArray[np.int64],
    scale: FloatArray,
) -> dict[str, float]:
    """MAE, RMSE, MASE, weighted quantile loss and coverage of the 80 % interval.

    - mae: mean of |actual - median| over all measured values.
    - rmse: root of the mean of (actual - mean)^2.
    - mase: MAE of each series over its `scale`, averaged over the series (Hyndman & Koehler 2006).
    - wql: for each level, twice the summed pinball loss over the summed |actual|; the mean of the nine
      (Salinas et al. 2020). For a point forecast all quantiles are that point.
    - coverage_80: share of the values between the quantiles 0.1 and 0.9, both included. None for a point forecast.

    A figure that is not defined (no measured value, all values 0, no scale) is left out.

    Args:
        actual: (windows, horizon), NaN where not measured.
        mean: (windows, horizon).
        quantiles: (windows, horizon, 9) at `LEVELS`, or None for a point forecast.
        series: (windows,) the number of the series of each window.
        scale: (series,) the scale of MASE, NaN or 0 where it has none.
    """
    counted = np.isfinite(actual) & np.isfinite(mean)
    if not counted.any():
        return {}
    # Squares and sums of values near 1e200 would overflow, those near 1e-200 vanish; a power of 2 scales exactly.
    size = int(np.frexp(max(np.abs(actual[counted]).max(), np.abs(mean[counted]).max()))[1]) + 2
    y = np.ldexp(actual[counted], -size)
    point = np.ldexp(mean[counted], -size)
    levels = (
        np.repeat(point[:, None], len(LEVELS), axis=1) if quantiles is None else np.ldexp(quantiles[counted], -size)
    )
    error = np.abs(y - levels[:, LEVELS.index(0.5)])
    rmse = np.sqrt(np.mean((y - point) ** 2))
    metrics = {"mae": float(np.ldexp(error.mean(), size)), "rmse": float(np.ldexp(rmse, size))}

    number = np.repeat(series[:, None], actual.shape[1], axis=1)[counted]
    count = np.bincount(number, minlength=len(scale))
    scored = (count > 0) & (np.nan_to_num(scale) > 0)
    if scored.any():
        mae = np.bincount(number, weights=error, minlength=len(scale))[scored] / count[scored]
        metrics["mase"] = float(np.mean(np.ldexp(mae, size) / scale[scored]))

    total = np.abs(y).sum()
    if total > 0:
        gap = y[:, None] - levels
        q = np.array(LEVELS)
        pinball = np.maximum(q * gap, (q - 1) * gap).sum(axis=0)
        metrics["wql"] = float(2 * pinball.mean() / total)
    if quantiles is not None:
        metrics["coverage_80"] = float(((y >= levels[:, 0]) & (y <= levels[:, -1])).mean())
    return metrics


def mean_seasonal_change(target: FloatArray, season: int) -> float:
    """Mean |y[t] - y[t - season]| over the pairs that were both measured; NaN where there is none. Scales MASE."""
    change = np.abs(target[season:] - target[:-season])
    change = change[np.isfinite(change)]
    return float(change.mean()) if len(change) else float("nan")
