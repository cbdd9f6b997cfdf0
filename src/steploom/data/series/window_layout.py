"""What a window of a series holds: learnt from the training data, kept with the model."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from steploom.data.json_values import read_texts
from steploom.data.series.calendar import calendar_cycles, feature_count
from steploom.data.series.origins import Rows
from steploom.data.series.seasonality import FARTHEST, measured_seasons
from steploom.data.series.series import FloatArray, SeriesSet
from steploom.models.scaling import Moments, suits_logarithm

__all__ = ["LONGEST_SCALE", "REPEATS", "Layout", "rows_before"]

LONGEST_SCALE = 1024
"""A season of more rows is not used to find a window's level."""

REPEATS = 3
"""Values of each season that stand beside a row that is forecast."""

_NOISE = 1e-12
"""What varies less, as a share of its size, is the rounding of a constant."""


@dataclass(frozen=True)
class Layout:
    """What a window holds; learnt from the training data and kept with the model.

    Attributes:
        context: rows of the encoder.
        horizon: rows forecast.
        seasons: season lengths in rows, the shortest first; measured ones need not be whole.
        cycles: cycles of the calendar.
        logarithm: whether targets are scaled with the logarithm.
        past, known: (mean, standard deviation) of each covariate in the training rows.
        static: number of categories of each static column.
        series: names of the series that training forecasts.
        moments: (unit, location, spread) of each of them in the training rows.
        vectors: whether each has a vector of its own in the network.
        nonnegative: whether forecasts below 0 are taken for 0.
    """

    context: int
    horizon: int
    seasons: tuple[float, ...] = ()
    cycles: tuple[str, ...] = ()
    logarithm: bool = False
    past: tuple[tuple[float, float], ...] = ()
    known: tuple[tuple[float, float], ...] = ()
    static: tuple[int, ...] = ()
    series: tuple[str, ...] = ()
    moments: tuple[tuple[float, float, float], ...] = ()
    vectors: bool = False
    nonnegative: bool = False

    @classmethod
    def learn(
        cls,
        data: SeriesSet,
        rows: Rows,
        context: int,
        horizon: int,
        *,
        calendar: bool = True,
        logarithm: bool | None = None,
        vectors: bool = True,
        measured: bool = False,
    ) -> Self:
        """The layout for training series.

        Args:
            data: the series.
            rows: for each the rows [first, stop) that training forecasts; nothing from `stop` on is looked at, and
                nothing at all of a series that has fewer than a horizon of them: it stays unknown.
            context, horizon: in rows.
            calendar: whether the calendar's cycles are features. Those of a clock that the data do not follow are not.
            logarithm: whether targets are scaled with the logarithm; None where it suits the training rows: no value
                is below 0, and at most a tenth of them are 0. Where more are 0, as in sales of rare goods, there is no
                logarithm, but no forecast below 0 either.
            vectors: whether each series gets a vector of its own; a single series needs none.
            measured: whether season lengths are measured in the training rows; else they follow from the frequency.
        """
        taught = [(s, stop) for s, (first, stop) in zip(data, rows, strict=True) if stop - first >= horizon]
        targets = [s.target[:stop] for s, stop in taught]
        takes = suits_logarithm(targets) if logarithm is None else logarithm
        first = min(s.start for s, _ in taught)
        last = max(data.times(s, stop - 1, 1)[0] for s, stop in taught)
        cycles = calendar_cycles(data.frequency, first, last) if calendar else ()
        seasons = tuple(map(float, data.seasons))
        if measured:
            seasons = measured_seasons(targets, data.seasons)
        if seasons != data.seasons:
            cycles = tuple(name for name in cycles if name == "year")
        return cls(
            context,
            horizon,
            seasons,
            cycles,
            takes,
            _mean_and_spread([s.past[:stop] for s, stop in taught], len(data.past)),
            _mean_and_spread([s.known[:stop] for s, stop in taught], len(data.known)),
            tuple(len(c) for c in data.categories),
            tuple(s.id for s, _ in taught),
            tuple(_moments_of(target, takes) for target in targets),
            vectors and len(taught) > 1,
            logarithm is None and not takes and not any((target < 0).any() for target in targets),
        )

    @property
    def lags(self) -> tuple[int, ...]:
        """The season lengths in whole rows."""
        return tuple(round(season) for season in self.seasons)

    @property
    def scale_rows(self) -> int:
        """Rows before the origin whose mean is a window's level: whole seasons, as far as they are not too long."""
        return max([lag for lag in self.lags if lag <= LONGEST_SCALE], default=self.context)

    @property
    def lag_count(self) -> int:
        """Values of earlier seasons beside each row: one a season."""
        return len(self.seasons)

    @property
    def seasonal_count(self) -> int:
        """Values before the origin of the same place in a season beside each row forecast: three a season."""
        return REPEATS * len(self.seasons)

    @property
    def level_count(self) -> int:
        """Numbers that describe what came before the origin.

        The mean of the last rows, of the last shortest season, and of that one longest season ago; and for each season
        the mean size of the change from the one before, which tells how sure a forecast can be.
        """
        return 3 + len(self.seasons)

    @property
    def covariate_count(self) -> int:
        """Features of a row besides the target: calendar, and each covariate with a flag."""
        return feature_count(self.cycles) + 2 * (len(self.past) + len(self.known))

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """From what `to_json` gave."""
        past, known = (tuple((float(a), float(b)) for a, b in values[name]) for name in ("past", "known"))
        return cls(
            int(values["context"]),
            int(values["horizon"]),
            tuple(float(season) for season in values["seasons"]),
            read_texts(values["cycles"], "cycles"),
            bool(values["logarithm"]),
            past,
            known,
            tuple(values["static"]),
            read_texts(values["series"], "series"),
            tuple((float(a), float(b), float(c)) for a, b, c in values["moments"]),
            bool(values["vectors"]),
            bool(values["nonnegative"]),
        )


def rows_before(context: int, horizon: int, seasons: tuple[int, ...]) -> int:
    """Rows before the origin that a forecast looks at, where they exist; `seasons` are the nominal ones."""
    if not seasons:
        # The level of the last horizon stands beside that of the horizon before it.
        return max(context, 2 * horizon)
    longest = [math.ceil(season * (1 + FARTHEST)) for season in seasons]
    same_place = [-(-horizon // season) * season + (REPEATS - 1) * season for season in longest]
    compared = Layout(context, horizon, tuple(map(float, longest))).scale_rows + max(longest)
    return max([context + max(longest), compared, *same_place])


def _mean_and_spread(columns: list[FloatArray], count: int) -> tuple[tuple[float, float], ...]:
    """Mean and standard deviation of each column over all series; (0, 1) without values.

    Of a constant its value and its size: by its deviation, which may be a rounding error, a price that later rises by a
    tenth would be far from all that a network can make sense of.
    """
    moments = []
    for j in range(count):
        values = np.concatenate([c[:, j] for c in columns])
        values = values[np.isfinite(values)]
        mean, spread = (float(values.mean()), float(values.std())) if len(values) else (0.0, 0.0)
        if len(values) and np.ptp(values) <= _NOISE * np.abs(values).max():
            mean, spread = float(values[0]), float(abs(values[0]))
        moments.append((mean, spread if spread > 0 else 1.0))
    return tuple(moments)


def _moments_of(target: FloatArray, logarithm: bool) -> tuple[float, float, float]:
    one = Moments.of(target[None], np.isfinite(target)[None], logarithm)
    return float(one.unit[0]), float(one.location[0]), float(one.spread[0])
