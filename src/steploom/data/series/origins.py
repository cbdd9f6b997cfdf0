"""Which rows of a series set are learnt from and which validate.

An origin is the first row that is forecast: the forecast may use rows before it and none from it on.
"""

from __future__ import annotations

from dataclasses import dataclass

from steploom.data.series.series import SeriesSet
from steploom.errors import DataError

__all__ = ["Rows", "Split", "default_context", "short_series", "split_at", "split_by_time"]

Rows = list[tuple[int, int]]
"""For each series the rows [first, stop) whose values are forecast; the context before `first` may lie outside."""

_LONGEST_DEFAULT = 336
_NAMED = 3


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


def short_series(data: SeriesSet, context: int, horizon: int, begins: list[int] | None = None) -> dict[str, int]:
    """The series with too few rows to learn from, by name, with their number of rows.

    Args:
        data: the series.
        context, horizon: in rows.
        begins: for each series the row at which a validation file begins; a series that is in no other file is not
            learnt from, and so never too short.
    """
    rows = [len(series) for series in data] if begins is None else begins
    lowest = 0 if begins is None else 1
    return {s.id: n for s, n in zip(data, rows, strict=True) if lowest <= n < context + horizon}


def split_by_time(data: SeriesSet, context: int, horizon: int, fraction: float = 0.1) -> Split:
    """The last `fraction` of each series' time validates, at least one horizon of it where the series is long enough.

    A series with fewer than context + 2 * horizon rows only trains.

    Raises:
        DataError: a series has fewer than context + horizon rows, so that it has no window at all.
    """
    _refuse_short(short_series(data, context, horizon), len(data), context, horizon)
    train, valid = [], []
    for series in data:
        length = len(series)
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
    _refuse_short(short_series(data, context, horizon, begins), len(data), context, horizon)
    train, valid = [], []
    for series, begin in zip(data, begins, strict=True):
        first = max(begin, context)
        train.append((context, max(context, begin)))
        valid.append((first, max(first, len(series))))
    if all(stop - first < horizon for first, stop in valid):
        raise DataError(f"the validation file has no series with {horizon} rows, the horizon")
    return Split(train, valid)


def _refuse_short(short: dict[str, int], count: int, context: int, horizon: int) -> None:
    if not short:
        return
    (name, rows), *others = short.items()
    what = f"'{name}' has {rows} rows from its first to its last value"
    what += "".join(f", '{other}' {n}" for other, n in others[: _NAMED - 1])
    if len(short) > _NAMED:
        what += f", and {len(short) - _NAMED} more"
    what = f"{len(short)} of {count} series are too short: {what}" if count > 1 else f"series {what}"
    hint = "Give more rows, or a shorter --context or --horizon"
    raise DataError(
        f"{what}; a context of {context} and a horizon of {horizon} need at least {context + horizon}",
        hint=f"{hint}, or leave these series out with --skip-short" if len(short) < count else hint,
    )
