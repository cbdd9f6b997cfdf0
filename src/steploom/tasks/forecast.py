"""The task `forecast`: from tables of one or thousands of series to quantiles of their future."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import field_validator

from steploom.errors import OptionError
from steploom.tasks.task import Evaluation, Prediction, Prepared, Task
from steploom.training.options import Options, TrainOptions, option

if TYPE_CHECKING:
    from steploom.models.network import Network
    from steploom.tasks.forecast_past import Past

__all__ = ["EvaluateOptions", "Forecast", "ForecastOptions", "PredictOptions"]


class ForecastOptions(TrainOptions):
    """The options of `steploom train forecast`."""

    target: tuple[str, ...] = option((), "column to forecast; several in a table of a column a series", common=True)
    horizon: int = option(..., "steps to forecast", common=True, ge=1)
    context: int | None = option(
        None, "steps a forecast looks back; else from frequency and horizon", common=True, ge=1
    )
    time: tuple[str, ...] = option((), "time column, or year,month,day,hour; else found", common=True)
    series: str | None = option(None, "column that names the series, where a table holds several", common=True)
    past_covariates: tuple[str, ...] = option((), "columns known up to now", common=True)
    known_covariates: tuple[str, ...] = option((), "columns known ahead, over the horizon", common=True)
    static: tuple[str, ...] = option((), "columns of categories, constant in each series")
    frequency: str | None = option(None, "step of the data, such as 15min, h, D, MS; else found")
    valid_share: float = option(0.1, "share of each series' time, at its end, for validation", ge=0, le=0.5)
    head: Literal["direct", "autoregressive"] = option("direct", "how the horizon is forecast", common=True)
    output: Literal["quantile", "gaussian", "student_t", "negative_binomial"] = option(
        "quantile", "what the network gives", common=True
    )

    @field_validator("target", "time", "past_covariates", "known_covariates", "static", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        """A single text is a list separated by commas."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
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
    TrainOptions: ClassVar[type[TrainOptions]] = ForecastOptions
    PredictOptions: ClassVar[type[Options]] = PredictOptions
    EvaluateOptions: ClassVar[type[Options]] = EvaluateOptions

    options: ForecastOptions

    @classmethod
    def prepare(
        cls, options: ForecastOptions, train: Sequence[Path], valid: Path | None = None, test: Path | None = None
    ) -> Prepared[Self]:
        """Reads and checks all files. The artefact `series` holds how tables are read and the end of each series."""
        from steploom.tasks.forecast_data import read_training_data
        from steploom.tasks.forecast_network import window_batches

        found = read_training_data(options, train, valid, test)
        task = cls(options, {"series": {"context": found.context, **found.past.to_json()}})
        train_batches, valid_batches = window_batches(options, found)
        return Prepared(task, train_batches, valid_batches, found.valid, found.test)

    @property
    def context(self) -> int:
        """Rows a forecast looks back."""
        return int(self.artefacts["series"]["context"])

    @property
    def past(self) -> Past:
        """What is kept of the training data."""
        from steploom.tasks.forecast_past import Past

        return Past.from_json(self.artefacts["series"])

    def build(self) -> Network:
        """The network; its shape follows from the options and the training data's columns."""
        from steploom.tasks.forecast_network import build_network

        return build_network(self.options, self.context, self.past)

    def finish(self, network: Any, prepared: Prepared[Any]) -> None:
        """Calibrates the quantiles on the validation part."""

    def evaluate(self, network: Any, data: object, options: Any) -> Evaluation:
        """Scores forecasts at rolling origins beside the seasonal naive methods.

        Args:
            network: the trained network.
            data: a file, or the validation or test part of `prepare`.
            options: which origins.
        """
        from steploom.tasks.forecast_backtest import Backtest, rolling_origins, write_frame
        from steploom.tasks.forecast_data import read_source
        from steploom.tasks.forecast_network import forecast_with
        from steploom.tasks.forecast_past import Source

        past, horizon = self.past, self.options.horizon
        if isinstance(data, Source):
            source = data
        elif isinstance(data, Path):
            source = read_source(past, data, options, self.context)
        else:
            raise OptionError(f"expected a file to evaluate on, found {type(data).__name__}")
        origins = rolling_origins(source.data, source.begins, self.context, horizon, options.origin_every or horizon)
        backtest = Backtest.run(forecast_with(network, self.context, horizon), source.data, origins, horizon)
        scale = past.scale_of(source)
        return Evaluation(
            backtest.metrics(scale), backtest.baselines(scale), lambda path: write_frame(backtest.frame(), path)
        )

    def predict(self, network: Any, data: Path | None, options: Any) -> Prediction:
        """The horizon after the end of each series of `data`, or of the training data."""
        from steploom.tasks.forecast_backtest import csv_text, write_frame
        from steploom.tasks.forecast_prediction import predict_next

        frame = predict_next(network, self.past, data, self.context, self.options.horizon)
        return Prediction(csv_text(frame), lambda path: write_frame(frame, path), frame)

    def plot(self, network: Any, data: Path | None, path: Path) -> None:
        """Draws the end of each series, the forecast of its last horizon beside what was measured, and the next one."""
        from steploom.tasks.forecast_plot import plot_forecasts
        from steploom.tasks.forecast_prediction import forecasts_to_plot

        plot_forecasts(forecasts_to_plot(network, self.past, data, self.context, self.options.horizon), path)

    def facts(self) -> dict[str, Any]:
        """What `steploom info` shows besides the options."""
        past = self.past
        return {
            "series": len(past.series),
            "frequency": past.learnt.frequency,
            "columns": ", ".join((past.layout.target, *past.layout.past, *past.layout.known)),
            "context": self.context,
        }
