"""The end of the training data, kept as JSON beside the model: the context of forecasts that start right after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from steploom.data.frequency import grid_positions, time_grid
from steploom.data.series import FloatArray, Series, SeriesSet

__all__ = ["continue_from", "series_from_json", "series_to_json", "tail"]


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
    """`data` with the rows of `history` before it, where its history ends at most `largest_gap` rows before it.

    Rows of the history from the first row of the data on are not used.

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
        before = earlier.get(series.id)
        gap = _rows_between(before, series, data.frequency) if before is not None else None
        if before is None or gap is None or gap > largest_gap or gap <= -len(before):
            result.append(series)
            rows.append(begin)
            continue
        count += 1
        if not len(series):
            # Only covariates known ahead: they follow the last values, and the target ends where it did.
            known = np.r_[_resized(before.known, len(before) + gap, len(before) + gap), series.known]
            result.append(replace(before, known=known))
            rows.append(len(before))
            continue
        used = len(before) + min(gap, 0)
        whole = used + max(gap, 0)
        result.append(
            replace(
                series,
                start=before.start,
                target=np.r_[_resized(before.target, used, whole), series.target],
                past=np.r_[_resized(before.past, used, whole), series.past],
                known=np.r_[_resized(before.known, whole, whole), series.known],
            )
        )
        rows.append(begin + whole)
    return data.with_series(result), rows, count


def _rows_between(before: Series, after: Series, frequency: str) -> int | None:
    """Rows between the end of one series and the start of another, below 0 where they overlap; None off the grid."""
    position, on_grid = grid_positions(np.array([after.start]), before.start, frequency)
    return int(position[0]) - len(before) if on_grid[0] else None


def _resized(values: FloatArray, used: int, rows: int) -> FloatArray:
    """The first `used` rows of `values`, as `rows` rows; NaN where there are none."""
    result = np.full((rows, *values.shape[1:]), np.nan)
    kept = values[: min(used, rows)]
    result[: len(kept)] = kept
    return result


def _numbers(values: npt.NDArray[np.float64]) -> list[float | None]:
    return [None if v != v else v for v in values.tolist()]


def _columns(values: list[list[float | None]], rows: int) -> FloatArray:
    return np.array(values, dtype=np.float64).T if values else np.empty((rows, 0))
