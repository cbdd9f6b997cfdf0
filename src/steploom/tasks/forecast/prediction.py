"""Forecasts of what comes after the last value of each series."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from steploom.data.series.series import Series, SeriesSet
from steploom.data.series.tables import Learnt
from steploom.errors import DataError
from steploom.tasks.forecast.backtest import ForecastFunction, Forecasts, Origins
from steploom.tasks.forecast.data import read_to_predict
from steploom.tasks.forecast.past import Past
from steploom.tasks.forecast.table import forecast_frame

if TYPE_CHECKING:
    import pandas as pd

    from steploom.data.series.value_rule import ValueRule
    from steploom.data.series.window_layout import Layout

__all__ = ["ToPlot", "forecasts_to_plot", "predict_next"]

logger = logging.getLogger("steploom")

_MOST_PANELS = 6


def predict_next(
    forecast: ForecastFunction, past: Past, layout: Layout, file: Path | None, rule: ValueRule | None
) -> pd.DataFrame:
    """The horizon after the last value of each series, as a table.

    Raises:
        DataError: the file cannot be used, or a covariate known ahead is missing in the horizon.
    """
    data = read_to_predict(past, file, layout.context, rule)
    _warn_of_short(data, layout.context)
    _check_known(data, past.learnt, layout.horizon, file)
    origins = Origins(np.arange(len(data)), np.array([len(s) for s in data], np.int64))
    return forecast_frame(data, origins, forecast(data, origins), utc=past.learnt.zone is True)


@dataclass(frozen=True)
class ToPlot:
    """What a picture of forecasts shows.

    Attributes:
        data: the series to draw.
        origins, forecasts: at most two a series: its last horizon, and the next one.
    """

    data: SeriesSet
    origins: Origins
    forecasts: Forecasts


def forecasts_to_plot(
    forecast: ForecastFunction, past: Past, layout: Layout, file: Path | None, rule: ValueRule | None
) -> ToPlot:
    """The first series with the forecast of their last horizon, and of the next one where its covariates are known."""
    context, horizon = layout.context, layout.horizon
    data = read_to_predict(past, file, context, rule)
    data = data.with_series(data.series[:_MOST_PANELS])
    series, rows = [], []
    for i, one in enumerate(data):
        if len(one) - horizon >= context:
            series.append(i)
            rows.append(len(one) - horizon)
        if not data.known or not _lacks(one, _text_columns(data, past.learnt), horizon).any():
            series.append(i)
            rows.append(len(one))
    if not rows:
        raise DataError("there is nothing to draw: the covariates known ahead are missing", file=file)
    origins = Origins(np.array(series, np.int64), np.array(rows, np.int64))
    return ToPlot(data, origins, forecast(data, origins))


def _warn_of_short(data: SeriesSet, context: int) -> None:
    short = [s.id for s in data if len(s) < context]
    if short:
        logger.warning(
            f"{len(short)} of {len(data)} series have fewer rows than the context of {context}, such as '{short[0]}'; "
            "what came before counts as missing"
        )


def _text_columns(data: SeriesSet, learnt: Learnt) -> npt.NDArray[np.bool_]:
    """Which of the covariates known ahead are a value of a column of texts."""
    return np.array([name not in learnt.columns.known for name in data.known], bool)


def _lacks(series: Series, texts: npt.NDArray[np.bool_], horizon: int) -> npt.NDArray[np.bool_]:
    """(horizon, columns): where a covariate known ahead is missing that a forecast needs.

    A column of texts that is empty in most rows names the days that are special, and an ordinary one is empty in the
    future as well: training has seen such rows.
    """
    before, ahead = np.isnan(series.known[: len(series)]), series.known[len(series) : len(series) + horizon]
    missing = np.ones((horizon, len(texts)), bool)
    missing[: len(ahead)] = ~np.isfinite(ahead)
    empty = texts & (before.mean(0) > 0.5) if len(before) else texts & False
    # Rows that are not there at all say nothing.
    missing[: len(ahead), empty] = False
    return missing


def _check_known(data: SeriesSet, learnt: Learnt, horizon: int, file: Path | None) -> None:
    texts = _text_columns(data, learnt)
    for one in data if data.known else ():
        missing = np.argwhere(_lacks(one, texts, horizon))
        if not len(missing):
            continue
        row, number = (int(place) for place in missing[0])
        known = data.known[number]
        column = next(name for name in learnt.columns.known if known == name or known.startswith(f"{name}="))
        time = str(data.times(one, len(one) + row, 1)[0].astype("datetime64[s]")).replace("T", " ")
        raise DataError(
            f"series '{one.id}' has no '{column}' at {time}; "
            f"covariates known ahead are needed for all {horizon} rows that are forecast",
            file=file,
            column=column,
            hint="Add the rows of the horizon: time and known covariates filled in, the target empty",
        )
