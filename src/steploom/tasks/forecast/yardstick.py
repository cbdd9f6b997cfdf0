"""What a series' own past says about its naive forecasts: the scale of MASE, and how far a naive forecast is off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from steploom.data.series.series import FloatArray
from steploom.models.outputs import LEVELS
from steploom.tasks.forecast.metrics import mean_seasonal_change

__all__ = ["Yardstick"]

_FEWEST = 20


@dataclass(frozen=True)
class Yardstick:
    """Learnt from one series before what is scored: the training files, or for the validation part the rows before it.

    Attributes:
        scale: mean |y[t] - y[t - season]| for the shortest season (one step where there is none); NaN where unknown.
        errors: (seasons, 9) the quantiles at 0.1 to 0.9 of y[t] - y[t - season], with 0 for the median: the naive
            forecast itself. All 0 where fewer than 20 are known.
    """

    scale: float
    errors: FloatArray

    @classmethod
    def of(cls, target: FloatArray, seasons: tuple[int, ...]) -> Self:
        """The yardstick of what was measured, `target` (length,) with NaN where missing."""
        errors = [_error_quantiles(target, season) for season in seasons]
        return cls(mean_seasonal_change(target, seasons[0] if seasons else 1), np.reshape(errors, (-1, len(LEVELS))))

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"scale": None if np.isnan(self.scale) else self.scale, "naive_errors": self.errors.tolist()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """From what `to_json` gave."""
        scale = values["scale"]
        errors = np.array(values["naive_errors"], np.float64).reshape(-1, len(LEVELS))
        return cls(float("nan") if scale is None else float(scale), errors)


def _error_quantiles(target: FloatArray, season: int) -> FloatArray:
    error = target[season:] - target[:-season]
    error = error[np.isfinite(error)]
    middle = LEVELS.index(0.5)
    if len(error) < _FEWEST:
        return np.zeros(len(LEVELS))
    quantiles = np.quantile(error, LEVELS)
    # The forecast is the value a season ago, also where values have risen on average.
    quantiles[: middle + 1] = np.minimum(quantiles[: middle + 1], 0)
    quantiles[middle:] = np.maximum(quantiles[middle:], 0)
    quantiles[middle] = 0
    return quantiles
