"""The step of a time series: its grid of times and its seasons.

A frequency is a pandas offset alias. Steps of a fixed length (seconds to weeks) are computed with integers in
nanoseconds; months, quarters, years and business days by counting them in the calendar.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.tseries.frequencies import to_offset
from pandas.tseries.offsets import (
    BusinessDay,
    Day,
    MonthBegin,
    MonthEnd,
    QuarterBegin,
    QuarterEnd,
    Tick,
    Week,
    YearBegin,
    YearEnd,
)

from steploom.errors import OptionError

__all__ = ["MONTHLY", "check_frequency", "fixed_step", "grid_positions", "season_lengths", "time_grid"]

Times = npt.NDArray[np.datetime64]
Positions = npt.NDArray[np.int64]

_SECOND, _MINUTE, _HOUR, _DAY, _WEEK = 1, 60, 3600, 86_400, 604_800
MONTHLY = {MonthBegin: 1, MonthEnd: 1, QuarterBegin: 3, QuarterEnd: 3, YearBegin: 12, YearEnd: 12}
"""Months in one step of each calendar offset."""


def check_frequency(text: str) -> str:
    """The pandas alias of a frequency a user wrote, in its usual form ("H" and "1h" become "h").

    Raises:
        OptionError: it is no frequency that a regular grid can have.
    """
    modern = re.sub(r"(?<![A-Za-z])[HST](?![A-Za-z])", lambda m: {"H": "h", "S": "s", "T": "min"}[m[0]], text.strip())
    modern = {"M": "MS", "Q": "QS", "Y": "YS", "A": "YS"}.get(modern, modern)
    try:
        offset = to_offset(modern)
        if offset.n > 0 and _is_gridded(offset):
            return str(offset.freqstr)
    except ValueError:
        pass
    raise OptionError(
        f"--frequency: '{text}' is no frequency. Expected for example 15min, h, D, W-MON, MS, QS, YS or B"
    )


def _is_gridded(offset: object) -> bool:
    return isinstance(offset, (Tick, Day, Week)) or type(offset) is BusinessDay or type(offset) in MONTHLY


@lru_cache
def fixed_step(frequency: str) -> int | None:
    """The step in nanoseconds, or None where its length depends on the calendar (months to years, business days)."""
    offset = to_offset(frequency)
    if isinstance(offset, Week):
        return int(offset.n) * _WEEK * 1_000_000_000
    if isinstance(offset, Day):
        return int(offset.n) * _DAY * 1_000_000_000
    return int(offset.nanos) if isinstance(offset, Tick) else None


def time_grid(start: np.datetime64, frequency: str, count: int, first: int = 0) -> Times:
    """Times `first` to `first` + `count` - 1 of the grid that starts at `start`, datetime64[ns]; `first` may be < 0."""
    step = fixed_step(frequency)
    origin = start.astype("datetime64[ns]")
    if step is not None:
        fixed: Times = origin + np.arange(first, first + count) * np.timedelta64(step, "ns")
        return fixed
    offset = to_offset(frequency)
    begin = pd.Timestamp(origin) + first * offset if first else pd.Timestamp(origin)
    times: Times = pd.date_range(begin, periods=count, freq=offset).to_numpy().astype("datetime64[ns]")
    return times


def grid_positions(
    times: Times, start: np.datetime64 | Times, frequency: str
) -> tuple[Positions, npt.NDArray[np.bool_]]:
    """The number of each time on the grid whose number 0 is `start`, and whether it lies on the grid.

    Args:
        times: (rows,) datetime64[ns].
        start: a time on the grid, or (rows,) one for each time.
        frequency: the step of the grid.

    Returns:
        (rows,) positions, rounded down where a time is off the grid, and (rows,) truth values.
    """
    since = times.astype("datetime64[ns]").astype(np.int64)
    origin = np.asarray(start, "datetime64[ns]").astype(np.int64)
    step = fixed_step(frequency)
    if step is not None:
        position, rest = np.divmod(since - origin, step)
        return position, rest == 0
    offset = to_offset(frequency)
    first = np.broadcast_to(np.asarray(start, "datetime64[ns]"), times.shape)
    same_clock = (since - origin) % (_DAY * 10**9) == 0
    if type(offset) is BusinessDay:
        position = np.busday_count(first.astype("datetime64[D]"), times.astype("datetime64[D]"))
        whole = np.is_busday(times.astype("datetime64[D]")) & (position % offset.n == 0)
        return position // offset.n, whole & same_clock
    months = times.astype("datetime64[M]").astype(np.int64) - first.astype("datetime64[M]").astype(np.int64)
    size = MONTHLY[type(offset)] * offset.n
    ends = type(offset) in (MonthEnd, QuarterEnd, YearEnd)
    days = times.astype("datetime64[D]") + (1 if ends else 0)
    on_day = days == days.astype("datetime64[M]").astype("datetime64[D]")
    return months // size, (months % size == 0) & on_day & same_clock


@lru_cache
def season_lengths(frequency: str) -> tuple[int, ...]:
    """Lengths in steps of the seasons that data of this frequency often have, the shortest first.

    Steps of a minute up to a day: a day and a week; seconds: an hour and a day; days: a week and a year; business
    days: a week of five; weeks: a year of 52; months: 12; quarters: 4; years: none. Seasons that are no whole number
    of steps are left out.
    """
    step = fixed_step(frequency)
    offset = to_offset(frequency)
    if step is None:
        if type(offset) is BusinessDay:
            return (5,) if offset.n == 1 else ()
        size = MONTHLY[type(offset)] * offset.n
        return (12 // size,) if 12 % size == 0 and size < 12 else ()
    seconds = step / 1e9
    if seconds < _MINUTE:
        periods = [_HOUR, _DAY] if seconds >= _SECOND else []
    elif seconds < _DAY:
        periods = [_DAY, _WEEK]
    elif seconds == _DAY:
        periods = [_WEEK, 365 * _DAY]
    else:
        periods = [52 * _WEEK] if seconds == _WEEK else []
    return tuple(int(p // seconds) for p in periods if p % seconds == 0 and p > seconds)
