"""Time stamps as users write them, read exactly or refused: never guessed where two readings are possible."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from steploom.data.series.table_file import MISSING, Table, shown
from steploom.data.series.time_faults import FIRST_YEAR, HINT, LAST_YEAR, fault_of

__all__ = ["ZONES", "have_zone", "looks_like_times", "parse_times", "read_times"]

Times = npt.NDArray[np.datetime64]

ZONES = "Write all times with a zone, or all without"
"""What to do about times of both kinds."""

_TIME_OF_DAY = r"(?:[ T]+\d{1,2}[:.h]\d{2}(?:[:.]\d{2}(?:\.\d+)?)?(?: ?[AaPp][Mm])?)?"
_ISO = re.compile(
    r"\d{4}-\d{1,2}(-\d{1,2}([ T]\d{1,2}(:\d{2}(:\d{2}([.,]\d+)?)?)?)?)?\s*(?P<zone>Z|UTC|[+-]\d{2}:?\d{2})?"
)
_YEAR_FIRST = re.compile(r"\d{4}([/.])\d{1,2}\1\d{1,2}" + _TIME_OF_DAY)
_YEAR_LAST = re.compile(r"(\d{1,2})([/.-])(\d{1,2})\2\d{4}" + _TIME_OF_DAY)
_QUARTER = re.compile(r"\d{4}[ -]?[Qq][1-4]")
_FORMS = (_ISO, _YEAR_FIRST, _YEAR_LAST, _QUARTER)
_DIGITS = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_EPOCHS = {10: 10**9, 13: 10**6, 16: 10**3, 19: 1}
_PARTS = ("year", "month", "day", "hour", "minute", "second")


def read_times(table: Table, columns: Sequence[str]) -> Times:
    """The times of all rows, datetime64[ns]; time zones are turned into UTC.

    Args:
        table: the user's table.
        columns: one column of time stamps; or a date and a time of day; or year, month, day, hour, minute, second (the
            first one to all six of them).

    Raises:
        DataError: a cell is missing, cannot be read, or can be read in two ways.
    """
    if len(columns) == 1:
        column = table.cells[columns[0]]
        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            return _typed_times(table, columns[0])
        return _text_times(table, columns[0], table.texts(columns[0]))
    parts = [next((p for p in _PARTS if name.lower().startswith(p)), None) for name in columns]
    if parts == list(_PARTS[: len(parts)]):
        return _assembled_times(table, columns)
    if len(columns) == 2:
        joined = pc.binary_join_element_wise(
            table.texts(columns[0]), table.texts(columns[1]), " ", null_handling="replace"
        )
        return _text_times(table, " ".join(columns), joined)
    raise table.error(
        f"the time columns {', '.join(columns)} cannot be put together",
        hint="Expected one column, a date and a time of day, or year, month, day, hour, minute in this order",
    )


def have_zone(table: Table, columns: Sequence[str]) -> bool | None:
    """Whether the times of a table that `read_times` has read have a zone; None for counts of seconds."""
    kind = table.cells[columns[0]].type
    if pa.types.is_timestamp(kind):
        return kind.tz is not None
    if len(columns) > 1 or pa.types.is_date(kind):
        return False
    return _zone(table.texts(columns[0])[0].as_py())


def looks_like_times(table: Table, name: str, sample: int = 20) -> bool:
    """Whether column `name` holds time stamps, by its type or its first cells; plain numbers do not count."""
    column = table.cells[name]
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return True
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return False
    texts = [t for t in table.texts(name).slice(0, sample).to_pylist() if t]
    return bool(texts) and all(map(_stamp_pattern, texts))


def parse_times(texts: Sequence[str]) -> Times:
    """The times of distinct texts, NaT where one cannot be read.

    Raises:
        ValueError: day and month cannot be told apart; the message says so.
    """
    values = np.asarray(texts, dtype=object)
    result = np.full(len(values), np.datetime64("NaT", "ns"), dtype="datetime64[ns]")
    patterns = [_stamp_pattern(t) for t in texts]
    for pattern in _FORMS:
        chosen = np.array([p is pattern for p in patterns], dtype=bool)
        if chosen.any():
            day_first = pattern is _YEAR_LAST and _day_comes_first(values[chosen])
            result[chosen] = _parse(values[chosen], pattern, day_first)
    for index, text in enumerate(texts):
        if patterns[index] is None and text.isdecimal():
            result[index] = _parse_digits(text)
    return result


def _typed_times(table: Table, name: str) -> Times:
    column = table.cells[name]
    if column.null_count:
        index = int(np.argmax(column.is_null().to_numpy()))
        raise table.error("the time is missing", index=index, column=name, hint="Remove the row")
    try:
        cast = column.cast(pa.timestamp("ns"))
    except pa.ArrowInvalid:
        raise table.error(f"expected years from {FIRST_YEAR} to {LAST_YEAR}", column=name) from None
    values: Times = cast.combine_chunks().to_numpy(zero_copy_only=False)
    return values.astype("datetime64[ns]")


def _text_times(table: Table, name: str, texts: pa.Array) -> Times:
    encoded = texts.dictionary_encode(null_encoding="encode")
    distinct = ["" if t is None else t for t in encoded.dictionary.to_pylist()]
    codes = encoded.indices.to_numpy()
    try:
        times = parse_times(distinct)
    except ValueError as error:
        raise table.error(str(error), column=name, hint=HINT) from None
    bad = np.isnat(times)
    if bad.any():
        index = int(np.argmax(bad[codes]))
        text = distinct[codes[index]]
        if text in MISSING:
            raise table.error("the time is missing", index=index, column=name, hint="Remove the row")
        what, hint = fault_of(text, _stamp_pattern(text) is not None)
        raise table.error(what, index=index, column=name, hint=hint)
    _check_zones(table, name, distinct, codes)
    result: Times = times[codes]
    return result


def _check_zones(table: Table, name: str, distinct: Sequence[str], codes: npt.NDArray[np.integer[Any]]) -> None:
    zones = [_zone(text) for text in distinct]
    zoned, plain = (np.array([zone is wanted for zone in zones])[codes] for wanted in (True, False))
    if not (zoned.any() and plain.any()):
        return
    first, second = sorted((int(np.argmax(zoned)), int(np.argmax(plain))))
    has, other = ("has a zone", "none") if zoned[second] else ("has no zone", "one")
    raise table.error(
        f"this time {has}, {shown(distinct[codes[second]])}, and the one in row {table.line(first)} has {other}",
        index=second,
        column=name,
        hint=ZONES,
    )


def _zone(text: str) -> bool | None:
    """Whether a time has a zone; None for a count of seconds, which is in UTC by itself."""
    pattern = _stamp_pattern(text)
    match = pattern.fullmatch(text) if pattern is not None else None
    return None if match is None else pattern is _ISO and match["zone"] is not None


def _assembled_times(table: Table, columns: Sequence[str]) -> Times:
    numbers = {}
    for part, name in zip(_PARTS, columns, strict=False):
        values = table.numbers(name)
        bad = ~((values == np.floor(values)) & (np.abs(values) < 10_000))
        if bad.any():
            index = int(np.argmax(bad))
            found = "an empty cell" if np.isnan(values[index]) else f"{values[index]:g}"
            raise table.error(f"expected the {part} as a number, found {found}", index=index, column=name)
        numbers[part] = values.astype(np.int64)
        if part == "year" and (far := (values < FIRST_YEAR) | (values > LAST_YEAR)).any():
            what = f"expected a year from {FIRST_YEAR} to {LAST_YEAR}, found {values[far][0]:g}"
            raise table.error(what, index=int(np.argmax(far)), column=name)
    numbers.setdefault("month", np.ones(len(table), np.int64))
    numbers.setdefault("day", np.ones(len(table), np.int64))
    frame = pd.DataFrame(numbers)
    times = pd.to_datetime(frame, errors="coerce").to_numpy().astype("datetime64[ns]")
    for part, least, most in (("hour", 0, 23), ("minute", 0, 59), ("second", 0, 59)):
        if part in numbers:
            times[(numbers[part] < least) | (numbers[part] > most)] = np.datetime64("NaT")
    bad = np.isnat(times)
    if bad.any():
        index = int(np.argmax(bad))
        found = ", ".join(f"{name} {numbers[part][index]}" for part, name in zip(_PARTS, columns, strict=False))
        raise table.error(f"there is no such time: {found}", index=index)
    return times


def _stamp_pattern(text: str) -> re.Pattern[str] | None:
    return next((p for p in _FORMS if p.fullmatch(text)), None)


def _day_comes_first(texts: Sequence[str]) -> bool:
    matches = [_YEAR_LAST.fullmatch(t) for t in texts]
    pairs = [(int(m[1]), int(m[3])) for m in matches if m]
    day_first, month_first = any(a > 12 for a, _ in pairs), any(b > 12 for _, b in pairs)
    if day_first == month_first and any(a != b for a, b in pairs):
        raise ValueError(f"day and month cannot be told apart in dates such as {shown(texts[0])}")
    return day_first


def _parse(texts: Sequence[str], pattern: re.Pattern[str], day_first: bool) -> Times:
    if pattern is _ISO:
        plain = [t.replace(",", ".").replace("UTC", "Z") for t in texts]
    elif pattern is _QUARTER:
        plain = [f"{t[:4]}-{3 * int(t[-1]) - 2:02d}-01" for t in texts]
    else:
        # One reading for 2014/1/2, 2.1.2014 10.30 and 1/2/2014 10:30 pm.
        plain = [_canonical(t, year_first=pattern is _YEAR_FIRST, day_first=day_first) for t in texts]
    return _nanoseconds(pd.to_datetime(pd.Series(plain, dtype=object), format="ISO8601", utc=True, errors="coerce"))


def _nanoseconds(parsed: pd.Series[pd.Timestamp]) -> Times:
    values = parsed.dt.tz_localize(None).to_numpy()
    # Beyond these years nanoseconds overflow silently.
    years = parsed.dt.year.to_numpy()
    result = np.where((years >= FIRST_YEAR) & (years <= LAST_YEAR), values, np.datetime64("NaT"))
    return result.astype("datetime64[ns]")


def _canonical(text: str, year_first: bool, day_first: bool) -> str:
    date, _, clock = re.sub(r"[ T]+", " ", text, count=1).partition(" ")
    a, b, c = re.split(r"[/.-]", date)
    year, month, day = (a, b, c) if year_first else (c, b, a) if day_first else (c, a, b)
    hour, minute, rest = 0, "00", "00"
    if clock:
        match = re.fullmatch(r"(\d{1,2})[:.h](\d{2})(?:[:.](\d{2}(?:\.\d+)?))?(?: ?([AaPp])[Mm])?", clock.strip())
        if match is None:
            return ""
        hour, minute, rest = int(match[1]), match[2], match[3] or "00"
        if match[4]:
            if not 1 <= hour <= 12:
                return ""
            hour = hour % 12 + (12 if match[4] in "Pp" else 0)
    return f"{year}-{int(month):02d}-{int(day):02d} {hour:02d}:{minute}:{rest}"


def _parse_digits(text: str) -> np.datetime64:
    length = len(text)
    format = "%Y%m%d%H" if length == 10 and text[:2] in ("19", "20") else _DIGITS.get(length)
    try:
        if format is not None and FIRST_YEAR <= int(text[:4]) <= LAST_YEAR:
            return np.datetime64(pd.to_datetime(text, format=format).isoformat(), "ns")
        if length in _EPOCHS:
            return np.datetime64(int(text) * _EPOCHS[length], "ns")
    except ValueError:
        pass
    return np.datetime64("NaT", "ns")
