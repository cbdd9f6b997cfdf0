"""Between the series of a forecast and its network: windows to train on, the network, and forecasts at any origin."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from steploom.data.name_list import names_shown
from steploom.data.series.series import FloatArray, SeriesSet
from steploom.data.series.window_batches import DrawnWindows, OrderedWindows
from steploom.data.series.window_layout import Layout
from steploom.data.series.windows import Windows
from steploom.errors import DataError, OptionError
from steploom.models.forecaster import Forecaster
from steploom.models.outputs import LEVELS
from steploom.models.recurrent_shape import RecurrentShape
from steploom.models.window import WindowLayout
from steploom.tasks.forecast.backtest import ForecastFunction, Forecasts, Origins
from steploom.tasks.forecast.recent import WINDOWS_AT_ONCE, bias_and_width_before, bias_before

if TYPE_CHECKING:
    from steploom.tasks.forecast.data import TrainingData
    from steploom.tasks.forecast.task import ForecastOptions

__all__ = [
    "all_windows",
    "build_network",
    "calibrate",
    "forecast_with",
    "learn_layout",
    "window_batches",
]

logger = logging.getLogger("steploom")

_VALIDATION_WINDOWS = 2048
_CALIBRATION_WINDOWS = 512
_FAR = 8.0
"""Deviations of a series in training: a window whose mean lies further off is nothing that a network has learnt."""


def learn_layout(options: ForecastOptions, found: TrainingData) -> Layout:
    """What a window holds, from the rows that training forecasts."""
    # Counts keep their own scale: a negative binomial needs their mean.
    logarithm = False if options.output == "negative_binomial" else options.logarithm
    layout = Layout.learn(
        found.data,
        found.split.train,
        found.context,
        options.horizon,
        calendar=options.calendar,
        logarithm=logarithm,
        measured=options.measure_seasons,
    )
    if layout.logarithm and any((series.target < 0).any() for series in found.data):
        logger.warning(
            "the target is below 0 in validation rows alone, and a logarithm takes these values for 0; "
            "--no-logarithm keeps them"
        )
    _say_constants(found)
    return layout


def _say_constants(found: TrainingData) -> None:
    """Names the covariates from which nothing can be learnt."""
    data, stops = found.data, [stop for _, stop in found.split.train]
    columns: dict[str, list[FloatArray]] = {}
    for names, parts in ((data.past, [s.past for s in data]), (data.known, [s.known for s in data])):
        for j, name in enumerate(names):
            columns[name] = [part[:stop, j] for part, stop in zip(parts, stops, strict=True)]
    constant = []
    for name, parts in columns.items():
        values = np.concatenate(parts)
        values = values[np.isfinite(values)]
        if not len(values) or values.min() == values.max():
            constant.append(name)
    if constant:
        logger.warning(
            f"nothing can be learnt from what does not change: in the training rows {names_shown(constant)} "
            f"{'has' if len(constant) == 1 else 'have'} one value or none"
        )


def window_batches(
    options: ForecastOptions, found: TrainingData, layout: Layout
) -> tuple[DrawnWindows, OrderedWindows | None]:
    """Windows to train on, drawn at random, and windows to validate on, evenly spaced."""
    if options.level_walk and options.output == "negative_binomial":
        raise OptionError("--level-walk: counts do not wander; expected 0 beside --output negative_binomial")
    train = found.split.train
    windows = Windows(found.data, layout)
    drawn = DrawnWindows(
        windows, train, options.batch_size, options.batches_per_epoch, options.seed, options.level_walk
    )
    if found.valid is None:
        return drawn, None
    return drawn, OrderedWindows(windows, found.split.valid, WINDOWS_AT_ONCE, _VALIDATION_WINDOWS)


def all_windows(options: ForecastOptions, found: TrainingData, train: DrawnWindows) -> Callable[[int], DrawnWindows]:
    """Batches of windows of the training and the validation rows, for any number of steps."""
    pairs = zip(found.split.train, found.split.valid, strict=True)
    rows = [(first, max(stop, end)) for (first, stop), (_, end) in pairs]
    return lambda steps: DrawnWindows(train.windows, rows, options.batch_size, steps, options.seed, options.level_walk)


def build_network(options: ForecastOptions, layout: WindowLayout) -> Forecaster:
    """A network with fresh weights."""
    shape = RecurrentShape.of(options)
    return Forecaster(shape, layout, head=options.head, output=options.output, members=options.members)


def calibrate(options: ForecastOptions, network: Forecaster, valid: OrderedWindows) -> None:
    """Fits to the validation windows how much of a recent bias lasts, and how wide the intervals have to be."""
    chosen = np.unique(np.linspace(0, len(valid.rows) - 1, _CALIBRATION_WINDOWS).round().astype(np.int64))
    series, rows = valid.series[chosen], valid.rows[chosen]
    # Counts are forecast as whole distributions from 0 on: nothing is added to them.
    corrects = options.bias_correction and not network.output.counts
    bias = bias_before(network, valid.windows, series, rows) if corrects else None
    days = valid.rows_covered / network.layout.horizon
    network.calibrate(*valid.windows.at(series, rows), bias, days, widen=options.calibrate)


def forecast_with(
    network: Any, layout: Layout, unseen: Callable[[SeriesSet], npt.NDArray[np.int64]] | None = None
) -> ForecastFunction:
    """Forecasts at any origins, a few hundred windows at a time.

    Args:
        network: the forecaster.
        layout: what a window holds.
        unseen: gives (series,) the first row of each that training did not see, as `Past.unseen` does. The intervals
            then follow how the forecasts of later rows did; None: they stay as `calibrate` made them.
    """

    def forecast(data: SeriesSet, origins: Origins) -> Forecasts:
        windows = Windows(data, layout)
        mean = np.empty((len(origins), layout.horizon))
        quantiles = np.empty((len(origins), layout.horizon, len(LEVELS)))
        level = np.empty(len(origins))
        first_unseen = unseen(data) if unseen is not None else None
        bias, width = bias_and_width_before(network, windows, origins.series, origins.rows, first_unseen)
        for first in range(0, len(origins), WINDOWS_AT_ONCE):
            part = slice(first, first + WINDOWS_AT_ONCE)
            batch, scale = windows.at(origins.series[part], origins.rows[part])
            level[part] = batch["level"].numpy()
            found = network.predict(
                batch, scale, *(None if values is None else values[part] for values in (bias, width))
            )
            mean[part], quantiles[part] = (values.numpy() for values in found)
        lost = ~np.isfinite(quantiles).all((1, 2)) | ~np.isfinite(mean).all(1)
        if lost.any():
            series = data.series[int(origins.series[int(lost.argmax())])].id
            raise DataError(
                f"the forecast of series '{series}' is not a finite number: the model has seen no values like its own",
                hint="Give the values in a larger unit, train longer, or take another --output",
            )
        _say_far(data, origins.series[np.abs(level) > _FAR])
        return Forecasts(mean, quantiles)

    return forecast


def _say_far(data: SeriesSet, numbers: npt.NDArray[np.int64]) -> None:
    """Names a series that is not what it was in training: another one under its name, or in another unit."""
    far = np.unique(numbers)
    if len(far):
        logger.warning(
            f"{len(far)} of {len(data)} series {'is' if len(far) == 1 else 'are'} far from the values in training, "
            f"such as '{data.series[far[0]].id}': do not rely on these forecasts. Check the unit and the name"
        )
