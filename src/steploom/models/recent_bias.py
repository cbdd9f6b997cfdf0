"""The bias of the last forecasts, and the part of it that lasts.

Where the level of a series moves as it never did in training, forecasts err to one side for days. The next one can
know it: what those before it said stands beside what was measured since, and a part of their mean error is added.
Economists call that intercept correction (Clements & Hendry 1996), meteorologists a decaying average of the bias
(Cui et al. 2012).

An error is counted in half widths of the 80 % interval at its step. So a correction moves a step by as much more as
the forecast is less sure there, and one that is sure of a 0 not at all.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["REACH", "half_width", "lasting_share", "mean_error", "recent_bias"]

REACH = 4
"""Forecasts that count: those made one, two, ... horizons before the next one."""

_DECAY = 0.5
_LARGEST = 1.5
_NARROWEST = 1e-6
_LEAST_MEASURED = 0.25

# What lasted in hourly traffic and air quality: it counts as so many days with biases of this mean square.
_USUAL_SHARE, _USUAL_DAYS, _USUAL_SQUARE = 0.3, 20.0, 0.15
_MOST = 0.5


def half_width(quantiles: Tensor) -> Tensor:
    """Half the width of the 80 % interval (batch, horizon) of quantiles (batch, horizon, 9)."""
    return (quantiles[..., 8] - quantiles[..., 0]) / 2


def mean_error(quantiles: Tensor, target: Tensor, observed: Tensor) -> Tensor:
    """The mean error of each forecast, in half widths; (batch,), NaN where too few steps were measured.

    The error is that of the mean of the quantiles, not of the median, which is biased where the distribution leans.
    Beyond 1.5 half widths it is no larger: an outage of a day must not bend the days after it. A quarter of the steps
    must have been measured.

    Args:
        quantiles: (batch, horizon, 9), scaled.
        target: (batch, horizon), scaled; any finite value where not measured.
        observed: (batch, horizon), 1 where measured, else 0.
    """
    error = (target - quantiles.mean(-1)) / half_width(quantiles).clamp(min=_NARROWEST)
    error = error.clamp(-_LARGEST, _LARGEST) * observed
    count = observed.sum(-1)
    return torch.where(count >= _LEAST_MEASURED * observed.shape[-1], error.sum(-1) / count, torch.nan)


def recent_bias(errors: Tensor) -> Tensor:
    """The bias of the last forecasts, (batch,): the mean of their errors, the last one counting most.

    Args:
        errors: (batch, REACH) as `mean_error` gives them, the last forecast first; NaN where there was none. Without
            any the bias is 0.
    """
    weight = _DECAY ** torch.arange(errors.shape[1]).to(errors)
    weight = torch.where(errors.isnan(), 0.0, weight)
    return (errors.nan_to_num() * weight).sum(-1) / weight.sum(-1).clamp(min=_NARROWEST)


def lasting_share(error: Tensor, bias: Tensor, days: float) -> float:
    """The part of the recent bias by which the next forecast errs again, from 0 to 0.5.

    It is the slope of the errors over the biases before them, pulled towards what is usual (ridge regression) where the
    days are few or their biases small.

    Args:
        error, bias: (windows,) of forecasts, and of those before each; NaN errors do not count.
        days: how many horizons of measured rows the windows cover.
    """
    known = error.isfinite()
    error, bias = error[known].double(), bias[known].double()
    weight = days / max(len(bias), 1)
    product, square = weight * float((error * bias).sum()), weight * float((bias * bias).sum())
    usual = _USUAL_DAYS * _USUAL_SQUARE
    return min(max((product + usual * _USUAL_SHARE) / (square + usual), 0.0), _MOST)
