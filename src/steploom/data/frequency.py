"""The step of a time series: its grid of times, its seasons, and how it is found from time stamps.

A frequency is a pandas offset alias. Fixed steps (a number of seconds, minutes, hours or days) are computed with
integers; calendar steps (weeks are fixed; months, quarters, years and business days are not) by pandas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["fixed_step", "season_lengths", "time_grid"]

_SECOND, _MINUTE, _HOUR, _DAY, _WEEK = 1, 60, 3600, 86_400, 604_800


def fixed_step(frequency: str) -> np.timedelta64 | None:
    """The step in nanoseconds, or None where its length depends on the calendar (months, quarters, business days)."""
    from pandas.tseries.frequencies import to_offset
    from pandas.tseries.offsets import Day, Tick, Week

    offset = to_offset(frequency)
    if isinstance(offset, Week):
        return np.timedelta64(offset.n * _WEEK * 1_000_000_000, "ns")
    if isinstance(offset, Day):
        return np.timedelta64(offset.n * _DAY * 1_000_000_000, "ns")
    if isinstance(offset, Tick):
        return np.timedelta64(offset.nanos, "ns")
    return None


def time_grid(start: np.datetime64, frequency: str, count: int, first: int = 0) -> npt.NDArray[np.datetime64]:
    """Times `first` .. `first` + `count` - 1 of the grid whose number 0 is `start`, datetime64[ns]; `first` may be < 0."""
    step = fixed_step(frequency)
    origin = np.datetime64(start, "ns")
    if step is not None:
        return origin + np.arange(first, first + count) * step
    import pandas as pd
    from pandas.tseries.frequencies import to_offset

    offset = to_offset(frequency)
    begin = pd.Timestamp(origin) + first * offset if first else pd.Timestamp(origin)
    return pd.date_range(begin, periods=count, freq=offset).to_numpy().astype("datetime64[ns]")


def season_lengths(frequency: str) -> tuple[int, ...]:
    """Lengths in steps of the seasons that data of this frequency often have, the shortest first.

    Steps below an hour and hours: a day and a week; days: a week and a year; business days: a week of five;
    weeks: a year of 52; months: 12; quarters: 4; years: none. Seasons that are no whole number of steps are left out.
    """
    from pandas.tseries.frequencies import to_offset

    step = fixed_step(frequency)
    if step is not None:
        seconds = int(step / np.timedelta64(1, "s"))
        if seconds < _SECOND:
            return ()
        if seconds < _MINUTE:
            periods = [_HOUR, _DAY]
        elif seconds < _DAY:
            periods = [_DAY, _WEEK]
        elif seconds == _DAY:
            periods = [_WEEK, 365 * _DAY]
        elif seconds == _WEEK:
            periods = [52 * _WEEK]
        else:
            periods = []
        return tuple(p // seconds for p in periods if p % seconds == 0 and p // seconds > 1)
    offset = to_offset(frequency)
    kind = offset.rule_code.split("-")[0]
    year = {"B": 5, "MS": 12, "ME": 12, "M": 12, "BMS": 12, "BME": 12, "QS": 4, "QE": 4, "BQS": 4, "BQE": 4}.get(kind)
    return (year // offset.n,) if year and year % offset.n == 0 and year // offset.n > 1 else ()
