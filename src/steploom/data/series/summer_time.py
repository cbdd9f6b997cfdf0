"""What summer time does to the rows of a table, so that a message can name it instead of their irregular times."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["IN_UTC", "PLAIN_TIMES", "TWICE", "hour_stands_twice", "moved_in_utc"]

Times = npt.NDArray[np.datetime64]
Ints = npt.NDArray[np.int64]

_HOUR, _DAY = 3_600_000_000_000, 86_400_000_000_000
_SUNDAY = 3  # of days from 1970-01-01, a Thursday, modulo 7

IN_UTC = "times with a zone are turned into UTC, and summer time moves them by an hour there"
"""What was found, where `moved_in_utc`."""
PLAIN_TIMES = "Write plain dates, or local times without a zone"
"""What to do about it."""
TWICE = (
    "This looks like the end of summer time, when local clocks show an hour twice: write the times in UTC, or each "
    "with its zone, as in 2023-10-29 02:00+01:00"
)
"""What to do where `hour_stands_twice`."""


def moved_in_utc(times: Times, series: Ints) -> bool:
    """Whether rows of one local time of day are an hour apart in UTC: in steps of more than an hour, some off by one.

    Args:
        times: (rows,) datetime64[ns] in UTC, rising within each series; the rows of a series stand together.
        series: (rows,) the number of the series.
    """
    stamps = times.astype(np.int64)
    starts = np.flatnonzero(np.r_[True, series[1:] != series[:-1]])
    steps = np.diff(stamps)[series[1:] == series[:-1]]
    if not len(steps):
        return False
    # Months and weeks keep their time of day, shorter steps their place in a step.
    unit = min(int(np.median(steps)), _DAY)
    first = np.repeat(stamps[starts], np.diff(np.r_[starts, len(stamps)]))
    apart = np.unique((stamps - first) % unit)
    return bool(unit > _HOUR and len(apart) > 1 and np.isin(apart, (0, _HOUR, unit - _HOUR)).all())


def hour_stands_twice(before: np.datetime64, now: np.datetime64) -> bool:
    """Whether a local time follows one of the same hour as clocks do that are put back: early on a Sunday in autumn.

    Args:
        before, now: the times of two rows, one behind the other; `now` is not later.
    """
    day = now.astype("datetime64[D]")
    month, hour = int(now.astype("datetime64[M]").astype(int)) % 12 + 1, int((now - day) // np.timedelta64(1, "h"))
    autumn = month in (9, 10, 11) or month in (3, 4)  # the latter south of the equator
    back = before - now < np.timedelta64(1, "h")
    return bool(autumn and back and 1 <= hour <= 3 and int(day.astype(int)) % 7 == _SUNDAY)
