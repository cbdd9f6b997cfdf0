"""Season lengths as the data have them, where these differ from the calendar's.

A logger whose clock runs fast or slow, or that drops a sample now and then, writes days of 23.5 "hours". A value of the
same place in the season must then be looked up 165 rows back and not 168.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from steploom.data.series.series import FloatArray

__all__ = ["FARTHEST", "measured_seasons"]

FARTHEST = 0.04
"""The largest difference from the nominal length, as a share of it."""

_CANDIDATES = 161
_MOST_REPEATS = 6
_CLEARLY = 0.05
_MOST_SERIES = 50
_MOST_ROWS = 50_000


def measured_seasons(targets: Sequence[FloatArray], seasons: tuple[int, ...]) -> tuple[float, ...]:
    """The season lengths, moved by at most 4 % to where the series repeat themselves best.

    The longest season is measured: the mean autocorrelation at its multiples, over the series, for 161 lengths. It is
    moved only where that is greater by 0.05 than at the nominal length, and the shorter ones move in proportion.

    Args:
        targets: values of each series, NaN where missing.
        seasons: nominal lengths in rows, the shortest first.

    Returns:
        As many lengths, which are whole numbers where nothing moved.
    """
    if not seasons:
        return ()
    nominal = seasons[-1]
    standard = [_standard(t[-_MOST_ROWS:]) for t in targets if len(t) >= 3 * nominal][:_MOST_SERIES]
    if not standard:
        return tuple(float(s) for s in seasons)
    repeats = min(_MOST_REPEATS, *(int(0.7 * len(t) / nominal) for t in standard))
    lengths = nominal * (1 + np.linspace(-FARTHEST, FARTHEST, _CANDIDATES))
    scores = np.array([_repeats_itself(standard, length, repeats) for length in lengths])
    best = float(lengths[int(np.argmax(scores))])
    if scores.max() < _repeats_itself(standard, nominal, repeats) + _CLEARLY:
        return tuple(float(s) for s in seasons)
    return tuple(s * best / nominal for s in seasons)


def _standard(target: FloatArray) -> FloatArray:
    there = np.isfinite(target)
    if not there.any() or target[there].std() == 0:
        return np.full_like(target, np.nan)
    standard: FloatArray = (target - target[there].mean()) / target[there].std()
    return standard


def _repeats_itself(standard: Sequence[FloatArray], length: float, repeats: int) -> float:
    """The mean autocorrelation at `repeats` multiples of a length."""
    found = []
    for values in standard:
        for k in range(1, repeats + 1):
            lag = round(k * length)
            products = values[lag:] * values[:-lag]
            there = np.isfinite(products)
            found.append(float(products[there].mean()) if there.any() else 0.0)
    return float(np.mean(found))
