"""What a forecaster keeps of its training data, and what it is scored on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from steploom.data.json_values import read_text, read_texts
from steploom.data.series.frequency import check_frequency, grid_positions
from steploom.data.series.history import series_from_json, series_to_json
from steploom.data.series.series import Series, SeriesSet
from steploom.data.series.tables import Learnt
from steploom.data.series.window_layout import Layout
from steploom.tasks.forecast.yardstick import Yardstick

__all__ = ["Past", "Source", "check_layout"]


@dataclass(frozen=True)
class Source:
    """What a forecast is scored on.

    Attributes:
        data: the series.
        begins: for each the first row of the part that is scored.
        yardsticks: of series by name, where not those of the whole training files are meant: the validation part is
            measured by the rows before it alone.
    """

    data: SeriesSet
    begins: list[int]
    yardsticks: Mapping[str, Yardstick] = field(default_factory=dict)


@dataclass(frozen=True)
class Past:
    """What is kept of the training data: how tables are read, and the end of each series.

    Attributes:
        learnt: columns, frequency and categories.
        series: the last rows of each series.
        yardsticks: of each series of the training files by name, from these files; none of a series that stands in the
            validation file alone.
        layout: the training data's names and categories, without series.
    """

    learnt: Learnt
    series: list[Series]
    yardsticks: dict[str, Yardstick]
    layout: SeriesSet

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        layout = self.layout
        return {
            **self.learnt.to_json(),
            "names": {
                "time": layout.time,
                "series": layout.series_name,
                "target": layout.target,
                "past": list(layout.past),
                "known": list(layout.known),
            },
            "series": [
                series_to_json(s) | (self.yardsticks[s.id].to_json() if s.id in self.yardsticks else {})
                for s in self.series
            ],
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Past:
        """From what `to_json` gave.

        Raises:
            LookupError, TypeError, ValueError, AttributeError, OptionError: it is something else.
        """
        learnt, names = Learnt.from_json(values), values["names"]
        check_frequency(learnt.frequency)
        layout = SeriesSet(
            [],
            learnt.frequency,
            read_text(names["time"], "time"),
            read_text(names["series"], "series"),
            read_text(names["target"], "target"),
            read_texts(names["past"], "past"),
            read_texts(names["known"], "known"),
            learnt.columns.static,
            tuple(learnt.levels[name] for name in learnt.columns.static),
        )
        series = [series_from_json(s) for s in values["series"]]
        for one in series:
            shapes = one.target.ndim, one.past.shape[1:], one.known.shape[1:], len(one.past), len(one.static)
            if shapes != (1, (len(layout.past),), (len(layout.known),), len(one), len(layout.static)) or one.future < 0:
                raise ValueError(f"series '{one.id}' has not the columns that are named")
            if not all(code in range(len(levels)) for code, levels in zip(one.static, layout.categories, strict=True)):
                raise ValueError(f"series '{one.id}' is in none of the categories")
        yardsticks = {s["id"]: Yardstick.from_json(s) for s in values["series"] if "scale" in s}
        return cls(learnt, series, yardsticks, layout)

    def unseen(self, data: SeriesSet) -> npt.NDArray[np.int64]:
        """(series,) the first row of each after the training and validation data; 0 of a series that is not in them."""
        ends = {series.id: data.times(series, len(series) - 1, 1)[0] for series in self.series}
        known = [i for i, series in enumerate(data) if series.id in ends]
        first = np.zeros(len(data), np.int64)
        if known:
            last = np.array([ends[data.series[i].id] for i in known])
            starts = np.array([data.series[i].start for i in known], "datetime64[ns]")
            # A later series may begin behind that end, and off its grid: then the last row before it is found.
            first[known] = np.maximum(grid_positions(last, starts, data.frequency)[0] + 1, 0)
        return first

    def yardsticks_of(self, source: Source) -> list[Yardstick]:
        """That of each series: the source's own, or from the training files; of a new series, from before its part."""
        known = {**self.yardsticks, **source.yardsticks}
        return [
            known[series.id]
            if series.id in known
            else Yardstick.of(series.target[: max(0, begin)], source.data.seasons)
            for series, begin in zip(source.data, source.begins, strict=True)
        ]


def check_layout(layout: Layout, past: Past, horizon: int) -> None:
    """Whether windows of that layout and horizon can be cut from such series.

    Raises:
        LookupError, ValueError, OverflowError: they cannot.
    """
    columns = past.layout
    wanted = len(columns.past), len(columns.known), tuple(map(len, columns.categories)), len(layout.series)
    if layout.horizon != horizon:
        raise ValueError(f"its horizon is {layout.horizon}, that of config.yaml {horizon}")
    if (len(layout.past), len(layout.known), layout.static, len(layout.moments)) != wanted:
        raise ValueError("it does not fit the columns in series.json")
    # Unknown cycles and endless seasons raise here.
    if layout.context < 1 or layout.covariate_count < 0 or min(layout.lags, default=1) < 1:
        raise ValueError("its context and its seasons should be of at least 1 row")
