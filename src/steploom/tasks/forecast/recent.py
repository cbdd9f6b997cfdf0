"""What the forecasts before an origin were off by: they are made again, and compared with what was measured since."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from steploom.models.interval_width import Misses, recent_forecasts, recent_widening
from steploom.models.recent_bias import REACH, recent_bias

if TYPE_CHECKING:
    from steploom.data.series.windows import Windows
    from steploom.models.forecaster import Forecaster

__all__ = ["WINDOWS_AT_ONCE", "bias_and_width_before", "bias_before"]

Ints = npt.NDArray[np.int64]

WINDOWS_AT_ONCE = 512
"""So many windows are forecast together."""

_VALUES_AT_ONCE = 2**22


def bias_before(network: Forecaster, windows: Windows, series: Ints, rows: Ints) -> Tensor:
    """The bias (origins,) of the forecasts made one, two, ... horizons before each origin.

    Nothing from an origin on is looked at. Forecasts without a whole context before them do not count. Origins a
    horizon apart share what is forecast for them.

    Args:
        network: the forecaster.
        windows: of the series.
        series, rows: (origins,) the number of the series, and the first row forecast.
    """
    return _Former(network, windows, series, rows, np.full(len(rows), REACH)).bias(series, rows)


def bias_and_width_before(
    network: Forecaster, windows: Windows, series: Ints, rows: Ints, unseen: Ints | None
) -> tuple[Tensor | None, Tensor | None]:
    """What `Forecaster.predict` takes as `bias` and `width`, (origins,) each, from the forecasts before each origin.

    For the width those count of which training saw no row: what a network was fitted to, it misses by too little. Each
    is corrected by the bias of those before it, as it would have been then, and as wide as the validation part says.

    Args:
        network, windows, series, rows: as `bias_before` takes them.
        unseen: (series,) the first row of each that training did not see; None: there is no width.

    Returns:
        The bias, None where none lasts; and the width, None where there is no `unseen`.
    """
    if unseen is None and not network.lasting:
        return None, None
    context, horizon = windows.layout.context, windows.layout.horizon
    counted = np.zeros_like(rows)
    if unseen is not None:
        first = np.maximum(unseen[series], context)
        counted = np.clip((rows - first) // horizon, 0, recent_forecasts(horizon))
    former = _Former(network, windows, series, rows, counted + (REACH if network.lasting else 0))
    bias = former.bias(series, rows) if network.lasting else None
    return bias, None if unseen is None else _width(former, series, rows, counted, horizon)


def _width(former: _Former, series: Ints, rows: Ints, counted: Ints, horizon: int) -> Tensor:
    """(origins,), from so many of the forecasts before each as are `counted`; 1 where none is."""
    width = torch.ones(len(rows), dtype=torch.float64)
    some = np.flatnonzero(counted)
    if not len(some):
        return width
    outside, most = former.outside(), int(counted.max())
    at_once = max(1, _VALUES_AT_ONCE // (most * horizon))
    for first in range(0, len(some), at_once):
        part = some[first : first + at_once]
        found = outside[former.numbers(series[part], rows[part], most)]
        found[torch.from_numpy(np.arange(1, most + 1) > counted[part, None])] = torch.nan
        width[part] = recent_widening(found)
    return width


class _Former:
    """Forecasts made anew one, two, ... horizons before some origins; each once, whichever origins share it.

    Args:
        network, windows, series, rows: as `bias_before` takes them.
        counts: (origins,) how many are wanted before each; those without a whole context are left out.
    """

    def __init__(self, network: Forecaster, windows: Windows, series: Ints, rows: Ints, counts: Ints) -> None:
        self._network, self._horizon = network, windows.layout.horizon
        # The rows before the origins lie end to end, with a mark each: a table of all forecasts of all origins, of
        # which most are shared, would be many times as large.
        lengths = np.ones(series.max(initial=-1) + 1, np.int64)
        np.maximum.at(lengths, series, rows)
        self._begin = np.cumsum(lengths) - lengths
        wanted = np.zeros(lengths.sum(), bool)
        for k in range(1, counts.max(initial=0) + 1):
            before = rows - k * self._horizon
            there = (k <= counts) & (before >= windows.layout.context)
            wanted[self._begin[series[there]] + before[there]] = True
        places = np.flatnonzero(wanted)
        self._series = np.searchsorted(self._begin, places, side="right") - 1
        self._rows = places - self._begin[self._series]
        # Number 0 is of none: a forecast that missed by NaN.
        self._places = np.concatenate(([-1], places))
        self._misses = Misses(*map(torch.cat, zip(*self._made(windows), strict=True)))

    def _made(self, windows: Windows) -> Iterator[Misses]:
        steps = torch.full((1, self._horizon), torch.nan)
        yield Misses(steps[:, 0], steps, steps, steps)
        for first in range(0, len(self._rows), WINDOWS_AT_ONCE):
            part = slice(first, first + WINDOWS_AT_ONCE)
            yield self._network.misses(*windows.at(self._series[part], self._rows[part]))

    def numbers(self, series: Ints, rows: Ints, count: int) -> Ints:
        """The numbers of the forecasts made 1 to `count` horizons before each row, (rows, count); 0 where none was."""
        before = rows[:, None] - self._horizon * np.arange(1, count + 1)
        places = self._begin[series][:, None] + before
        found = np.minimum(np.searchsorted(self._places, places), len(self._places) - 1)
        numbers: Ints = np.where((before >= 0) & (self._places[found] == places), found, 0)
        return numbers

    def bias(self, series: Ints, rows: Ints) -> Tensor:
        """That of the forecasts before each row, (rows,)."""
        return recent_bias(self._misses.mean_error[self.numbers(series, rows, REACH)])

    def outside(self) -> Tensor:
        """How far outside of each forecast lay what was measured, (numbers, horizon): see `Forecaster.outside`.

        Each is corrected by the bias of those before it. The earliest ones are there for that alone, and what was
        before them may be missing.
        """
        bias = None
        if self._network.lasting:
            bias = torch.cat((torch.zeros(1), self.bias(self._series, self._rows)))
        return self._network.outside(self._misses, bias)
