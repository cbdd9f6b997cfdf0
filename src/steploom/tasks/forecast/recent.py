"""What the forecasts before an origin were off by: they are made again, and compared with what was measured since."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from steploom.models.recent_bias import REACH, recent_bias

if TYPE_CHECKING:
    from steploom.data.series.windows import Windows
    from steploom.models.forecaster import Forecaster

__all__ = ["WINDOWS_AT_ONCE", "bias_before"]

Ints = npt.NDArray[np.int64]

WINDOWS_AT_ONCE = 512
"""So many windows are forecast together."""


def bias_before(network: Forecaster, windows: Windows, series: Ints, rows: Ints) -> Tensor:
    """The bias (origins,) of the forecasts made one, two, ... horizons before each origin.

    Nothing from an origin on is looked at. Forecasts without a whole context before them do not count. Origins a
    horizon apart share what is forecast for them.

    Args:
        network: the forecaster.
        windows: of the series.
        series, rows: (origins,) the number of the series, and the first row forecast.
    """
    before = rows[:, None] - windows.layout.horizon * np.arange(1, REACH + 1)
    there = before >= windows.layout.context
    numbers = np.broadcast_to(series[:, None], before.shape)
    asked, places = np.unique(np.stack((numbers[there], before[there])), axis=1, return_inverse=True)
    found = [
        network.mean_error(*windows.at(*asked[:, first : first + WINDOWS_AT_ONCE]))
        for first in range(0, asked.shape[1], WINDOWS_AT_ONCE)
    ]
    errors = np.full(before.shape, np.nan)
    if found:
        errors[there] = torch.cat(found).numpy()[places.reshape(-1)]
    return recent_bias(torch.from_numpy(errors).float())
