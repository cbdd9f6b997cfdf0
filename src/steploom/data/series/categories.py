"""Columns of categories: their values, learnt in training and held to afterwards."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from steploom.data.series.series import FloatArray
from steploom.data.series.table_file import MISSING, TRUTHS, shown
from steploom.data.series.table_group import TableGroup
from steploom.errors import nearest

__all__ = ["category_codes", "one_hot", "static_codes"]

Ints = npt.NDArray[np.int64]

_MOST_LEVELS = 50


def category_codes(
    tables: TableGroup, name: str, levels: dict[str, tuple[str, ...]], fixed: bool, missing_allowed: bool = True
) -> Ints:
    """The code of each row's category in column `name`, an index into `levels[name]`; -1 where missing.

    Args:
        tables: the user's tables.
        name: the column.
        levels: the values of each column; unless `fixed`, those of this one are added, sorted.
        fixed: whether a value outside `levels[name]` is an error.
        missing_allowed: whether a cell may be empty.

    Raises:
        DataError: a category is unknown or missing, or there are more than 50 in a covariate.
    """
    texts = pa.chunked_array([t.texts(name) for t in tables.tables]).combine_chunks()
    encoded = texts.dictionary_encode(null_encoding="encode")
    found = ["" if t is None else _spelt(t) for t in encoded.dictionary.to_pylist()]
    codes: Ints = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    absent = MISSING if missing_allowed else ("",)
    if not fixed:
        levels[name] = tuple(sorted({t for t in found if t not in absent}))
        if missing_allowed and len(levels[name]) > _MOST_LEVELS:
            raise tables.first.error(
                f"expected numbers or at most {_MOST_LEVELS} categories, found {len(levels[name])} different texts, "
                f"such as {shown(levels[name][0])}",
                column=name,
            )
    number = {_spelt(text): i for i, text in enumerate(levels[name])}
    table = np.array([number.get(t, -1) for t in found], np.int64)
    result: Ints = table[codes]
    for i, text in enumerate(found):
        if text in number or (text in absent and missing_allowed):
            continue
        row = int(np.argmax(codes == i))
        if text in absent:
            raise tables.error("the category is missing", row, column=name)
        known = ", ".join(levels[name][:8]) + (", ..." if len(levels[name]) > 8 else "")
        raise tables.error(
            f"the category {shown(text)} was not in the training data, which had {known}",
            row,
            column=name,
            hint=nearest(text, levels[name]).strip() or None,
        )
    return result


def _spelt(text: str) -> str:
    """A category as it is compared: truth values are written in one way in Parquet and in several in CSV."""
    return text.lower() if text.lower() in TRUTHS else text


def one_hot(codes: Ints, count: int) -> FloatArray:
    """(rows, count) of 0 and 1, a row of NaN where the code is -1."""
    result = np.zeros((len(codes), count))
    present = codes >= 0
    result[np.flatnonzero(present), codes[present]] = 1.0
    result[~present] = np.nan
    return result


def static_codes(
    tables: TableGroup,
    columns: tuple[str, ...],
    levels: dict[str, tuple[str, ...]],
    fixed: bool,
    names: list[str],
    series: Ints,
    order: Ints,
) -> list[tuple[int, ...]]:
    """The codes of each series in the static columns.

    Args:
        tables, columns, levels, fixed: as in `category_codes`.
        names: names of the series.
        series: (rows,) the number of the series, rising.
        order: (rows,) the row in the tables.

    Raises:
        DataError: a column is not constant in a series, or as `category_codes`.
    """
    begin = np.flatnonzero(np.r_[True, series[1:] != series[:-1]])
    codes = np.zeros((len(begin), len(columns)), np.int64)
    for i, column in enumerate(columns):
        values = category_codes(tables, column, levels, fixed, missing_allowed=False)[order]
        changed = np.flatnonzero((series[1:] == series[:-1]) & (values[1:] != values[:-1]))
        if len(changed):
            row = int(changed[0]) + 1
            raise tables.error(
                f"a static column must be constant in each series; series '{names[series[row]]}' changes from "
                f"{shown(levels[column][values[row - 1]])} to {shown(levels[column][values[row]])}",
                int(order[row]),
                column=column,
                hint="Give it with --past-covariates or --known-covariates",
            )
        codes[:, i] = values[begin]
    return [tuple(int(c) for c in row) for row in codes]
