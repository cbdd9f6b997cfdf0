"""Windows of series: what a forecast may see before an origin, and what it is compared with after it.

Nothing is copied until a batch asks for it: all series lie end to end in flat arrays, and a batch gathers its rows by
index, so that thousands of series cost their own size and no more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from steploom.data.series.calendar import calendar_features
from steploom.data.series.frequency import fixed_step
from steploom.data.series.level_walk import LevelWalk
from steploom.data.series.series import FloatArray, SeriesSet
from steploom.data.series.window_layout import LONGEST_SCALE, REPEATS, Layout
from steploom.models.scaling import Moments, Scale

__all__ = ["Windows"]

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_Read = Callable[[Ints, Ints], tuple[FloatArray, Flags]]
"""From rows, and the row that each lies before, to values and whether they were measured."""


class Windows:
    """The windows of some series.

    Args:
        data: the series, with the covariates and categories that `layout` describes.
        layout: what a window holds.
    """

    def __init__(self, data: SeriesSet, layout: Layout) -> None:
        self.layout = layout
        lengths = np.array([len(s) for s in data], np.int64)
        known = np.array([len(s.known) if data.known else len(s) for s in data], np.int64)
        self._length, self._known_length = lengths, known
        self._begin, self._known_begin = _begins(lengths), _begins(known)
        self._target = np.concatenate([s.target for s in data])
        self._past = np.concatenate([_standard(s.past, layout.past) for s in data])
        self._known = np.concatenate([_standard(s.known, layout.known) for s in data])
        self._static = np.array([s.static for s in data], np.int64).reshape(len(data), -1)
        numbers = {name: i + 1 for i, name in enumerate(layout.series)}
        self._number = np.array([numbers.get(s.id, 0) for s in data], np.int64)  # 0: not known from training
        self._start = np.array([s.start for s in data], "datetime64[ns]")
        self._step = fixed_step(data.frequency)
        self._data = data
        known_moments = np.array([*layout.moments, (np.nan, np.nan, np.nan)])
        self._moments = known_moments[self._number - 1]
        self._usual_spread = float(np.median([spread for _, _, spread in layout.moments])) if layout.moments else None

    def at(self, series: Ints, rows: Ints, walk: LevelWalk | None = None) -> tuple[dict[str, Tensor], Scale]:
        """The windows of some origins.

        Args:
            series: (batch,) the number of each window's series.
            rows: (batch,) the first row forecast, at most the series' length.
            walk: of each window's level, for windows of series known from training.

        Returns:
            The windows and their scales. T = context + horizon rows; all float32 except the last two, and 0 where a
            value is missing:

            - values, observed (batch, context): scaled target before the origin, and whether it was measured
            - lags, lags_observed (batch, T, lag_count): the target a season before each row; not past the origin
            - seasonal, seasonal_observed (batch, horizon, seasonal_count): the last three targets before the origin at
              the same place in each season
            - levels, levels_observed (batch, level_count)
            - covariates (batch, T, covariate_count): past covariates are missing from the origin on
            - target, target_observed (batch, horizon): scaled target from the origin on
            - level (batch,): the window's location less that of its series in training, scaled; 0 for a new series
            - scale_unit, scale_location, scale_spread (batch,): see `Scale`
            - static (batch, columns) and series (batch,): codes; int64
        """
        layout, horizon = self.layout, self.layout.horizon
        origin = rows[:, None]
        moments = Moments(*self._moments[series].T)

        def read(rows: Ints, before: Ints) -> tuple[FloatArray, Flags]:
            values, there = self._values(series, rows, before)
            return (values if walk is None else walk.apply(values, rows, moments.unit, layout.logarithm)), there

        recent = read(origin + np.arange(-layout.scale_rows, 0), origin)
        scale = Scale.of(*recent, moments, layout.logarithm, self._usual_spread)
        row = origin + np.arange(-layout.context, horizon)
        ahead = row[:, layout.context :]
        batch: dict[str, npt.NDArray[Any]] = {}

        def put(name: str, values: FloatArray, observed: Flags) -> None:
            batch[name], batch[f"{name}_observed"] = scale.apply(values, observed), observed

        put("values", *read(row[:, : layout.context], origin))
        batch["observed"] = batch.pop("values_observed")
        lags = np.array(layout.lags, np.int64)
        put("lags", *read(row[:, :, None] - lags, origin[:, :, None]))
        put("seasonal", *read(self._same_place(ahead, rows), origin[:, :, None]))
        levels = self._levels(read, origin, scale)
        batch["levels"], batch["levels_observed"] = levels
        put("target", *read(ahead, origin + horizon))
        batch["covariates"] = self._covariates(series, row, origin)
        batch["level"] = np.nan_to_num((scale.location.numpy() - moments.location) / scale.spread.numpy())
        tensors = {name: torch.from_numpy(np.ascontiguousarray(v, np.float32)) for name, v in batch.items()}
        tensors["static"] = torch.from_numpy(self._static[series])
        tensors["series"] = torch.from_numpy(self._number[series])
        return tensors | scale.to_batch(), scale

    def _values(self, series: Ints, rows: Ints, before: Ints) -> tuple[FloatArray, Flags]:
        """The target at rows (batch, ...) that lie in the series and before `before`, and whether it was measured."""
        shape = (-1, *(1,) * (rows.ndim - 1))
        begin, length = self._begin[series].reshape(shape), self._length[series].reshape(shape)
        inside = (rows >= 0) & (rows < np.minimum(before, length))
        values = self._target[begin + np.where(inside, rows, 0)]
        return values, inside & np.isfinite(values)

    def _same_place(self, ahead: Ints, rows: Ints) -> Ints:
        """(batch, horizon, seasonal_count): the last rows before the origin a whole number of seasons before each."""
        h = ahead[0] - rows[0]
        back = [
            np.maximum(np.round(season * (h // season + k)).astype(np.int64), h + 1)
            for season in self.layout.seasons
            for k in range(1, REPEATS + 1)
        ]
        if not back:
            return np.zeros((*ahead.shape, 0), np.int64)
        result: Ints = ahead[:, :, None] - np.stack(back, -1)
        return result

    def _levels(self, read: _Read, origin: Ints, scale: Scale) -> tuple[FloatArray, Flags]:
        seasons = self.layout.lags
        short, long = (seasons[0], seasons[-1]) if seasons else (self.layout.horizon, self.layout.horizon)
        short = min(short, LONGEST_SCALE)
        levels, observed = [], []
        for count, shift in ((max(1, short // 8), 0), (short, 0), (short, long)):
            values, there = read(origin - shift + np.arange(-count, 0), origin)
            some = there.sum(1)
            levels.append(scale.apply(values, there).sum(1) / np.maximum(some, 1))
            observed.append(some > 0)
        recent = origin + np.arange(-self.layout.scale_rows, 0)
        now, there = read(recent, origin)
        now = scale.apply(now, there)
        for season in seasons:
            before, earlier = read(recent - season, origin)
            both = there & earlier
            change = np.abs(now - scale.apply(before, earlier)) * both
            some = both.sum(1)
            levels.append(change.sum(1) / np.maximum(some, 1))
            observed.append(some > 0)
        return np.stack(levels, 1), np.stack(observed, 1)

    def _covariates(self, series: Ints, row: Ints, origin: Ints) -> FloatArray:
        layout = self.layout
        parts: list[npt.NDArray[Any]] = [calendar_features(self._times(series, row), layout.cycles)]
        if layout.past:
            inside = (row >= 0) & (row < origin)
            values = self._past[self._begin[series][:, None] + np.where(inside, row, 0)]
            there = inside[:, :, None] & np.isfinite(values)
            parts += [np.where(there, values, 0.0), there]
        if layout.known:
            inside = (row >= 0) & (row < self._known_length[series][:, None])
            values = self._known[self._known_begin[series][:, None] + np.where(inside, row, 0)]
            there = inside[:, :, None] & np.isfinite(values)
            parts += [np.where(there, values, 0.0), there]
        result: FloatArray = np.concatenate(parts, -1)
        return result

    def _times(self, series: Ints, row: Ints) -> npt.NDArray[np.datetime64]:
        if self._step is not None:
            since = self._start.astype(np.int64)[series][:, None] + row * self._step
            return since.astype("datetime64[ns]")
        times = np.empty(row.shape, "datetime64[ns]")
        for number in np.unique(series):
            own = series == number
            first, last = int(row[own].min()), int(row[own].max())
            grid = self._data.times(self._data.series[number], first, last - first + 1)
            times[own] = grid[row[own] - first]
        return times


def _begins(lengths: Ints) -> Ints:
    begins: Ints = np.cumsum(lengths) - lengths
    return begins


def _standard(values: FloatArray, moments: tuple[tuple[float, float], ...]) -> FloatArray:
    if not moments:
        return np.zeros((len(values), 0))
    mean, spread = np.array(moments).T
    result: FloatArray = (values - mean) / spread
    return result
