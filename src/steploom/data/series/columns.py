"""What each column of a user's table means: time, series, target, covariate."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steploom.data.json_values import read_text, read_texts
from steploom.data.name_list import names_shown
from steploom.data.series.table_file import Table
from steploom.data.series.timestamps import looks_like_times
from steploom.errors import OptionError

__all__ = ["Columns", "find_columns", "row_numbers"]

_TIME_NAMES = (
    "ds",
    "time",
    "timestamp",
    "datetime",
    "date_time",
    "date time",
    "date",
    "day",
    "week",
    "month",
    "quarter",
    "year",
)
_SERIES_NAMES = ("unique_id", "series_id", "item_id", "series")
_TARGET_NAMES = ("y", "target", "value")
_PARTS = ("year", "month", "day", "hour", "minute", "second")
_UNNAMED = re.compile(r"column \d+|Unnamed: \d+|__index_level_\d+__")
"""What Steploom, pandas and pandas' Parquet call a column without a name."""
_CLOCK = re.compile(r"\d{1,2}[:.h]\d{2}([:.]\d{2})?( ?[AaPp][Mm])?")


@dataclass(frozen=True)
class Columns:
    """The columns of a table by what they mean.

    Attributes:
        time: the columns that make up the time stamp: one, or a date and a time of day, or year, month, day, hour.
        series: the column that names the series, or None where a series is a column ("wide") or the only one.
        targets: the columns to forecast; more than one only in a wide table. Empty: all that have no other meaning.
        past, known: covariates known up to now, and known ahead.
        static: columns that are constant in each series.
    """

    time: tuple[str, ...] = ()
    series: str | None = None
    targets: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    static: tuple[str, ...] = ()

    @property
    def wide(self) -> bool:
        """Whether each target column is a series of its own."""
        return self.series is None and len(self.targets) > 1

    @property
    def time_name(self) -> str:
        """The name of the time in what Steploom writes."""
        return self.time[0] if len(self.time) == 1 else "time"

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """From what `to_json` gave."""
        series = values["series"]
        lists = {name: read_texts(values[name], name) for name in ("time", "targets", "past", "known", "static")}
        return cls(series=None if series is None else read_text(series, "series"), **lists)


def find_columns(table: Table, asked: Columns) -> Columns:
    """`asked` completed from the table's header and first rows, and checked.

    Raises:
        DataError: a named column does not exist, or what is missing cannot be found.
        OptionError: one column is given two meanings.
    """
    _check_asked(table, asked)
    time = asked.time or _find_time(table, asked)
    series = asked.series or (_find_series(table, asked) if len(asked.targets) <= 1 else None)
    found = replace(asked, time=time, series=series)
    if series is not None and len(found.targets) > 1:
        raise OptionError(
            f"--series {series} with {len(found.targets)} targets: "
            "a table with a column of series names has one target column"
        )
    return found if found.targets else replace(found, targets=_find_targets(table, found))


def _refuse_times_elsewhere(table: Table, asked: Columns) -> None:
    """The only column of times cannot also be something else."""
    for option, names in _groups(asked).items():
        for name in names:
            if option != "--static" and looks_like_times(table, name):
                hint = "Leave it out: the network sees the calendar anyway" if "covariates" in option else None
                raise table.error(
                    f"this column holds the times, so it cannot be used as {option}",
                    column=name,
                    hint=hint or "Name the column of numbers",
                )


def _groups(asked: Columns) -> dict[str, tuple[str, ...]]:
    """The option of each meaning to the columns."""
    return {
        "--time": asked.time,
        "--series": (asked.series,) if asked.series else (),
        "--target": asked.targets,
        "--past-covariates": asked.past,
        "--known-covariates": asked.known,
        "--static": asked.static,
    }


def _check_asked(table: Table, asked: Columns) -> None:
    meanings: dict[str, str] = {}
    for option, names in _groups(asked).items():
        for name in names:
            table.require(name, option)
            if name in meanings:
                raise OptionError(f"column '{name}' is given twice: {meanings[name]} and {option}")
            meanings[name] = option


def _used(columns: Columns) -> set[str]:
    return {*columns.time, *columns.targets, *columns.past, *columns.known, *columns.static, columns.series or ""}


def _find_time(table: Table, asked: Columns) -> tuple[str, ...]:
    free = [n for n in table.names if n not in _used(asked)]
    by_name = {n.strip().lower(): n for n in reversed(free)}
    if "year" in by_name and "month" in by_name:
        parts = []
        for part in _PARTS:
            if part not in by_name:
                break
            parts.append(by_name[part])
        return tuple(parts)
    if "date" in by_name and "time" in by_name and _is_clock(table, by_name["time"]):
        return by_name["date"], by_name["time"]
    named = [by_name[n] for n in _TIME_NAMES if n in by_name]
    dated = [n for n in free if looks_like_times(table, n)]
    candidates = [n for n in named if n in dated] or dated or named
    if not dated:
        _refuse_times_elsewhere(table, asked)
    if not candidates:
        raise table.error(
            f"no column holds times; the columns are {names_shown(table.names)}",
            hint="Name the time column with --time",
        )
    return (candidates[0],)


def _is_clock(table: Table, name: str) -> bool:
    texts = [t for t in table.texts(name).slice(0, 20).to_pylist() if t]
    return bool(texts) and all(_CLOCK.fullmatch(t) for t in texts)


def _find_series(table: Table, asked: Columns) -> str | None:
    by_name = {n.strip().lower(): n for n in table.names if n not in _used(asked)}
    return next((by_name[n] for n in _SERIES_NAMES if n in by_name), None)


def row_numbers(table: Table, found: Columns) -> tuple[str, ...]:
    """The columns without a name that number the rows, as pandas and R write them, and that have no meaning."""
    free = [n for n in table.names if n not in _used(found)]
    return tuple(n for n in free if _UNNAMED.fullmatch(n) and _numbers_rows(table, n))


def _numbers_rows(table: Table, name: str) -> bool:
    """Whether a column holds whole numbers that rise, or mostly by 1 where the rows of several tables were joined."""
    texts = table.texts(name)
    if texts.null_count or not pc.all(pc.utf8_is_decimal(texts)).as_py():
        return False
    steps = np.diff(texts.cast(pa.float64()).to_numpy())
    return bool((steps > 0).all() or (steps == 1).mean() > 0.9)


def _find_targets(table: Table, found: Columns) -> tuple[str, ...]:
    rest = [n for n in table.names if n not in {*_used(found), *row_numbers(table, found)}]
    by_name = {n.strip().lower(): n for n in rest}
    if found.series is not None or len(rest) == 1:
        choice = next((by_name[n] for n in _TARGET_NAMES if n in by_name), rest[0] if len(rest) == 1 else None)
        if choice is None:
            raise table.error(
                f"the column to forecast is not clear; it may be {names_shown(rest)}", hint="Name it with --target"
            )
        return (choice,)
    if not rest:
        raise table.error("no column is left to be forecast", hint="Name the column with --target")
    texts = [n for n in rest if table.is_text(n)]
    if texts:
        kind = "truth values" if table.is_truth(texts[0]) else "text"
        raise table.error(
            f"without --target every column would be a series, but column '{texts[0]}' holds {kind}",
            hint=f"Name the column to forecast with --target; the columns are {names_shown(rest)}",
        )
    return tuple(rest)
