"""Whether a later table goes with the training data, and the training data's end before it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from steploom.data.series.frequency import fixed_step, step_in_words
from steploom.data.series.history import between_rows, continue_from
from steploom.data.series.row_grid import stamp
from steploom.data.series.series import Series, SeriesSet
from steploom.data.series.summer_time import PLAIN_TIMES
from steploom.data.series.tables import SeriesTable
from steploom.errors import DataError

__all__ = ["check_step", "follow"]

_WEEK = 7 * 86_400_000_000_000


def check_step(table: SeriesTable) -> None:
    """A later table must have the step of the training data, not only rows on its grid."""
    for series in table.data:
        measured = np.flatnonzero(np.isfinite(series.target))
        if len(measured) >= 10 and np.diff(measured).min() > 1:
            raise DataError(
                f"the model was trained on data with the frequency {table.data.frequency}; "
                f"series '{series.id}' steps by {np.diff(measured).min()} of these",
                file=table.files[0],
                hint="Give data of the same frequency",
            )


def follow(history: Sequence[Series], table: SeriesTable, largest_gap: int) -> tuple[SeriesSet, list[int], int]:
    """The table's series with their history before them: see `steploom.data.series.history.continue_from`.

    Raises:
        DataError: a series would go on, but for times that lie off the grid of its history; or it has become another
            one by its categories.
    """
    _check_categories(history, table)
    for i, before in between_rows(history, table.data, largest_gap):
        step = table.data.frequency
        end, here = table.data.times(before, len(before) - 1, 1)[0], table.data.series[i].start
        hint = "Give its times as in the training data"
        raise DataError(
            f"the rows of series '{before.id}' lie off the grid of its training data, every {step_in_words(step)} "
            f"from {_shown(end, step)}; this one is at {_shown(here, step)}",
            file=table.files[0],
            hint=f"{hint}. {PLAIN_TIMES}" if _moved_by_zone(table, end, here) else hint,
        )
    return continue_from(history, table.data, table.begins, largest_gap)


def _check_categories(history: Sequence[Series], table: SeriesTable) -> None:
    earlier = {series.id: series for series in history}
    for series in table.data:
        codes = earlier[series.id].static if series.id in earlier else series.static
        for column, levels, old, new in zip(
            table.data.static, table.data.categories, codes, series.static, strict=True
        ):
            if old != new:
                raise DataError(
                    f"a static column must be constant in each series; series '{series.id}' changes from "
                    f"'{levels[old]}', in the training data, to '{levels[new]}'",
                    file=table.files[0],
                    column=column,
                    hint="Give another series another name",
                )


def _moved_by_zone(table: SeriesTable, end: np.datetime64, here: np.datetime64) -> bool:
    """Whether times of day differ that are UTC, where summer time moves them."""
    return table.learnt.zone is True and (here - end) % np.timedelta64(1, "D") != np.timedelta64(0)


def _shown(time: np.datetime64, frequency: str) -> str:
    """A time for a message, in whole weeks with its weekday."""
    step = fixed_step(frequency)
    weekday = f"{pd.Timestamp(time):%A} " if step is not None and step % _WEEK == 0 else ""
    return f"{weekday}{stamp(time)}"
