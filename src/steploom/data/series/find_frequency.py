"""The step of a user's time stamps, found from the stamps themselves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from steploom.data.series.frequency import fixed_step, grid_positions

__all__ = ["FIRST_DAYS", "FrequencyProblem", "anchors", "find_frequency"]

Times = npt.NDArray[np.datetime64]
Ints = npt.NDArray[np.int64]

_NS_DAY = 86_400_000_000_000
_UNITS = ((7 * _NS_DAY, "W"), (_NS_DAY, "D"), (3_600_000_000_000, "h"), (60_000_000_000, "min"), (10**9, "s"))
_UNITS_BELOW = ((10**6, "ms"), (10**3, "us"), (1, "ns"))
_WEEKDAYS = ("THU", "FRI", "SAT", "SUN", "MON", "TUE", "WED")  # 1970-01-01 was a Thursday
_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_LONGEST_RUN = 10
_OFF_GRID_SHARE = 0.05


FIRST_DAYS = "Write the first day of each month instead"
"""What to do about months that are stamped in their middle."""


class FrequencyProblem(Exception):
    """The time stamps do not follow one step.

    Args:
        what: what was found.
        row: where, an index into the time stamps.
        hint: what to do about it, where that is special.
    """

    def __init__(self, what: str, row: int | None = None, hint: str | None = None) -> None:
        self.what, self.row, self.hint = what, row, hint
        super().__init__(what)


def find_frequency(times: Times, series: Ints) -> str:
    """The frequency that all series share: the most common step between two rows.

    Gaps are steps that are a multiple of it. A few time stamps off the grid are allowed; the caller masks them.

    Args:
        times: (rows,) datetime64[ns], rising within each series; the rows of a series stand together.
        series: (rows,) the number of the series.

    Returns:
        A pandas offset alias.

    Raises:
        FrequencyProblem: series have different steps, the step changes within a series, or there is none.
    """
    stamps = times.astype(np.int64)
    inside = series[1:] == series[:-1]
    steps = np.diff(stamps)[inside]
    rows = np.flatnonzero(inside) + 1
    if not len(steps):
        which = "every series has only one row" if len(times) > 1 else "the table has one row"
        raise FrequencyProblem(f"the step between rows cannot be found: {which}")
    calendar = _calendar_frequency(times, series, steps)
    if calendar:
        return calendar
    step = _most_common(steps)
    _check_one_step_for_all(times, steps, series[rows], rows, step)
    _check_one_step_throughout(times, steps, series[rows], rows, step)
    frequency = _alias(step, times[0])
    _check_share_on_grid(times, series, frequency)
    return _business_days(times, series) or frequency if frequency == "D" else frequency


def anchors(times: Times, series: Ints, frequency: str) -> Times:
    """For each row a time on the grid of its series: the first row that has the phase most of the series has."""
    step = fixed_step(frequency)
    starts = np.flatnonzero(np.r_[True, series[1:] != series[:-1]])
    lengths = np.diff(np.r_[starts, len(series)])
    if step is None:
        return np.repeat(_first_regular(times, starts, lengths, frequency), lengths)
    phases = times.astype(np.int64) % step
    first = np.repeat(phases[starts], lengths)
    result = times[starts].copy()
    for number in np.unique(series[phases != first]):
        # Only a series with irregular rows needs a vote.
        where = np.flatnonzero(series == number)
        result[np.searchsorted(starts, where[0])] = times[
            where[np.argmax(phases[where] == _most_common(phases[where]))]
        ]
    return np.repeat(result, lengths)


def _first_regular(times: Times, starts: Ints, lengths: Ints, frequency: str) -> Times:
    result = times[starts].copy()
    for i, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        own = times[start : start + length]
        regular = grid_positions(own, own[0], frequency)[1]
        if not regular[0] or regular.mean() < 0.5:
            votes = [grid_positions(own, t, frequency)[1].sum() for t in own[:50]]
            result[i] = own[int(np.argmax(votes))]
    return result


def _most_common(values: Ints) -> int:
    distinct, counts = np.unique(values, return_counts=True)
    return int(distinct[counts.argmax()])


def _alias(step: int, anchor: np.datetime64) -> str:
    for unit, name in _UNITS + _UNITS_BELOW:
        if step % unit == 0:
            count = step // unit
            suffix = f"-{_WEEKDAYS[int(anchor.astype('datetime64[D]').astype(int)) % 7]}" if name == "W" else ""
            return f"{count if count > 1 else ''}{name}{suffix}"
    raise FrequencyProblem("time stamps do not rise")


def _calendar_frequency(times: Times, series: Ints, steps: Ints) -> str | None:
    """An alias for months, quarters or years, where most steps have such a length and the days of the month fit."""
    days, rest = np.divmod(steps, _NS_DAY)
    common = int(np.median(days))
    months = next(
        (
            m
            for low, high, m in ((28, 31, 1), (59, 62, 2), (89, 92, 3), (181, 184, 6), (365, 366, 12))
            if low <= common <= high
        ),
        0,
    )
    if not months or rest.any() or (len(np.unique(days)) == 1 and months < 12):
        return None
    at_start = times.astype("datetime64[M]").astype("datetime64[ns]") == times.astype("datetime64[D]")
    after = times.astype("datetime64[D]") + 1
    at_end = after == after.astype("datetime64[M]").astype("datetime64[D]")
    suffix = "S" if at_start.mean() >= 1 - _OFF_GRID_SHARE else "E" if at_end.mean() >= 1 - _OFF_GRID_SHARE else ""
    if not suffix and not (days % days.min()).any():
        # Periods of 28 or 30 days, some of them missing.
        return None
    if not suffix:
        what = "rows are months apart, but neither on the first nor on the last day of a month"
        raise FrequencyProblem(what, int(np.argmax(~(at_start | at_end))), FIRST_DAYS)
    number = times.astype("datetime64[M]").astype(np.int64)
    size = np.gcd.reduce(np.diff(number)[series[1:] == series[:-1]])
    if size % 12 == 0:
        return _counted(size // 12, f"Y{suffix}-{_MONTH_NAMES[number[0] % 12]}")
    if size % 3 == 0:
        # pandas names a quarter by its first (begin) or last (end) month of a year's cycle.
        return _counted(size // 3, f"Q{suffix}-{_MONTH_NAMES[number[0] % 3 + (9 if suffix == 'E' else 0)]}")
    return _counted(int(size), f"M{suffix}")


def _counted(count: int, name: str) -> str:
    return f"{count}{name}" if count > 1 else name


def _business_days(times: Times, series: Ints) -> str | None:
    days = times.astype("datetime64[D]")
    weeks = np.ptp(days.astype(np.int64)) // 7
    return "B" if weeks >= 3 and np.is_busday(days).all() else None


def _check_one_step_for_all(times: Times, steps: Ints, series: Ints, rows: Ints, step: int) -> None:
    """Every series with enough rows must have the same most common step."""
    order = np.lexsort((steps, series))
    s, d = series[order], steps[order]
    starts = np.flatnonzero(np.r_[True, (s[1:] != s[:-1]) | (d[1:] != d[:-1])])
    counts = np.diff(np.r_[starts, len(s)])
    totals = np.bincount(series)
    for i in np.flatnonzero((d[starts] != step) & (counts > totals[s[starts]] / 2) & (counts >= 3)):
        row = rows[np.flatnonzero((series == s[starts[i]]) & (steps == d[starts[i]]))[0]]
        raise FrequencyProblem(
            f"series have different steps: most step by {_alias(step, times[0])}, "
            f"this one by {_alias(int(d[starts[i]]), times[row])}",
            int(row),
        )


def _check_one_step_throughout(times: Times, steps: Ints, series: Ints, rows: Ints, step: int) -> None:
    """A long run of another step is a change of the frequency, no gap."""
    change = np.r_[True, (steps[1:] != steps[:-1]) | (series[1:] != series[:-1]) | (np.diff(rows) != 1)]
    starts = np.flatnonzero(change)
    lengths = np.diff(np.r_[starts, len(steps)])
    runs = np.flatnonzero((lengths >= _LONGEST_RUN) & (steps[starts] != step))
    if len(runs):
        row = int(rows[starts[runs[0]]])
        other = _alias(int(steps[starts[runs[0]]]), times[row])
        raise FrequencyProblem(
            f"the step changes: most rows step by {_alias(step, times[0])}, "
            f"from here {lengths[runs[0]]} rows by {other}",
            row,
        )


def _check_share_on_grid(times: Times, series: Ints, frequency: str) -> None:
    regular = grid_positions(times, anchors(times, series, frequency), frequency)[1]
    share = 1 - regular.mean()
    if share > _OFF_GRID_SHARE:
        raise FrequencyProblem(
            f"time stamps are irregular: {share:.0%} of the rows lie off the grid of {frequency}, the most common step",
            int(np.argmin(regular)),
        )
