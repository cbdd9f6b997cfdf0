"""The rows of tables in the order of their series and times, checked and laid on a regular grid."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pandas.tseries.frequencies import to_offset

from steploom.data.series.columns import Columns
from steploom.data.series.find_frequency import FIRST_DAYS, FrequencyProblem, anchors, find_frequency
from steploom.data.series.frequency import MONTHLY, grid_positions, on_anchor
from steploom.data.series.gridding import GridRows
from steploom.data.series.summer_time import IN_UTC, PLAIN_TIMES, TWICE, hour_stands_twice, moved_in_utc
from steploom.data.series.table_group import TableGroup

__all__ = ["begins_of_last_table", "check_order", "frequency_of_rows", "lay_out", "stamp"]

Ints = npt.NDArray[np.int64]
Times = npt.NDArray[np.datetime64]

# A grid with more rows than this for each row of the table comes from a wrong time stamp, not from gaps.
_GRID_TO_ROWS = 50
_FOLLOW = "Files are read one after the other: give them in the order of time, and no row in two of them"


def check_order(
    tables: TableGroup, columns: Columns, names: list[str], codes: Ints, times: Times, order: Ints, zone: bool | None
) -> None:
    """Time stamps must rise within each series.

    Args:
        tables, columns, names: the tables, what their columns mean, and the names of the series.
        codes, times: (rows,) number of the series and time, sorted by series.
        order: (rows,) the row in the tables.
        zone: whether the times have a zone; None for counts of seconds.

    Raises:
        DataError: one stands twice or before its predecessor; the message names both rows.
    """
    steps = np.diff(times.astype(np.int64))
    wrong = np.flatnonzero((codes[1:] == codes[:-1]) & (steps <= 0))
    if not len(wrong):
        return
    here = int(wrong[np.argmin(order[wrong + 1])]) + 1
    of = f" of series '{names[codes[here]]}'" if columns.series else ""
    now, before = stamp(times[here]), stamp(times[here - 1])
    file, line = tables.place(int(order[here - 1]))
    twice = zone is False and hour_stands_twice(times[here - 1], times[here])
    alone = tables.in_one_file(int(order[here]), int(order[here - 1]))
    previous = f"row {line}" if alone else f"row {line} of {file}"
    if steps[here - 1] == 0:
        more = f", and so do {len(wrong) - 1} more rows" if len(wrong) > 1 else ""
        hint = "Keep one row a time; at the end of daylight saving time write UTC"
        if columns.series is None:
            hint = "Keep one row a time; if the table holds several series, name their column with --series"
        if twice:
            hint = TWICE
        if not alone:
            hint = _FOLLOW
        raise tables.error(f"the time {now}{of} stands twice (also in {previous}){more}", int(order[here]), hint=hint)
    hint = TWICE if twice else "Sort the rows by time"
    raise tables.error(
        f"the rows{of} are not sorted by time: {now} comes after {before} ({previous})",
        int(order[here]),
        hint=hint if alone else _FOLLOW,
    )


def frequency_of_rows(
    tables: TableGroup, columns: Columns, times: Times, codes: Ints, order: Ints, zone: bool | None
) -> str:
    """The step of all series.

    Args:
        tables, columns: the tables and what their columns mean.
        times, codes: (rows,) time and number of the series, sorted by series.
        order: (rows,) the row in the tables.
        zone: whether the times have a zone.

    Raises:
        DataError: there is no common step; the message names the row.
    """
    try:
        return find_frequency(times, codes)
    except FrequencyProblem as problem:
        if problem.row is None:
            hint = "Give more rows"
            if len(times) > 1 and columns.series is not None:
                hint += (
                    f", or name another column with --series: each of the {len(times)} rows has a name of its own "
                    f"in '{columns.series}'"
                )
            raise tables.error(problem.what, None, hint=hint) from None
        if zone and moved_in_utc(times, codes):
            raise tables.error(f"{problem.what}: {IN_UTC}", int(order[problem.row]), hint=PLAIN_TIMES) from None
        hint = problem.hint or (
            "Give the rows one step, or name it with --frequency: rows off its grid are then taken as missing"
        )
        raise tables.error(problem.what, int(order[problem.row]), hint=hint) from None


def lay_out(
    tables: TableGroup,
    times: Times,
    codes: Ints,
    order: Ints,
    frequency: str,
    zone: bool | None,
    trained: bool,
    anchored: bool = False,
) -> tuple[GridRows, npt.NDArray[np.bool_], list[str]]:
    """The rows on the grids of their series, which rows these are, and notes: rows off the grid are left out.

    Args:
        tables: the tables.
        times, codes: (rows,) time and number of the series, sorted by series.
        order: (rows,) the row in the tables.
        frequency: the step of the grids.
        zone: whether the times have a zone.
        trained: whether the step is that of an earlier training, and not named or found now.
        anchored: whether the grids must lie on the anchor of the frequency, the MON of W-MON.

    Raises:
        DataError: most rows lie off the grid, a grid off the anchor, or a time is far away from its neighbours.
    """
    anchor = anchors(times, codes, frequency)
    positions, regular = grid_positions(times, anchor, frequency)
    notes = []
    if not regular.all():
        irregular = np.flatnonzero(~regular)
        moved = bool(zone) and moved_in_utc(times, codes)
        if len(irregular) > len(times) / 2:
            hint = "The file should have the step of the training data" if trained else "Check --frequency"
            if moved:
                hint = PLAIN_TIMES
            elif type(to_offset(frequency)) in MONTHLY:
                hint = FIRST_DAYS
            raise tables.error(
                f"{len(irregular)} of {len(times)} rows lie off the grid of {frequency}, "
                f"this one at {stamp(times[irregular[0]])}{f': {IN_UTC}' if moved else ''}",
                int(order[irregular[0]]),
                hint=hint,
            )
        file, line = tables.place(int(order[irregular].min()))
        notes.append(
            f"{len(irregular)} irregular rows lie off the grid of {frequency} and are left out, the first: "
            f"{file.name}, row {line}, {stamp(times[np.argmin(np.where(regular, np.inf, order))])}"
            f"{f'; {IN_UTC}. {PLAIN_TIMES}' if moved else ''}"
        )
    if anchored:
        _check_anchor(tables, times, order, anchor, frequency, zone)
    codes, positions, anchor = codes[regular], positions[regular], anchor[regular]
    begin = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
    offsets = np.r_[begin, len(codes)]
    positions = positions - np.repeat(positions[begin], np.diff(offsets))
    grid = GridRows(frequency, offsets, positions, times[regular][begin])
    sparse = np.flatnonzero(grid.lengths > _GRID_TO_ROWS * np.diff(offsets) + 1000)
    if len(sparse):
        inside = slice(offsets[sparse[0]], offsets[sparse[0] + 1])
        jump = int(np.argmax(np.diff(positions[inside]))) + int(offsets[sparse[0]])
        raise tables.error(
            f"the time jumps from {stamp(times[regular][jump])} to {stamp(times[regular][jump + 1])}: "
            f"{int(positions[jump + 1] - positions[jump])} steps of {frequency}",
            int(order[regular][jump + 1]),
            hint="Check the time stamps of these rows",
        )
    return grid, regular, notes


def _check_anchor(
    tables: TableGroup, times: Times, order: Ints, anchor: Times, frequency: str, zone: bool | None
) -> None:
    """Every series must have the weekday or the months that were named.

    Args:
        tables, times, order, frequency, zone: as in `lay_out`.
        anchor: (rows,) a time on the grid of each row's series.
    """
    distinct, number = np.unique(anchor, return_inverse=True)
    off = np.flatnonzero(~np.array([on_anchor(time, frequency) for time in distinct], bool)[number])
    if len(off):
        any_anchor = frequency.partition("-")[0]
        raise tables.error(
            f"{len(off)} of {len(times)} rows lie off the grid of {frequency}, this one at {stamp(times[off[0]])}"
            f"{' in UTC, which times with a zone are turned into' if zone else ''}",
            int(order[off[0]]),
            hint=f"Check --frequency: with {any_anchor} each series keeps the grid of its own rows",
        )


def begins_of_last_table(tables: TableGroup, columns: Columns, rows: GridRows, order: Ints) -> list[int]:
    """For each series the grid number of the first row from the last file; the grid's length where it has none."""
    first = len(tables) - len(tables.tables[-1])
    result = []
    for i, length in enumerate(rows.lengths.tolist()):
        inside = slice(rows.offsets[i], rows.offsets[i + 1])
        from_last = np.flatnonzero(order[inside] >= first)
        result.append(int(rows.positions[inside][from_last[0]]) if len(from_last) else length)
    return result


def stamp(time: np.datetime64) -> str:
    """A time for a message, without the parts that are zero."""
    text = str(time.astype("datetime64[s]")).replace("T", " ")
    return text.removesuffix(":00").removesuffix(" 00:00")
