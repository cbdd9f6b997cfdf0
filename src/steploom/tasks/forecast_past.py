"""What a forecaster keeps of its training data, and what it is scored on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from steploom.data.history import series_from_json, series_to_json
from steploom.data.series import FloatArray, Series, SeriesSet
from steploom.data.tables import Learnt
from steploom.tasks.forecast_metrics import mean_seasonal_change

__all__ = ["Past", "Source", "season_of"]


@dataclass(frozen=True)
class Source:
    """What a forecast is scored on: series, and for each the first row of the part that is scored."""

    data: SeriesSet
    begins: list[int]


@dataclass(frozen=True)
class Past:
    """What is kept of the training data: how tables are read, and the end of each series.

    Attributes:
        learnt: columns, frequency and categories.
        series: the last rows of each series.
        scales: the scale of MASE of each series by name.
        layout: the training data's names and categories, without series.
    """

    learnt: Learnt
    series: list[Series]
    scales: dict[str, float]
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
            "series": [{**series_to_json(s), "scale": _or_none(self.scales[s.id])} for s in self.series],
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Past:
        """From what `to_json` gave."""
        learnt, names = Learnt.from_json(values), values["names"]
        layout = SeriesSet(
            [],
            learnt.frequency,
            names["time"],
            names["series"],
            names["target"],
            tuple(names["past"]),
            tuple(names["known"]),
            learnt.columns.static,
            tuple(learnt.levels[name] for name in learnt.columns.static),
        )
        series = [series_from_json(s) for s in values["series"]]
        scales = {s["id"]: float("nan") if s["scale"] is None else s["scale"] for s in values["series"]}
        return cls(learnt, series, scales, layout)

    def scale_of(self, source: Source) -> FloatArray:
        """(series,) the scale of MASE: from the training part; of a new series, from before its scored part."""
        season = season_of(source.data)
        return np.array(
            [
                self.scales[series.id]
                if series.id in self.scales
                else mean_seasonal_change(series.target[: max(0, begin)], season)
                for series, begin in zip(source.data, source.begins, strict=True)
            ]
        )


def season_of(data: SeriesSet) -> int:
    """The season whose naive forecast scales MASE: the shortest, or one step."""
    return data.seasons[0] if data.seasons else 1


def _or_none(value: float) -> float | None:
    return None if value != value else value
