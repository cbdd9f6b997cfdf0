"""Scores by hand, and against the published protocol on real data."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from steploom.models.outputs import LEVELS
from steploom.models.seasonal_naive import seasonal_naive
from steploom.tasks.forecast.metrics import forecast_metrics, mean_seasonal_change

NAN = np.nan


def test_by_hand() -> None:
    actual = np.array([[1.0, 2.0], [4.0, NAN]])
    median = np.array([[2.0, 2.0], [1.0, 9.0]])
    mean = np.array([[1.0, 4.0], [4.0, 9.0]])
    # Quantile k of 1..9 is the median plus k - 5.
    quantiles = median[:, :, None] + np.arange(-4, 5)
    metrics = forecast_metrics(actual, mean, quantiles, np.array([0, 1]), np.array([0.5, 3.0]))
    assert metrics["mae"] == pytest.approx((1 + 0 + 3) / 3)
    assert metrics["rmse"] == pytest.approx(np.sqrt(4 / 3))
    assert metrics["mase"] == pytest.approx(((0.5 / 0.5) + (3 / 3)) / 2)
    assert metrics["coverage_80"] == 1.0
    losses = []
    for i, q in enumerate(LEVELS):
        gaps = [a - m - (i - 4) for a, m in ((1, 2), (2, 2), (4, 1))]
        losses.append(2 * sum(max(q * g, (q - 1) * g) for g in gaps) / 7)
    assert metrics["wql"] == pytest.approx(np.mean(losses))


def test_coverage_counts_the_bounds() -> None:
    quantiles = np.tile(np.arange(1.0, 10.0), (1, 4, 1))
    metrics = forecast_metrics(
        np.array([[1.0, 9.0, 0.99, 9.01]]), np.full((1, 4), 5.0), quantiles, np.array([0]), np.ones(1)
    )
    assert metrics["coverage_80"] == 0.5


def test_a_point_forecast_has_no_coverage_and_its_wql_is_its_relative_error() -> None:
    metrics = forecast_metrics(np.array([[2.0, 6.0]]), np.array([[1.0, 9.0]]), None, np.array([0]), np.ones(1))
    assert metrics["wql"] == pytest.approx(4 / 8) and "coverage_80" not in metrics


def test_what_is_not_defined_is_left_out() -> None:
    nothing = forecast_metrics(np.full((1, 2), NAN), np.ones((1, 2)), None, np.array([0]), np.ones(1))
    assert nothing == {}
    zeros = forecast_metrics(np.zeros((1, 2)), np.ones((1, 2)), None, np.array([0]), np.array([0.0]))
    assert set(zeros) == {"mae", "rmse"}


def test_a_series_without_scale_does_not_count_in_mase() -> None:
    actual, mean = np.array([[1.0], [1.0], [1.0]]), np.array([[2.0], [3.0], [9.0]])
    metrics = forecast_metrics(actual, mean, None, np.array([0, 1, 2]), np.array([1.0, 1.0, NAN]))
    assert metrics["mase"] == 1.5


def test_seasonal_change() -> None:
    assert mean_seasonal_change(np.array([1.0, 2, 4, NAN, 9]), 2) == pytest.approx((3 + 5) / 2)
    assert np.isnan(mean_seasonal_change(np.array([1.0, 2]), 24))


def test_equal_to_the_protocol(shared_data: Path, tmp_path: Path) -> None:
    script = shared_data.parent / "protocols" / "forecast.py"
    if not script.exists():
        pytest.skip(f"the protocol is not here: {script}")
    spec = importlib.util.spec_from_file_location("protocol", script)
    assert spec is not None and spec.loader is not None
    protocol = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(protocol)
    raw = pd.read_csv(shared_data / "beijing-pm25/PRSA_data_2010.1.1-2014.12.31.csv")
    raw.index = pd.to_datetime(raw[["year", "month", "day", "hour"]])
    wide = pd.DataFrame({"pm": raw["pm2.5"], "dew": raw["DEWP"] + 60.0}).loc["2014-01-02":"2014-06-20"].iloc[: 24 * 150]
    protocol.write_dataset(wide, tmp_path)
    train, test = protocol.load(tmp_path)
    rng = np.random.default_rng(0)
    rows, parts = [], {"actual": [], "mean": [], "quantiles": [], "series": []}
    scale = []
    truth = protocol.read_part(tmp_path / "truth.csv").set_index(["unique_id", "ds"])["y"]
    names = list(train["unique_id"].unique())
    for number, name in enumerate(names):
        before = train[train["unique_id"] == name]["y"].to_numpy()
        after = test[test["unique_id"] == name]
        series = np.r_[before, after["y"].to_numpy()]
        scale.append(mean_seasonal_change(before, 24))
        for origin in protocol.origins(test):
            row = len(before) + int(np.flatnonzero(after["ds"] == origin)[0])
            mean = seasonal_naive(series, np.array([row]), 24, 24)[0]
            quantiles = np.sort(mean[:, None] + rng.normal(scale=20, size=(24, 9)), axis=1)
            times = pd.date_range(origin, periods=24, freq="h")
            parts["actual"].append([truth.get((name, t), NAN) for t in times])
            parts["mean"].append(mean)
            parts["quantiles"].append(quantiles)
            parts["series"].append(number)
            rows += [(name, origin, t, m, *q) for t, m, q in zip(times, mean, quantiles, strict=True)]
    predictions = pd.DataFrame(rows, columns=["unique_id", "origin", "ds", "mean", *protocol.Q_COLUMNS])
    expected = protocol.score(tmp_path, predictions)
    found = forecast_metrics(
        np.array(parts["actual"]),
        np.array(parts["mean"]),
        np.array(parts["quantiles"]),
        np.array(parts["series"]),
        np.array(scale),
    )
    assert found["coverage_80"] == pytest.approx(expected["coverage80"], rel=1e-12)
    for name in ("mae", "rmse", "mase", "wql"):
        assert found[name] == pytest.approx(expected[name], rel=1e-12)


@pytest.mark.parametrize("size", [1e300, 1e-300, 1.7e308])
def test_huge_and_tiny_values_have_the_scores_of_usual_ones(size: float) -> None:
    rng = np.random.default_rng(0)
    actual, mean = rng.uniform(-1, 1, (2, 3, 4))
    quantiles = np.sort(rng.uniform(-1, 1, (3, 4, 9)), axis=2)
    number, scale = np.array([0, 0, 1]), np.array([0.5, 0.25])
    usual = forecast_metrics(actual, mean, quantiles, number, scale)
    other = forecast_metrics(size * actual, size * mean, size * quantiles, number, size * scale)
    for name, value in usual.items():
        assert other[name] == pytest.approx(value * (size if name in ("mae", "rmse") else 1), rel=1e-9, abs=0)
