"""The task `forecast`: from tables of one or thousands of series to quantiles of their future."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import ValidationInfo, field_validator, model_validator

from steploom.data.name_list import split_names
from steploom.errors import OptionError
from steploom.tasks.task import TARGET, Evaluation, Files, MetricLabel, Prediction, Prepared, Task, only_file
from steploom.training.option_errors import flag
from steploom.training.options import Options, TrainOptions, option

if TYPE_CHECKING:
    from steploom.data.batches import Batches
    from steploom.data.series.window_batches import DrawnWindows
    from steploom.data.series.window_layout import Layout
    from steploom.models.network import Network
    from steploom.tasks.forecast.backtest import ForecastFunction
    from steploom.tasks.forecast.past import Past

__all__ = ["EvaluateOptions", "Forecast", "ForecastOptions", "PredictOptions"]


class ForecastOptions(TrainOptions):
    """The options of `steploom train forecast`."""

    cell: str = option("gru", "cell: a name from `steploom cells`, or package.module:Class", common=True)
    hidden_size: int = option(64, "units of the cell (lstm-projected: of its memory)", common=True, ge=1)
    dropout: float = option(0.2, "share of the values dropped after each recurrent layer", common=True, ge=0, lt=1)
    epochs: int = option(24, "epochs, each of `batches_per_epoch` batches", common=True, ge=1)
    batch_size: int = option(128, "windows a step", common=True, ge=1)
    lr: float = option(3e-3, "learning rate", common=True, gt=0)
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"] = option("adamw", "optimiser", common=True)
    weight_decay: float = option(0.01, "L2 penalty (adamw: decoupled decay)", ge=0)
    schedule: Literal["constant", "cosine", "linear", "exponential", "step", "plateau"] = option(
        "cosine", "how the learning rate changes", common=True
    )
    warmup: int = option(30, "steps in which the learning rate rises from 0", ge=0)
    patience: int = option(8, "stop after so many epochs without a better validation loss; 0: never", common=True, ge=0)
    average: float = option(0.99, "decay of a running mean of the weights, for example 0.999; 0: none", ge=0, lt=1)

    target: tuple[str, ...] = option(
        (), "column to forecast, or several: a,b; with a comma in its name: '\"a,b\"'", common=True
    )
    horizon: int = option(..., "steps to forecast", common=True, ge=1)
    context: int | None = option(
        None, "steps a forecast looks back; else from frequency and horizon", common=True, ge=1
    )
    time: tuple[str, ...] = option((), "time column, or year,month,day,hour; else found", common=True)
    series: str | None = option(None, "column that names the series, where a table holds several", common=True)
    past_covariates: tuple[str, ...] = option((), "columns known up to now", common=True)
    known_covariates: tuple[str, ...] = option((), "columns known ahead, over the horizon", common=True)
    static: tuple[str, ...] = option((), "columns of categories, constant in each series")
    calendar: bool = option(True, "whether time of day, week and year are features")
    measure_seasons: bool = option(False, "measure season lengths in the data, for clocks that drift")
    level_walk: float = option(0.0, "how far the level of training windows wanders over a horizon, such as 0.05", ge=0)
    logarithm: bool | None = option(
        None, "scale the target with a logarithm; else where no value is below 0 and at most a tenth are 0"
    )
    members: int = option(3, "networks trained side by side, whose quantiles are averaged", ge=1, le=100)
    batches_per_epoch: int = option(25, "batches of windows an epoch draws", ge=1)
    refit: bool = option(True, "train anew on training and validation rows for as long as was best")
    frequency: str | None = option(None, "step of the data, such as 15min, h, D, MS; else found")
    valid_share: float = option(0.1, "share of each series' time, at its end, for validation", ge=0, le=0.5)
    skip_short: bool = option(False, "leave out series with fewer rows than context and horizon need")
    head: Literal["direct", "autoregressive"] = option(
        "direct", "the whole horizon at once, or step by step", common=True
    )
    output: Literal["quantile", "gaussian", "student_t", "negative_binomial"] = option(
        "quantile", "what the network says about a value", common=True
    )
    calibrate: bool = option(True, "fit the width of intervals to the validation part, then to recent forecasts")
    bias_correction: bool = option(True, "move forecasts by the part of the last ones' bias that lasts")

    @model_validator(mode="after")
    def _layers(self) -> Self:
        if self.bidirectional and self.head == "autoregressive":
            raise OptionError(
                "--bidirectional: --head autoregressive forecasts a row from those before it, and backwards it would "
                "have read that row already. Take --head direct"
            )
        if self.residual and self.num_layers == 1:
            raise OptionError("--residual: a single layer has nothing to add to. Give --num-layers 2 or more")
        return self

    @field_validator("target", "time", "past_covariates", "known_covariates", "static", mode="before")
    @classmethod
    def _names(cls, value: Any, field: ValidationInfo) -> Any:
        """A single text is a list separated by commas."""
        if isinstance(value, str):
            return split_names(value, flag(field.field_name or ""))
        return tuple(value) if isinstance(value, (list, tuple)) else value


class EvaluateOptions(Options):
    """The options of `steploom evaluate` for a forecaster."""

    origin_every: int | None = option(None, "steps between two origins; else the horizon", common=True, ge=1)
    history: Path | None = option(None, "file with what came before DATA: context, not scored", common=True)
    start: str | None = option(None, "first origin, a time; else the first row of DATA", common=True)


class PredictOptions(Options):
    """The options of `steploom predict` for a forecaster: none."""


class Forecast(Task):
    """Forecasts of time series with quantiles."""

    name: ClassVar[str] = "forecast"
    summary: ClassVar[str] = "forecast time series: CSV or Parquet tables in, quantiles of the next values out"
    metrics: ClassVar[Mapping[str, MetricLabel]] = {
        "mae": MetricLabel("MAE", TARGET, "lower"),
        "rmse": MetricLabel("RMSE", TARGET, "lower"),
        "mase": MetricLabel("MASE", "", "lower"),
        "wql": MetricLabel("quantile loss", "", "lower"),
        "coverage_80": MetricLabel("80 % coverage", "%", "near 80"),
    }
    TrainOptions: ClassVar[type[TrainOptions]] = ForecastOptions
    PredictOptions: ClassVar[type[Options]] = PredictOptions
    EvaluateOptions: ClassVar[type[Options]] = EvaluateOptions

    options: ForecastOptions
    _all_windows: Callable[[int], DrawnWindows] | None = None

    @classmethod
    def prepare(
        cls, options: ForecastOptions, train: Sequence[Path], valid: Sequence[Path] = (), test: Sequence[Path] = ()
    ) -> Prepared[Self]:
        """Reads and checks all files.

        The artefact `series` holds how tables are read and the end of each series, `windows` what a window holds.
        """
        from steploom.tasks.forecast.data import read_training_data, rule_of_later_files, say_what_is_tested
        from steploom.tasks.forecast.network import all_windows, learn_layout, window_batches

        valid_file, test_file = only_file(valid, "--valid"), only_file(test, "--test")
        found = read_training_data(options, train, valid_file, test_file)
        layout = learn_layout(options, found)
        if test_file is not None:
            say_what_is_tested(found.past, test_file, rule_of_later_files(options, layout.logarithm))
        task = cls(options, {"series": found.past.to_json(), "windows": layout.to_json()})
        train_batches, valid_batches = window_batches(options, found, layout)
        if options.refit and not valid and found.valid is not None:
            task._all_windows = all_windows(options, found, train_batches)
        return Prepared(task, train_batches, valid_batches, found.valid, found.test)

    @property
    def predicts_alone(self) -> bool:
        """It forecasts what follows the training data, unless that asks for covariates known ahead."""
        return not self.options.known_covariates

    def readers(self) -> dict[str, Callable[[Any], object]]:
        """The layout of a window must have the horizon of the options, and the columns and categories of the series."""
        from steploom.tasks.forecast.past import Past, check_layout

        return {
            "series": Past.from_json,
            "windows": lambda _: check_layout(self.layout, self.past, self.options.horizon),
        }

    @property
    def layout(self) -> Layout:
        """What a window of the series holds."""
        from steploom.data.series.window_layout import Layout

        return Layout.from_json(self.artefacts["windows"])

    @property
    def past(self) -> Past:
        """What is kept of the training data."""
        from steploom.tasks.forecast.past import Past

        return Past.from_json(self.artefacts["series"])

    def build(self) -> Network:
        """The network; its shape follows from the options and the training data's columns."""
        from steploom.tasks.forecast.network import build_network

        return build_network(self.options, self.layout)

    def finish(self, network: Any, prepared: Prepared[Any]) -> None:
        """Fits to the validation part how much of a recent bias lasts, and the width of the intervals."""
        from steploom.data.series.window_batches import OrderedWindows
        from steploom.tasks.forecast.network import calibrate

        fits = self.options.calibrate or self.options.bias_correction
        if fits and isinstance(prepared.valid, OrderedWindows):
            calibrate(self.options, network, prepared.valid)

    def refit_batches(self, prepared: Prepared[Any], steps: int) -> Batches | None:
        """Windows of the rows that were set aside too; not of those of a validation file."""
        return self._all_windows(steps) if self._all_windows is not None else None

    def _forecast_with(self, network: Any, past: Past, layout: Layout) -> ForecastFunction:
        """Forecasts at any origins, with intervals that follow how recent forecasts did, if they are calibrated."""
        from steploom.tasks.forecast.network import forecast_with

        # Where many values are 0, they miss by lying below; one factor would widen the other side in vain.
        follows = self.options.calibrate and not layout.nonnegative
        return forecast_with(network, layout, past.unseen if follows else None)

    def evaluate(self, network: Any, data: object, options: Any) -> Evaluation:
        """Scores forecasts at rolling origins beside the seasonal naive methods.

        Args:
            network: the trained network.
            data: files, or the validation or test part of `prepare`.
            options: which origins.
        """
        from steploom.tasks.forecast.backtest import Backtest, not_before, rolling_origins
        from steploom.tasks.forecast.data import read_source, rule_of_later_files
        from steploom.tasks.forecast.past import Source
        from steploom.tasks.forecast.table import forecast_frame, write_frame

        past, layout, horizon = self.past, self.layout, self.options.horizon
        if isinstance(data, Source):
            source = data
        elif isinstance(data, Files):
            only_file(data, "the series to score")
            rule = rule_of_later_files(self.options, layout.logarithm)
            source = read_source(past, data[0], options, layout.context, rule)
        else:
            raise OptionError(f"expected a file to evaluate on, found {type(data).__name__}")
        if options.start:
            source = not_before(source, options.start, layout.context, horizon)
        origins = rolling_origins(source.data, source.begins, layout.context, horizon, options.origin_every or horizon)
        backtest = Backtest.run(self._forecast_with(network, past, layout), source.data, origins, horizon)
        yardsticks = past.yardsticks_of(source)

        def write(path: Path) -> None:
            utc = past.learnt.zone is True
            write_frame(forecast_frame(source.data, origins, backtest.forecasts, backtest.actual, utc), path)

        return Evaluation(backtest.metrics(yardsticks), backtest.baselines(yardsticks), write)

    def predict(self, network: Any, data: Path | None, options: Any) -> Prediction:
        """The horizon after the end of each series of `data`, or of the training data."""
        from steploom.tasks.forecast.data import rule_of_later_files
        from steploom.tasks.forecast.prediction import predict_next
        from steploom.tasks.forecast.table import csv_text, write_frame

        past, layout = self.past, self.layout
        rule = rule_of_later_files(self.options, layout.logarithm)
        frame = predict_next(self._forecast_with(network, past, layout), past, layout, data, rule)
        return Prediction(csv_text(frame), lambda path: write_frame(frame, path), frame)

    def plot(self, network: Any, data: Sequence[Path], path: Path) -> None:
        """Draws the end of each series, the forecast of its last horizon beside what was measured, and the next one."""
        from steploom.tasks.forecast.data import rule_of_later_files
        from steploom.tasks.forecast.plot import plot_forecasts
        from steploom.tasks.forecast.prediction import forecasts_to_plot

        past, layout, file = self.past, self.layout, only_file(data, "plot")
        rule = rule_of_later_files(self.options, layout.logarithm)
        forecast = self._forecast_with(network, past, layout)
        plot_forecasts(forecasts_to_plot(forecast, past, layout, file, rule), path)

    def facts(self) -> dict[str, Any]:
        """What `steploom info` shows besides the options."""
        from steploom.data.series.frequency import name_for_people

        past = self.past
        return {
            "series": len(past.series),
            "frequency": name_for_people(past.learnt.frequency, (series.start for series in past.series)),
            "columns": ", ".join((past.layout.target, *past.layout.past, *past.layout.known)),
            "context": self.layout.context,
            "scaled with": "the logarithm" if self.layout.logarithm else "mean and deviation",
        }
