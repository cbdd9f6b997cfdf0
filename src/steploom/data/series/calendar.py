"""Calendar features: where in its hour, day, week, month and year a time stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from steploom.data.series.frequency import fixed_step
from steploom.data.series.series import TimeArray

__all__ = ["CYCLES", "calendar_cycles", "calendar_features", "feature_count"]

_SECOND = 10**9
_DAY = 86_400 * _SECOND


@dataclass(frozen=True)
class Cycle:
    """A cycle of the calendar.

    Attributes:
        length: its mean length in nanoseconds.
        harmonics: sine and cosine pairs that describe the place in it.
    """

    length: float
    harmonics: int


CYCLES: dict[str, Cycle] = {
    "hour": Cycle(3600 * _SECOND, 2),
    "day": Cycle(_DAY, 3),
    "week": Cycle(7 * _DAY, 3),
    "month": Cycle(30.4369 * _DAY, 1),
    "year": Cycle(365.2425 * _DAY, 1),
}
"""The cycles by name, the shortest first. The week has one feature more: whether it is Saturday or Sunday."""


def calendar_cycles(frequency: str, first: np.datetime64, last: np.datetime64) -> tuple[str, ...]:
    """The cycles that data of a frequency from `first` to `last` can teach.

    A cycle must hold at least three steps and occur at least twice: from half a year of data a place in the year would
    only tell old from new. The day of the month is left to data of days and longer steps, which often follow pay days
    and closings; hours seldom do.
    """
    step = fixed_step(frequency) or _step_of_calendar(frequency)
    span = int(last.astype("datetime64[ns]").astype(np.int64) - first.astype("datetime64[ns]").astype(np.int64))
    fits = [name for name, c in CYCLES.items() if 3 * step <= c.length <= span / 2]
    return tuple(name for name in fits if name != "month" or step >= _DAY)


def feature_count(cycles: Sequence[str]) -> int:
    """The number of features that `calendar_features` gives."""
    return sum(2 * CYCLES[name].harmonics + (name == "week") for name in cycles)


def calendar_features(times: TimeArray, cycles: Sequence[str]) -> npt.NDArray[np.float32]:
    """Sines and cosines of the place of each time in each cycle.

    Args:
        times: datetime64[ns] of any shape.
        cycles: names from `CYCLES`.

    Returns:
        float32 (*shape, `feature_count(cycles)`), between -1 and 1.
    """
    parts: list[npt.NDArray[np.float64]] = []
    for name in cycles:
        angle = 2 * np.pi * _phase(times, name)
        for k in range(1, CYCLES[name].harmonics + 1):
            parts += [np.sin(k * angle), np.cos(k * angle)]
        if name == "week":
            parts.append((_weekday(times) >= 5).astype(np.float64))
    if not parts:
        return np.zeros((*times.shape, 0), np.float32)
    return np.stack(parts, -1).astype(np.float32)


def _phase(times: TimeArray, cycle: str) -> npt.NDArray[np.float64]:
    """The place in the cycle, from 0 up to 1."""
    if cycle in ("month", "year"):
        unit = "datetime64[M]" if cycle == "month" else "datetime64[Y]"
        begin = times.astype(unit)
        whole = (begin + 1).astype("datetime64[ns]") - begin.astype("datetime64[ns]")
        ratio: npt.NDArray[np.float64] = (times - begin.astype("datetime64[ns]")) / whole
        return ratio
    # The epoch was a Thursday: three days on, weeks begin on Monday.
    since = times.astype(np.int64) + (3 * _DAY if cycle == "week" else 0)
    length = int(CYCLES[cycle].length)
    place: npt.NDArray[np.float64] = (since % length) / length
    return place


def _weekday(times: TimeArray) -> npt.NDArray[np.int64]:
    day: npt.NDArray[np.int64] = (times.astype(np.int64) // _DAY + 3) % 7
    return day


def _step_of_calendar(frequency: str) -> float:
    """The mean step in nanoseconds of a frequency that the calendar measures."""
    from pandas.tseries.frequencies import to_offset
    from pandas.tseries.offsets import BusinessDay

    from steploom.data.series.frequency import MONTHLY

    offset = to_offset(frequency)
    if type(offset) is BusinessDay:
        return float(offset.n * _DAY)
    return MONTHLY[type(offset)] * offset.n * CYCLES["month"].length
