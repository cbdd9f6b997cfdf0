"""Which rows of a series set are learnt from and which validate.

An origin is the first row that is forecast: the forecast may use rows before it and none from it on.
"""

from __future__ import annotations

from dataclasses import dataclass

from steploom.data.series import Series, SeriesSet
from steploom.errors import DataError

__all__ = ["Rows", "Split", "default_context", "split_by_time"]

Rows = list[tuple[int, int]]
"""For each series the rows [first, stop) whose values are forecast; the context before `first` may lie outside."""

_LONGEST_DEFAULT = 336


@dataclass(frozen=True)
class Split:
    """Rows to learn from and rows to validate on, one pair a series.

    A window belongs to the part that holds all its forecast rows.
    """

    train: Rows
    valid: Rows


def default_context(data: SeriesSet, horizon: int) -> int:
    """The rows a forecast looks back when the user does not say.

    At least two horizons and, up to 336 rows, three of the shortest season or one: what lies further back enters as the
    values a season ago. Less where the longest series is too short for a window to learn from and one to validate on,
    but never less than the horizon.
    """
    wanted = [2 * horizon]
    if data.seasons:
        wanted += [n for n in (data.seasons[0], 3 * data.seasons[0]) if n <= _LONGEST_DEFAULT]
    longest = max(len(series) for series in data)
    return max(horizon, min(max(wanted), longest - 3 * horizon))


def split_by_time(data: SeriesSet, context: int, horizon: int, fraction: float = 0.1) -> Split:
    """The last `fraction` of each series' time validates, at least one horizon of it where the series is long enough.

    A series with fewer than context + 2 * horizon rows only trains.

    Raises:
        DataError: a series has fewer than context + horizon rows, so that it has no window at all.
    """
    train, valid = [], []
    for series in data:
        length = len(series)
        if length < context + horizon:
            raise _too_short(series, context, horizon)
        held_out = max(horizon, round(length * fraction)) if fraction > 0 else 0
        if length - held_out < context + horizon:
            held_out = horizon if length >= context + 2 * horizon and fraction > 0 else 0
        train.append((context, length - held_out))
        valid.append((length - held_out, length))
    return Split(train, valid)


def split_at(data: SeriesSet, begins: list[int], context: int, horizon: int) -> Split:
    """The rows from `begins` on validate.

    Raises:
        DataError: a series has fewer than context + horizon rows before; or none has a horizon of rows to validate on.
    """
    train, valid = [], []
    for series, begin in zip(data, begins, strict=True):
        if 0 < begin < context + horizon:
            raise _too_short(series, context, horizon, begin)
        first = max(begin, context)
        train.append((context, max(context, begin)))
        valid.append((first, max(first, len(series))))
    if all(stop - first < horizon for first, stop in valid):
        raise DataError(f"the validation file has no series with {horizon} rows, the horizon")
    return Split(train, valid)


def _too_short(series: Series, context: int, horizon: int, length: int | None = None) -> DataError:
    return DataError(
        f"series '{series.id}' has {len(series) if length is None else length} rows from its first to its last value; "
        f"a context of {context} and a horizon of {horizon} need at least {context + horizon}",
        hint="Give more rows, or a shorter --context or --horizon",
    )
