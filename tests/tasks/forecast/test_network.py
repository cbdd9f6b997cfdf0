"""The forecast task with its network, from a file to scores: small, so that it takes seconds."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import steploom
from steploom.errors import DataError
from steploom.models.forecaster import Forecaster
from steploom.tasks.forecast.task import Forecast, ForecastOptions

QUICK = {"horizon": 12, "members": 1, "hidden_size": 8, "batches_per_epoch": 6, "epochs": 2, "progress": False}


def table(folder: Path, count: int = 700) -> Path:
    times = pd.date_range("2020-01-01", periods=count, freq="h")
    hour = np.arange(count)
    noise = np.random.default_rng(0).normal(size=count)
    y = 100 + 50 * np.sin(2 * np.pi * hour / 24) + 5 * noise
    y[50:60] = np.nan
    pd.DataFrame({"ds": times, "y": y}).to_csv(folder / "y.csv", index=False)
    return folder / "y.csv"


def weights(model: object) -> dict[str, torch.Tensor]:
    """All but what is fitted to the validation part."""
    state = model.network.state_dict()  # type: ignore[attr-defined]
    return {name: value for name, value in state.items() if name not in ("widening", "lasting")}


def test_training_anew_learns_from_the_validation_rows_and_is_repeatable(tmp_path: Path) -> None:
    file = table(tmp_path)
    models = {
        name: steploom.train("forecast", file, tmp_path / name, **QUICK, **options)
        for name, options in {"one": {}, "two": {}, "without": {"refit": False}}.items()
    }
    one, two, without = (weights(m) for m in models.values())
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], without[name]) for name in one)
    # The validation part is scored before it is learnt from.
    assert models["one"].report["validation"] == models["without"].report["validation"]
    loaded = steploom.load(tmp_path / "one")
    assert torch.equal(loaded.network.widening, models["one"].network.widening)
    assert torch.equal(loaded.network.lasting, models["one"].network.lasting)
    assert loaded.predict().text == models["one"].predict().text


def test_a_validation_file_is_not_learnt_from(tmp_path: Path) -> None:
    frame = pd.read_csv(table(tmp_path))
    frame[:600].to_csv(tmp_path / "train.csv", index=False)
    frame[600:].to_csv(tmp_path / "valid.csv", index=False)
    files = {"data": tmp_path / "train.csv", "valid": tmp_path / "valid.csv"}
    first = steploom.train("forecast", out=tmp_path / "a", **files, **QUICK)
    second = steploom.train("forecast", out=tmp_path / "b", **files, **QUICK, refit=False)
    one, two = weights(first), weights(second)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_intervals_are_calibrated_on_request(tmp_path: Path) -> None:
    file = table(tmp_path)
    plain = steploom.train("forecast", file, tmp_path / "plain", **QUICK, calibrate=False)
    fitted = steploom.train("forecast", file, tmp_path / "fitted", **QUICK)
    assert plain.network.widening == 1
    assert fitted.network.widening != 1


def test_a_level_that_moves_on_is_followed(tmp_path: Path) -> None:
    """Behind the training data the day falls by a twentieth each day, which no day of theirs did."""
    file = table(tmp_path)
    options = {**QUICK, "horizon": 24, "epochs": 8}
    model = steploom.train("forecast", file, tmp_path / "m", **options)
    without = steploom.train("forecast", file, tmp_path / "without", **options, bias_correction=False)
    assert model.network.lasting > 0 and without.network.lasting == 0
    frame = pd.read_csv(file)
    after = frame.tail(240).copy()
    after["ds"] = pd.date_range(pd.Timestamp(frame.ds.iloc[-1]) + pd.Timedelta("1h"), periods=240, freq="h")
    after["y"] *= 0.95 ** (np.arange(240) / 24)
    after.to_csv(tmp_path / "after.csv", index=False)
    scores = [m.evaluate(tmp_path / "after.csv").metrics for m in (model, without)]
    assert scores[0]["wql"] < 0.97 * scores[1]["wql"]
    # The end of the training data that the model keeps is all that the first of these forecasts looks at.
    again = model.evaluate(tmp_path / "after.csv", history=file).metrics
    assert again == scores[0]


@pytest.mark.parametrize("with_file", [False, True])
def test_the_validation_part_is_scored_before_the_intervals_are_fitted_to_it(tmp_path: Path, with_file: bool) -> None:
    frame = pd.read_csv(table(tmp_path))
    frame[:600].to_csv(tmp_path / "train.csv", index=False)
    frame[600:].to_csv(tmp_path / "after.csv", index=False)
    files = {"data": tmp_path / "train.csv", "valid" if with_file else "test": tmp_path / "after.csv"}
    plain = steploom.train("forecast", out=tmp_path / "plain", **files, **QUICK, calibrate=False)
    fitted = steploom.train("forecast", out=tmp_path / "fitted", **files, **QUICK)
    assert fitted.network.widening != 1
    assert fitted.report["validation"] == plain.report["validation"]
    # Other data are scored with the intervals of the model.
    if not with_file:
        assert fitted.report["test"] != plain.report["test"]
        again = steploom.load(tmp_path / "fitted").evaluate(tmp_path / "after.csv", history=tmp_path / "train.csv")
        assert again.metrics == fitted.report["test"]["metrics"]


@pytest.mark.parametrize("head", ["direct", "autoregressive"])
@pytest.mark.parametrize("output", ["gaussian", "negative_binomial"])
def test_heads_and_outputs(tmp_path: Path, head: str, output: str) -> None:
    frame = pd.read_csv(table(tmp_path, 400)).round()
    frame.to_csv(tmp_path / "counts.csv", index=False)
    options = {**QUICK, "epochs": 1, "batches_per_epoch": 2, "context": 24}
    model = steploom.train("forecast", tmp_path / "counts.csv", tmp_path / "m", head=head, output=output, **options)
    next_ones = steploom.load(tmp_path / "m").predict().value
    assert len(next_ones) == 12 and np.isfinite(next_ones.select_dtypes("number")).all(axis=None)
    assert model.report["validation"]["metrics"]["mae"] > 0


def test_a_series_far_from_its_values_in_training_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Another sensor in a column of the same name, or the same one in another unit."""
    model = steploom.train("forecast", table(tmp_path, 400), tmp_path / "m", **QUICK)
    frame = pd.read_csv(table(tmp_path, 400))
    model.predict()
    target = frame.columns[-1]
    frame[target] *= 1.2
    frame.to_csv(tmp_path / "same.csv", index=False)
    model.predict(tmp_path / "same.csv")
    assert "far from the values in training" not in caplog.text
    frame[target] *= 1000
    frame.to_csv(tmp_path / "other.csv", index=False)
    model.predict(tmp_path / "other.csv")
    assert f"1 of 1 series is far from the values in training, such as '{target}'" in caplog.text


def test_what_the_network_is_follows_from_options_and_artefacts(tmp_path: Path) -> None:
    options = ForecastOptions.checked({"horizon": 12, "hidden_size": 8, "members": 2, "cell": "gru"})
    task = Forecast.prepare(options, [table(tmp_path)]).task
    again = Forecast(options, json.loads(json.dumps(task.artefacts, allow_nan=False)))
    networks = [t.build() for t in (task, again)]
    assert all(isinstance(n, Forecaster) for n in networks)
    shapes = [{name: tuple(v.shape) for name, v in n.state_dict().items()} for n in networks]
    assert shapes[0] == shapes[1]
    assert networks[0].layout == networks[1].layout  # type: ignore[attr-defined]


def test_what_is_kept_gives_the_forecast_of_the_file_without_a_season_too(tmp_path: Path) -> None:
    days = pd.date_range("2020-01-01", periods=90, freq="3D")
    values = np.random.default_rng(0).normal(size=90).cumsum()
    pd.DataFrame({"ds": days, "y": values}).to_csv(tmp_path / "y.csv", index=False)
    model = steploom.train("forecast", tmp_path / "y.csv", tmp_path / "m", **QUICK, context=4)
    assert model.predict().text == model.predict(tmp_path / "y.csv").text


def test_a_forecast_that_is_no_number_is_refused(tmp_path: Path) -> None:
    model = steploom.train("forecast", table(tmp_path), tmp_path / "m", **QUICK)
    with torch.no_grad():
        next(model.network.parameters()).fill_(torch.nan)
    with pytest.raises(DataError, match=r"the forecast of series 'y' is not a finite number"):
        model.predict()
