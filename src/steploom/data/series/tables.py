"""A user's tables -> a set of series: one or many files, long or wide, every row checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from steploom.data.json_values import read_texts
from steploom.data.series.categories import category_codes, one_hot, static_codes
from steploom.data.series.columns import Columns, find_columns, row_numbers
from steploom.data.series.frequency import name_for_people
from steploom.data.series.gridding import cut_series
from steploom.data.series.row_grid import begins_of_last_table, check_order, frequency_of_rows, lay_out, stamp
from steploom.data.series.series import FloatArray, SeriesSet
from steploom.data.series.table_group import TableGroup
from steploom.data.series.timestamps import ZONES, have_zone, read_times
from steploom.data.series.value_rule import ValueRule

__all__ = ["Learnt", "SeriesTable", "read_series"]

Ints = npt.NDArray[np.int64]
Times = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class Learnt:
    """What was found in the training tables and holds for every later table.

    Attributes:
        columns: what each column means.
        frequency: the step of all series.
        levels: for each column of categories (static, or a covariate that is text) its values.
        zone: whether the times have a zone; None where they are counts of seconds.
    """

    columns: Columns
    frequency: str
    levels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    zone: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        levels = {name: list(values) for name, values in self.levels.items()}
        return {"columns": self.columns.to_json(), "frequency": self.frequency, "levels": levels, "zone": self.zone}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Learnt:
        """From what `to_json` gave."""
        levels = {name: read_texts(found, name) for name, found in values["levels"].items()}
        return cls(Columns.from_json(values["columns"]), values["frequency"], levels, values.get("zone"))


@dataclass(frozen=True)
class SeriesTable:
    """What a table became.

    Attributes:
        data: the series.
        learnt: what later tables are read with.
        begins: for each series the row at which the last file's rows begin; below 0 where its first values are missing.
        notes: what was found, a sentence each, for people.
        files: the files.
    """

    data: SeriesSet
    learnt: Learnt
    begins: list[int]
    notes: list[str]
    files: list[Path]


def read_series(
    files: Sequence[Path],
    asked: Columns | Learnt,
    frequency: str | None = None,
    anchored: bool = False,
    need_values: bool = True,
    keep_future: bool = False,
    keep_leading: bool = False,
    rule: ValueRule | None = None,
) -> SeriesTable:
    """Reads tables of the same columns, one continuing the other.

    Args:
        files: CSV or Parquet files in the order of time.
        asked: the columns that the user named; or what training learnt, which is then held to.
        frequency: the step, where it is not to be found from the data.
        anchored: whether the series must lie on the anchor of `frequency`, the MON of W-MON; else it is a mere name.
        need_values: whether a series without any value is an error; it is left out otherwise.
        keep_future: whether a series without any value is kept for its covariates known ahead, with no row but these.
        keep_leading: whether the rows of a series before its first value are kept, for their covariates.
        rule: what the values of the targets have to be.

    Raises:
        DataError: a file cannot be used; the message names the row.
    """
    learnt = asked if isinstance(asked, Learnt) else None
    tables = TableGroup.read(files)
    columns = find_columns(
        tables.first, learnt.columns if learnt else asked if isinstance(asked, Columns) else Columns()
    )
    if learnt is None:
        # In a later file the columns must be the same ones.
        for table in tables.tables[1:]:
            find_columns(table, columns)
    names, codes = _series_of_rows(tables, columns)
    times = tables.joined(lambda table: read_times(table, columns.time))
    zone = _zone_of_all(tables, columns, learnt)
    order = np.argsort(codes, kind="stable")
    codes, times = codes[order], times[order]
    check_order(tables, columns, names, codes, times, order, zone)
    known_frequency = learnt.frequency if learnt else frequency
    step = known_frequency or frequency_of_rows(tables, columns, times, codes, order, zone)
    rows, kept, notes = lay_out(tables, times, codes, order, step, zone, learnt is not None, anchored)
    order = order[kept]

    if isinstance(asked, Columns) and not asked.targets:
        unnamed = row_numbers(tables.first, columns)
        notes += [f"column '{name}' has no name and numbers the rows: it is left out" for name in unnamed]
    levels = dict(learnt.levels) if learnt else {}
    past, past_names = _covariates(tables, columns.past, levels, learnt is not None, order)
    known, known_names = _covariates(tables, columns.known, levels, learnt is not None, order)
    static = static_codes(tables, columns.static, levels, learnt is not None, names, codes[kept], order)
    learnt = learnt or Learnt(columns, step, levels, zone)

    past_grid, known_grid = rows.spread(past), rows.spread(known)
    cut = {}
    for target in columns.targets:
        numbers = tables.numbers(target)[order]
        notes += rule.check(tables, target, numbers, order) if rule else []
        values = rows.spread(numbers[:, None])
        series_names = [target] if columns.series is None else names
        cut.update(cut_series(rows, series_names, values, past_grid, known_grid, static, keep_future, keep_leading))
    wanted = names if columns.series is not None else list(columns.targets)
    _check_values(tables, columns, wanted, cut, need_values)
    begins = begins_of_last_table(tables, columns, rows, order)
    data = SeriesSet(
        [cut[name][0] for name in wanted if name in cut],
        step,
        columns.time_name,
        columns.series or "unique_id",
        "value" if columns.wide else columns.targets[0],
        past_names,
        known_names,
        columns.static,
        tuple(levels[name] for name in columns.static),
    )
    first_rows = [begins[i if columns.series is not None else 0] - cut[n][1] for i, n in enumerate(wanted) if n in cut]
    return SeriesTable(data, learnt, first_rows, [*_summary(data), *notes], list(files))


def _zone_of_all(tables: TableGroup, columns: Columns, learnt: Learnt | None) -> bool | None:
    """Whether the times have a zone, which is the same for all tables and those of training."""
    expected, whose = (learnt.zone, "the training data") if learnt else (None, "")
    for table in tables.tables:
        found = have_zone(table, columns.time)
        if found is not None and expected is not None and found != expected:
            has, others = ("has a zone", "have none") if found else ("has no zone", "have one")
            what = f"this time {has}, and those of {whose} {others}"
            raise table.error(what, index=0, column=" ".join(columns.time), hint=ZONES)
        if expected is None:
            expected, whose = found, str(table.path)
    return expected


def _series_of_rows(tables: TableGroup, columns: Columns) -> tuple[list[str], Ints]:
    """Names of the series in the order of their first rows, and the number of the series of each row."""
    if columns.series is None:
        return [""], np.zeros(len(tables), np.int64)
    name = columns.series
    encoded = pa.chunked_array([t.texts(name) for t in tables.tables]).combine_chunks().dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    missing = np.isnan(codes) if codes.dtype.kind == "f" else np.zeros(len(codes), bool)
    if "" in texts:
        missing |= codes == texts.index("")
    if missing.any():
        raise tables.error("the name of the series is missing", int(missing.argmax()), column=name)
    return texts, codes.astype(np.int64)


def _covariates(
    tables: TableGroup, names: tuple[str, ...], levels: dict[str, tuple[str, ...]], fixed: bool, order: Ints
) -> tuple[FloatArray, tuple[str, ...]]:
    """Columns as numbers (rows, columns); a column of texts becomes one column of 0 and 1 a value, and truth values are
    1 and 0 in every kind of file."""
    parts, labels = [], []
    for name in names:
        texts = not fixed and all(t.is_text(name) for t in tables.tables)
        if name in levels or (texts and not all(t.is_truth(name) for t in tables.tables)):
            codes = category_codes(tables, name, levels, fixed)[order]
            parts.append(one_hot(codes, len(levels[name])))
            labels += [f"{name}={level}" for level in levels[name]]
        else:
            parts.append(tables.numbers(name)[order][:, None])
            labels.append(name)
    return np.concatenate([np.empty((len(order), 0)), *parts], axis=1), tuple(labels)


def _check_values(tables: TableGroup, columns: Columns, wanted: list[str], cut: dict[str, Any], need: bool) -> None:
    empty = [name for name in wanted if name not in cut]
    if empty and (need or len(empty) == len(wanted)):
        if columns.series is None:
            hint = "Leave it out of --target" if need else "Give what was measured before the rows to forecast"
            raise tables.first.error("the column has no value in any row", column=empty[0], hint=hint)
        raise tables.first.error(
            f"series '{empty[0]}' has no value in any row"
            + (f", nor have {len(empty) - 1} more" if len(empty) > 1 else ""),
            column=columns.targets[0],
            hint="Remove its rows" if need else "Give what was measured before the rows to forecast",
        )


def _summary(data: SeriesSet) -> list[str]:
    """What the series hold, each from its first measured value on."""
    count = sum(len(s) - s.leading for s in data)
    missing = sum(int(np.isnan(s.target[s.leading :]).sum()) for s in data)
    first = min(data.times(s, s.leading, 1)[0] for s in data)
    last = max(data.times(s, max(len(s), len(s.known)) - 1, 1)[0] for s in data)
    name = f"'{data.series[0].id}'" if len(data) == 1 else f"{len(data)} series"
    step = name_for_people(data.frequency, (series.start for series in data))
    return [
        f"{name}, frequency {step}, {stamp(first)} to {stamp(last)}, {count} values, "
        f"{missing} of them missing ({missing / max(1, count):.1%})"
    ]
