"""From the user's files and options to what is trained on, validated on and scored."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from steploom.data.series.columns import Columns
from steploom.data.series.frequency import check_frequency
from steploom.data.series.history import tail
from steploom.data.series.origins import Split, default_context, short_series, split_at, split_by_time
from steploom.data.series.series import SeriesSet
from steploom.data.series.tables import SeriesTable, read_series
from steploom.data.series.value_rule import ValueRule
from steploom.data.series.window_layout import rows_before
from steploom.errors import DataError
from steploom.models.recent_bias import REACH
from steploom.tasks.forecast.later_table import check_step, follow
from steploom.tasks.forecast.past import Past, Source
from steploom.tasks.forecast.yardstick import Yardstick

if TYPE_CHECKING:
    from steploom.tasks.forecast.task import EvaluateOptions, ForecastOptions

__all__ = [
    "TrainingData",
    "read_source",
    "read_to_predict",
    "read_training_data",
    "rule_of_later_files",
    "say_what_is_tested",
]

logger = logging.getLogger("steploom")

_COUNTS = ValueRule(
    "--output negative_binomial is for counts 0, 1, 2, ...",
    lambda values: (values < 0) | (values != np.floor(values)),
    "Choose another --output",
)
_FROM_0_ON = ValueRule("--logarithm is for values from 0 on", lambda values: values < 0, "Train with --no-logarithm")
_TAKEN_FOR_0 = replace(
    _FROM_0_ON, says="this model scales with a logarithm and takes values below 0 for 0", refuses=False
)


@dataclass(frozen=True)
class TrainingData:
    """What training needs.

    Attributes:
        data: the training series, with the rows of the validation file behind them.
        split: the rows to learn from and to validate on.
        context: rows a forecast looks back.
        past: what is kept.
        valid: the validation part, None where it has no rows.
        test: the test part, None without a test file.
    """

    data: SeriesSet
    split: Split
    context: int
    past: Past
    valid: Source | None
    test: Source | None


def read_training_data(
    options: ForecastOptions, train: Sequence[Path], valid: Path | None, test: Path | None
) -> TrainingData:
    """Reads and checks all files; what the test file holds is left to `say_what_is_tested`.

    Raises:
        DataError, OptionError: see `steploom.data.series.tables.read_series`.
    """
    asked = Columns(
        options.time, options.series, options.target, options.past_covariates, options.known_covariates, options.static
    )
    frequency = check_frequency(options.frequency) if options.frequency else None
    rule = _rule_of_training(options)
    # Without an anchor each series keeps its own; check_frequency makes W to W-SUN.
    anchored = "-" in (options.frequency or "")
    table = read_series(train, asked, frequency, anchored, rule=rule)
    _say(table)
    whole = table
    if valid is not None:
        whole = read_series([*train, valid], table.learnt, rule=rule)
        _say(read_series([valid], table.learnt, need_values=False))
    context = options.context or default_context(table.data, options.horizon)
    if options.skip_short:
        whole = _without_short(whole, context, options.horizon, valid is not None)
    try:
        if valid is None:
            split = split_by_time(whole.data, context, options.horizon, options.valid_share)
        else:
            split = split_at(whole.data, whole.begins, context, options.horizon)
    except DataError as error:
        raise DataError(str(error), file=", ".join(str(file) for file in train)) from None
    tested = None
    if test is not None:
        tested = read_series([*train, *([valid] if valid else []), test], table.learnt, rule=rule)
    seasons = whole.data.seasons
    measured = {series.id: series.target for series in table.data}
    yardsticks = {s.id: Yardstick.of(measured[s.id], seasons) for s in whole.data if s.id in measured}
    # Beside what a forecast looks at: the forecasts whose bias it takes on, and the one that a picture shows.
    rows = max(rows_before(context, options.horizon, seasons), *seasons, 1) + (REACH + 1) * options.horizon
    kept = [tail(series, rows, whole.data.frequency) for series in whole.data]
    past = Past(table.learnt, kept, yardsticks, whole.data.with_series([]))
    has_valid = any(stop - first >= options.horizon for first, stop in split.valid)
    before = {
        series.id: Yardstick.of(series.target[:stop], seasons)
        for series, (first, stop) in zip(whole.data, split.train, strict=True)
        if stop - first >= options.horizon
    }
    return TrainingData(
        whole.data,
        split,
        context,
        past,
        Source(whole.data, [first for first, _ in split.valid], before) if has_valid else None,
        Source(tested.data, tested.begins) if tested is not None else None,
    )


def say_what_is_tested(past: Past, test: Path, rule: ValueRule | None) -> None:
    """Says what a test file holds, once the layout is learnt: the rule of later files follows from it.

    Raises:
        DataError: the file cannot be used.
    """
    _say(read_series([test], past.learnt, need_values=False, rule=rule))


def read_source(
    past: Past, file: Path, options: EvaluateOptions, context: int, rule: ValueRule | None = None
) -> Source:
    """The file to be scored, with what came before it: `--history`, or else the kept end of the training data.

    Raises:
        DataError: a file cannot be used.
    """
    # With a history, the rule is for both files at once: what it notices is said once.
    alone = rule if options.history is None else None
    table = read_series([file], past.learnt, need_values=False, keep_leading=True, rule=alone)
    check_step(table)
    _say(table)
    _say_new(past, table)
    if options.history is not None:
        joined = read_series([options.history, file], past.learnt, need_values=False, rule=rule)
        _say(joined)
        source = Source(joined.data, joined.begins)
    else:
        data, begins, count = follow(past.series, table, context // 2)
        if count:
            logger.info(f"{count} of {len(data)} series go on from the training data, which is their context")
        source = Source(data, begins)
    return source


def read_to_predict(past: Past, file: Path | None, context: int, rule: ValueRule | None = None) -> SeriesSet:
    """The series to forecast on from: those of `file`, with the end of the training data before it; or that end alone.

    Raises:
        DataError: the file cannot be used.
    """
    if file is None:
        return past.layout.with_series(past.series)
    table = read_series([file], past.learnt, need_values=False, keep_future=True, keep_leading=True, rule=rule)
    check_step(table)
    _say(table)
    _say_new(past, table)
    data, _, count = follow(past.series, table, context // 2)
    if count:
        logger.info(f"{count} of {len(data)} series go on from the training data")
    empty = [series.id for series in data if not len(series)]
    if empty:
        raise DataError(
            f"series '{empty[0]}' has no value in any row, and does not follow its end in the training data",
            file=file,
            column=table.learnt.columns.targets[0],
            hint="Give what was measured before the rows to forecast",
        )
    return data


def rule_of_later_files(options: ForecastOptions, logarithm: bool) -> ValueRule | None:
    """What the values of later files have to be for a model, `logarithm` being whether it scales with one."""
    if not logarithm:
        return None
    return _FROM_0_ON if options.logarithm else _TAKEN_FOR_0


def _rule_of_training(options: ForecastOptions) -> ValueRule | None:
    if options.output == "negative_binomial":
        return _COUNTS
    return _FROM_0_ON if options.logarithm else None


def _without_short(table: SeriesTable, context: int, horizon: int, validated: bool) -> SeriesTable:
    """The table without the series that are too short to learn from, unless all are."""
    short = short_series(table.data, context, horizon, table.begins if validated else None)
    kept = [i for i, series in enumerate(table.data) if series.id not in short]
    if not short or not kept:
        return table
    named = ", ".join(f"'{name}'" for name in list(short)[:5]) + (f" and {len(short) - 5} more" * (len(short) > 5))
    logger.info(
        f"{len(short)} of {len(table.data)} series have fewer than {context + horizon} rows and are left out: {named}"
    )
    data = table.data.with_series([table.data.series[i] for i in kept])
    return replace(table, data=data, begins=[table.begins[i] for i in kept])


def _say(table: SeriesTable) -> None:
    files = ", ".join(file.name for file in table.files)
    for note in table.notes:
        logger.info(f"{files}: {note}")


def _say_new(past: Past, table: SeriesTable) -> None:
    """Series that training has not seen are told: a name may be spelt in another way in a later file."""
    known = {series.id for series in past.series}
    new = [series.id for series in table.data if series.id not in known]
    if new:
        files = ", ".join(file.name for file in table.files)
        logger.info(f"{files}: {len(new)} of {len(table.data)} series are new to the model, such as '{new[0]}'")
