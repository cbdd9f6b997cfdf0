"""How wide intervals have to be, from how far outside of former ones lay what was measured.

The factor by which quantiles are spread around their median is a quantile of how far what was measured lay outside, in
the forecast's own spread: a conformity score (conformalised quantile regression, Romano et al. 2019, with a factor in
place of their summand). It is learnt from the validation part, and again at each origin from a rolling window of the
forecasts before it: what varies more than it did, or less, is forecast with wider intervals, or narrower ones, before
long (in the spirit of adaptive conformal inference, Gibbs & Candès 2021).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Misses", "outside", "recent_forecasts", "recent_widening", "widening"]

_COVERED = 0.8

# From the validation part: the bounds of the factor, and so many horizons count as much as the factor 1.
_NARROWEST, _WIDEST, _PULL = 0.3, 3.0, 1.0

# From recent forecasts, after that. A stretch of two weeks in which nothing moves is no reason for a sliver.
_RECENT_NARROWEST, _RECENT_PULL = 0.5, 3.0

# Of short horizons, 14 forecasts hold too few values for a quantile of them.
_FORECASTS, _VALUES, _VALUES_PULL = 14, 100, 20


class Misses(NamedTuple):
    """How far forecasts lay from what was measured since; in the scale of each.

    Attributes:
        mean_error: (forecasts,) see `steploom.models.recent_bias`.
        error: (forecasts, horizon) what was measured less the median; NaN where nothing was.
        below, above: (forecasts, horizon) how far the bounds of the 80 % interval lie from the median.
    """

    mean_error: Tensor
    error: Tensor
    below: Tensor
    above: Tensor


def recent_forecasts(horizon: int) -> int:
    """How many forecasts before an origin, one horizon apart, say how wide the intervals have to be."""
    return max(_FORECASTS, -(-_VALUES // horizon))


def widening(quantiles: Tensor, target: Tensor, observed: Tensor, horizons: float) -> float:
    """How far the quantiles of validation windows are to be spread around the median, so that the 80 % interval covers.

    Args:
        quantiles: (batch, horizon, 9), scaled.
        target: (batch, horizon), scaled; any finite value where not measured.
        observed: (batch, horizon), 1 where measured, else 0.
        horizons: how many horizons of measured rows the windows cover.
    """
    median = quantiles[..., 4]
    found = outside(target - median, median - quantiles[..., 0], quantiles[..., 8] - median)[observed > 0].float()
    if not len(found):
        return 1.0
    return float(_factor(_at_most(found), torch.tensor(horizons, dtype=torch.float64), _PULL, _NARROWEST))


def recent_widening(found: Tensor) -> Tensor:
    """How much further quantiles are to be spread, (origins,), from the forecasts before each origin.

    Args:
        found: (origins, forecasts, horizon), how far `outside` lay what was measured; NaN where nothing was, or where
            there was no forecast.
    """
    horizon = found.shape[-1]
    values = found.flatten(1)
    horizons = values.isfinite().sum(1, dtype=torch.float64) / horizon
    return _factor(values, horizons, max(_RECENT_PULL, _VALUES_PULL / horizon), _RECENT_NARROWEST)


def outside(error: Tensor, below: Tensor, above: Tensor) -> Tensor:
    """How far values lie from the median, in lengths of their side of the interval: 1 on its bound.

    Args:
        error: of the values, less the median.
        below, above: from the median to the lower and the upper bound.
    """
    return torch.maximum(_to_one_side(-error, below), _to_one_side(error, above))


def _to_one_side(error: Tensor, length: Tensor) -> Tensor:
    """How far a value lies to one side of the median, in lengths of that side of the interval: 1 on its bound.

    That is also where a value lies that is median and bound in one, as 0 is of counts that are mostly 0. Taken for the
    very middle, it would have the other side made shorter, although that already covers no more than it says.
    """
    return torch.where((length < 1e-5) & (error.abs() < 1e-5), 1.0, error / length.clamp(min=1e-6))


def _factor(found: Tensor, horizons: Tensor, pull: float, narrowest: float) -> Tensor:
    """(...) from values (..., n), NaN where there is none; pulled towards 1 where there are few horizons of them."""
    factor = torch.nanquantile(found, _COVERED, -1).clamp(narrowest, _WIDEST).nan_to_num(1.0)
    return factor.double() ** (horizons / (horizons + pull))


def _at_most(values: Tensor, most: int = 2**20) -> Tensor:
    """Evenly chosen values: `torch.nanquantile` takes no more than 16 million."""
    return values[:: -(-len(values) // most)]
