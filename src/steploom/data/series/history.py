"""The end of the training data, kept as JSON beside the model: the context of forecasts that start right after it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from steploom.data.series.frequency import grid_positions, time_grid
from steploom.data.series.series import FloatArray, Series, SeriesSet

__all__ = ["between_rows", "continue_from", "series_from_json", "series_to_json", "tail"]


def tail(series: Series, rows: int, frequency: str) -> Series:
    """The last `rows` rows of a series, with the known covariates that follow them."""
    skip = max(0, len(series) - rows)
    start = time_grid(series.start, frequency, 1, skip)[0]
    return replace(series, start=start, target=series.target[skip:], past=series.past[skip:], known=series.known[skip:])


def series_to_json(series: Series) -> dict[str, Any]:
    """A series as JSON values; missing values are null, and columns stand as lists."""
    return {
        "id": series.id,
        "start": str(series.start),
        "target": _numbers(series.target),
        "past": [_numbers(column) for column in series.past.T],
        "known": [_numbers(column) for column in series.known.T],
        "static": list(series.static),
    }


def series_from_json(values: dict[str, Any]) -> Series:
    """What `series_to_json` wrote."""
    target = np.array(values["target"], dtype=np.float64)
    past = _columns(values["past"], len(target))
    known = _columns(values["known"], len(target))
    start = np.datetime64(values["start"], "ns")
    return Series(values["id"], start, target, past, known, tuple(values["static"]))


def continue_from(
    history: Sequence[Series], data: SeriesSet, begins: Sequence[int], largest_gap: int
) -> tuple[SeriesSet, list[int], int]:
    """`data` with the rows of `history` before it, where its history ends at most `largest_gap` rows before its values.

    Rows of the history from the first value of the data on are not used. Rows of the data before their first value are
    kept for their covariates where a history stands before them, and are cut off elsewhere.

    Args:
        history: the ends of earlier series, found by name.
        data: the series that go on.
        begins: for each series a row of it.
        largest_gap: rows.

    Returns:
        The longer series, their rows that were `begins`, and how many got a history.
    """
    earlier = {series.id: series for series in history}
    result, rows, count = [], [], 0
    for series, begin in zip(data, begins, strict=True):
        empty = series.leading
        before = earlier.get(series.id)
        place, on_grid = _place_of(series, before, data.frequency, largest_gap) if before is not None else (None, False)
        if before is None or place is None or not on_grid:
            result.append(tail(series, len(series) - empty, data.frequency))
            rows.append(begin - empty)
            continue
        count += 1
        if not len(series):
            # Only covariates known ahead: they follow the last values, and the target ends where it did.
            result.append(replace(before, known=_joined(before.known, series.known, place, 0)))
            rows.append(len(before))
            continue
        result.append(
            replace(
                series,
                start=before.start,
                target=_joined(before.target, series.target, place, empty),
                past=_joined(before.past, series.past, place, empty),
                known=_joined(before.known, series.known, place, empty),
            )
        )
        rows.append(begin + place)
    return data.with_series(result), rows, count


def between_rows(history: Sequence[Series], data: SeriesSet, largest_gap: int) -> Iterator[tuple[int, Series]]:
    """The numbers of the series that `continue_from` leaves alone only for lying off the grid, with their histories."""
    earlier = {series.id: series for series in history}
    for i, series in enumerate(data):
        if series.id in earlier:
            before = earlier[series.id]
            place, on_grid = _place_of(series, before, data.frequency, largest_gap)
            if place is not None and not on_grid:
                yield i, before


def _place_of(after: Series, before: Series, frequency: str, largest_gap: int) -> tuple[int | None, bool]:
    """The row of `before` at or behind which another series begins, and whether it begins on the grid.

    The row may lie outside `before`; None where the values of `after` do not begin behind its first row, or too far
    behind its last one.
    """
    position, on_grid = grid_positions(np.array([after.start]), before.start, frequency)
    place = int(position[0])
    near = 0 < place + after.leading <= len(before) + largest_gap
    return place if near else None, bool(on_grid[0])


def _joined(before: FloatArray, after: FloatArray, place: int, empty: int) -> FloatArray:
    """`after` from row `place` of `before` on, NaN between them.

    What the first `empty` rows of `after` lack is taken from `before`; those in front of it are left out.
    """
    result = np.full((place + len(after), *after.shape[1:]), np.nan)
    kept = before[: place + empty]
    result[: len(kept)] = kept
    after, empty, place = after[max(0, -place) :], empty + min(place, 0), max(0, place)
    lacking = np.isnan(after)
    lacking[empty:] = False
    result[place:] = np.where(lacking, result[place:], after)
    return result


def _numbers(values: npt.NDArray[np.float64]) -> list[float | None]:
    return [None if v != v else v for v in values.tolist()]


def _columns(values: list[list[float | None]], rows: int) -> FloatArray:
    return np.array(values, dtype=np.float64).T if values else np.empty((rows, 0))
