"""A forecast without a network, for tests of what stands around it: yesterday's value, with a spread of 10."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from steploom.data.series.series import SeriesSet
from steploom.data.series.window_layout import Layout, rows_before
from steploom.models.seasonal_naive import seasonal_naive
from steploom.tasks.forecast.backtest import Forecasts, Origins

SPREAD = 10.0


def forecast_with(network: Any, layout: Layout, unseen: Any = None) -> Callable[[SeriesSet, Origins], Forecasts]:
    """What `steploom.tasks.forecast.network.forecast_with` gives, with only the rows that it may reach."""
    horizon = layout.horizon
    reach = rows_before(layout.context, horizon, layout.seasons)

    def forecast(data: SeriesSet, origins: Origins) -> Forecasts:
        mean = np.empty((len(origins), horizon))
        for i, (number, row) in enumerate(zip(origins.series, origins.rows, strict=True)):
            before = data.series[number].target[max(0, row - reach) : row]
            mean[i] = seasonal_naive(before, np.array([len(before)]), horizon, (data.seasons or (1,))[0])[0]
        return Forecasts(mean, mean[:, :, None] + np.linspace(-SPREAD, SPREAD, 9))

    return forecast
