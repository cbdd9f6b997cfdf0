"""Batches of windows: drawn anew each epoch to train on, or all of them in order to validate on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

from steploom.data.series.level_walk import LevelWalk
from steploom.data.series.origins import Rows
from steploom.data.series.window_layout import rows_before
from steploom.data.series.windows import Windows

__all__ = ["DrawnWindows", "OrderedWindows"]

Ints = npt.NDArray[np.int64]


class DrawnWindows:
    """Windows drawn with replacement, every one equally likely; any row may be an origin, not only midnight.

    Args:
        windows: the series.
        rows: for each series the rows [first, stop) that may be forecast.
        batch_size: windows a batch.
        batches: batches an epoch.
        seed: of the draw.
        level_walk: how far each window's level wanders over a horizon, see `LevelWalk`; 0: not at all.

    Attributes:
        windows: the series.
        count: how many windows there are.

    Raises:
        ValueError: not one window fits.
    """

    carries_state = False

    def __init__(
        self, windows: Windows, rows: Rows, batch_size: int, batches: int, seed: int, level_walk: float = 0.0
    ) -> None:
        self._level_walk = level_walk
        self.windows, self._batch_size, self._batches, self._seed = windows, batch_size, batches, seed
        self._first, counts = _origins(rows, windows.layout.horizon)
        self._end = np.cumsum(counts)
        self.count = int(self._end[-1]) if len(counts) else 0
        if not self.count:
            raise ValueError("no series has a horizon of rows to learn from")

    def __len__(self) -> int:
        return self._batches

    def batch(self, epoch: int, index: int, rank: int = 0, world: int = 1) -> dict[str, Tensor]:
        """Batch `index` of `epoch`: a function of these and the seed alone; a rank gets rows rank::world."""
        random = np.random.default_rng((self._seed, epoch, index))
        series, rows = _origin(random.integers(self.count, size=self._batch_size), self._first, self._end)
        part = slice(rank, None, world)
        if not self._level_walk:
            return self.windows.at(series[part], rows[part])[0]
        layout = self.windows.layout
        before = rows_before(layout.context, layout.horizon, layout.lags)
        walk = LevelWalk.drawn(random, rows, before, layout.horizon, self._level_walk)
        return self.windows.at(series[part], rows[part], walk[part])[0]


class OrderedWindows:
    """Windows at evenly spaced origins, each once an epoch.

    Args:
        windows: the series.
        rows: for each series the rows [first, stop) that may be forecast.
        batch_size: windows a batch.
        most: no more windows than this; they are spread evenly.

    Attributes:
        windows: the series.
        series, rows: (windows,) the number of each window's series, and its first row forecast.
        rows_covered: how many rows the windows forecast, each counted once.
    """

    carries_state = False

    def __init__(self, windows: Windows, rows: Rows, batch_size: int, most: int) -> None:
        self.windows, self._batch_size = windows, batch_size
        first, counts = _origins(rows, windows.layout.horizon)
        end = np.cumsum(counts)
        count = int(end[-1]) if len(counts) else 0
        horizon = windows.layout.horizon
        self.rows_covered = int((counts + horizon - 1)[counts > 0].sum())
        chosen = np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))
        self.series, self.rows = _origin(chosen, first, end)

    def __len__(self) -> int:
        return -(-len(self.rows) // self._batch_size)

    def batch(self, epoch: int, index: int, rank: int = 0, world: int = 1) -> dict[str, Tensor]:
        """Batch `index`, the same in every epoch; a rank gets rows rank::world."""
        part = slice(index * self._batch_size, (index + 1) * self._batch_size)
        return self.windows.at(self.series[part][rank::world], self.rows[part][rank::world])[0]


def _origins(rows: Rows, horizon: int) -> tuple[Ints, Ints]:
    """The first origin of each series, and how many it has."""
    first = np.array([begin for begin, _ in rows], np.int64)
    stop = np.array([end for _, end in rows], np.int64)
    return first, np.maximum(stop - horizon + 1 - first, 0)


def _origin(numbers: Ints, first: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Series and row of windows that are numbered through all series."""
    series = np.searchsorted(end, numbers, side="right")
    before = np.concatenate([[0], end[:-1]]) if len(end) else end
    return series, first[series] + numbers - before[series]
