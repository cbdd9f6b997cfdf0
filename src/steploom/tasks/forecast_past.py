"""What a forecaster keeps of its training data, and what it is scored on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from steploom.data.history import series_from_json, series_to_json
from steploom.data.series import Series, SeriesSet
from steploom.data.tables import Learnt
from steploom.tasks.forecast_yardstick import Yardstick

__all__ = ["Past", "Source"]


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
        yardsticks: of each series by name, from the training part.
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
            "series": [{**series_to_json(s), **self.yardsticks[s.id].to_json()} for s in self.series],
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
        yardsticks = {s["id"]: Yardstick.from_json(s) for s in values["series"]}
        return cls(learnt, series, yardsticks, layout)

    def yardsticks_of(self, source: Source) -> list[Yardstick]:
        """That of each series: from the training part; of a new series, from before its scored part."""
        return [
            self.yardsticks[series.id]
            if series.id in self.yardsticks
            else Yardstick.of(series.target[: max(0, begin)], source.data.seasons)
            for series, begin in zip(source.data, source.begins, strict=True)
        ]
