"""The step of a time series: its grid of times and its seasons.

A frequency is a pandas offset alias. Steps of a fixed length (seconds to weeks) are computed with integers in
nanoseconds; months, quarters, years and business days by counting them in the calendar. Where a series' steps fall is
said by its first time alone: the anchor of an alias (QS-JAN, W-SUN) is a name, and no grid moves onto it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.tseries.frequencies import to_offset
from pandas.tseries.offsets import (
    BaseOffset,
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

__all__ = [
    "MONTHLY",
    "check_frequency",
    "fixed_step",
    "grid_positions",
    "name_for_people",
    "on_anchor",
    "season_lengths",
    "step_in_words",
    "time_grid",
]

Times = npt.NDArray[np.datetime64]
Positions = npt.NDArray[np.int64]

_SECOND, _MINUTE, _HOUR, _DAY, _WEEK = 1, 60, 3600, 86_400, 604_800
MONTHLY = {MonthBegin: 1, MonthEnd: 1, QuarterBegin: 3, QuarterEnd: 3, YearBegin: 12, YearEnd: 12}
"""Months in one step of each calendar offset."""
_MONTH_ENDS = (MonthEnd, QuarterEnd, YearEnd)
_NANOSECONDS = {
    "day": _DAY * 10**9, "hour": _HOUR * 10**9, "minute": _MINUTE * 10**9, "second": 10**9, "millisecond": 10**6,
    "nanosecond": 1,
}  # fmt: skip
_MONDAY = 4  # days from 1970-01-01, a Thursday


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


def name_for_people(frequency: str, starts: Iterable[np.datetime64]) -> str:
    """The alias without its anchor (QS for QS-JAN) where a series has rows in other months or on other weekdays.

    Args:
        frequency: the alias.
        starts: a time on the grid of each series.
    """
    name, _, anchor = frequency.partition("-")
    return frequency if not anchor or all(on_anchor(time, frequency) for time in starts) else name


def on_anchor(time: np.datetime64, frequency: str) -> bool:
    """Whether a time has the weekday or the month that the alias names: a Monday for W-MON."""
    return bool(to_offset(frequency).is_on_offset(pd.Timestamp(time)))


def step_in_words(frequency: str) -> str:
    """What stands behind "every": "7 days", "hour", "3 months"."""
    step, offset = fixed_step(frequency), to_offset(frequency)
    if step is None:
        count, unit = _units_of_step(offset), "business day" if type(offset) is BusinessDay else "month"
    else:
        count, unit = next((step // size, name) for name, size in _NANOSECONDS.items() if step % size == 0)
    return unit if count == 1 else f"{count} {unit}s"


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
    return _calendar_times(origin, np.arange(first, first + count), to_offset(frequency))


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
    first = np.asarray(start, "datetime64[ns]")
    position = (_calendar_unit(times, offset) - _calendar_unit(first, offset)) // _units_of_step(offset)
    at = _calendar_times(first, position, offset)
    # In the last month or day a time may still lie before the one that is on the grid.
    return position - (at > times), at == times


def _units_of_step(offset: BaseOffset) -> int:
    """Business days in one step of business days; months in one step of months, quarters or years."""
    return int(offset.n) * (1 if type(offset) is BusinessDay else MONTHLY[type(offset)])


def _calendar_unit(times: Times | np.datetime64, offset: BaseOffset) -> Positions:
    """The number of the business day, or of the month, that each time lies in; a weekend is in its Friday."""
    if type(offset) is not BusinessDay:
        return np.asarray(times.astype("datetime64[M]").astype(np.int64))
    week, weekday = np.divmod(times.astype("datetime64[D]").astype(np.int64) - _MONDAY, 7)
    return np.asarray(5 * week + np.minimum(weekday, 4))


def _calendar_times(start: Times | np.datetime64, position: Positions, offset: BaseOffset) -> Times:
    """The times `position` steps after `start`, datetime64[ns]: on the day that the offset says, at start's hour."""
    unit = _calendar_unit(start, offset) + position * _units_of_step(offset)
    clock = start - start.astype("datetime64[D]")
    if type(offset) is BusinessDay:
        day = (unit // 5 * 7 + unit % 5 + _MONDAY).astype("datetime64[D]")
    elif type(offset) in _MONTH_ENDS:
        day = (unit + 1).astype("datetime64[M]").astype("datetime64[D]") - 1
    else:
        day = unit.astype("datetime64[M]").astype("datetime64[D]")
    times: Times = day.astype("datetime64[ns]") + clock
    return times


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
