"""From files through a small network to forecasts, for each head, output and kind of covariate."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import steploom
from steploom.errors import DataError, OptionError
from steploom.tasks.trained import TrainedModel

SMALL: dict[str, Any] = {
    "horizon": 6,
    "context": 24,
    "hidden_size": 8,
    "members": 1,
    "epochs": 1,
    "batches_per_epoch": 3,
    "batch_size": 16,
    "progress": False,
}


def shops(folder: Path, count: int = 200, future: int = 0) -> Path:
    """Two shops whose daily sales rise on promotions."""
    random = np.random.default_rng(0)
    frames = []
    for level, (shop, kind) in enumerate((("north", "big"), ("south", "small"))):
        promotion = random.integers(0, 2, count + future).astype(float)
        sales = np.round(20.0 * (2 - level) + 5 * promotion + random.poisson(5, count + future)).astype(float)
        sales[count:] = np.nan
        sales[30:33] = np.nan
        frames.append(
            pd.DataFrame(
                {
                    "shop": shop,
                    "day": pd.date_range("2023-01-01", periods=count + future),
                    "sales": sales,
                    "rain": random.normal(size=count + future),
                    "wind": random.choice(["N", "S"], count + future),
                    "promotion": promotion,
                    "kind": kind,
                }
            )
        )
    path = folder / f"shops{count}{future}.csv"
    pd.concat(frames).to_csv(path, index=False)
    return path


def trained(folder: Path, **options: Any) -> TrainedModel:
    columns = {"series": "shop", "target": "sales"}
    return steploom.train("forecast", shops(folder), folder / "model", **{**SMALL, **columns, **options})


def check(frame: pd.DataFrame, rows: int) -> None:
    """Forecasts are numbers, and quantiles rise."""
    values = frame.iloc[:, -10:].to_numpy(float)
    assert len(frame) == rows and np.isfinite(values).all()
    assert (np.diff(values[:, 1:], axis=1) >= -1e-9).all()


@pytest.mark.parametrize("head", ["direct", "autoregressive"])
@pytest.mark.parametrize("output", ["quantile", "gaussian", "student_t", "negative_binomial"])
def test_heads_and_outputs(tmp_path: Path, head: str, output: str) -> None:
    model = trained(tmp_path, head=head, output=output)
    assert set(model.report["validation"]["metrics"]) == {"mae", "rmse", "mase", "wql", "coverage_80"}
    assert set(model.report["validation"]["baselines"]) == {"seasonal_naive_7"}  # no row has one a year before it
    check(model.predict().value, 12)


def test_all_kinds_of_columns_and_a_loaded_model(tmp_path: Path) -> None:
    model = trained(
        tmp_path, past_covariates="rain,wind", known_covariates="promotion", static="kind", output="negative_binomial"
    )
    ahead = shops(tmp_path, future=6)
    expected = model.predict(ahead).value
    check(expected, 12)
    assert list(expected.columns[:3]) == ["shop", "day", "mean"]
    assert expected["day"].min() == pd.Timestamp("2023-07-20")
    loaded = steploom.load(tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.predict(ahead).value, expected)
    with pytest.raises(DataError, match="has no 'promotion' at 2023-07-20"):
        loaded.predict()
    loaded.plot(tmp_path / "plot.png", ahead)
    assert (tmp_path / "plot.png").stat().st_size > 20_000
    changed = pd.read_csv(ahead)
    changed.loc[changed["sales"].isna(), "promotion"] = 1 - changed["promotion"]
    changed.to_csv(tmp_path / "changed.csv", index=False)
    assert not np.allclose(loaded.predict(tmp_path / "changed.csv").value["mean"], expected["mean"])


def test_a_forecast_uses_nothing_from_its_origin_on(tmp_path: Path) -> None:
    """Whatever stands in the file from the last origin on, that origin's forecast stays the same."""
    model = trained(tmp_path, past_covariates="rain", known_covariates="promotion")
    frame = pd.read_csv(shops(tmp_path, 100))
    spoilt = frame.copy()
    late = spoilt["day"] >= "2023-04-05"
    spoilt.loc[late, ["sales", "rain"]] = 1e6
    files = {"frame.csv": frame, "spoilt.csv": spoilt}
    written = []
    for name, table in files.items():
        table.to_csv(tmp_path / name, index=False)
        evaluation = model.evaluate(tmp_path / name, start="2023-04-05")
        assert evaluation.write is not None
        evaluation.write(tmp_path / "out.csv")
        written.append(pd.read_csv(tmp_path / "out.csv").drop(columns="actual"))
    assert written[0]["origin"].unique().tolist() == ["2023-04-05"]
    pd.testing.assert_frame_equal(*written)


def test_a_series_that_training_never_saw(tmp_path: Path) -> None:
    model = trained(tmp_path)
    frame = pd.read_csv(shops(tmp_path, 60)).assign(shop=lambda t: t["shop"] + " new")
    frame.to_csv(tmp_path / "new.csv", index=False)
    check(model.predict(tmp_path / "new.csv").value, 12)
    assert model.evaluate(tmp_path / "new.csv").metrics["mae"] > 0


def test_it_learns(tmp_path: Path) -> None:
    """Promotions are half of the variance, and known ahead: a network that uses them beats last week's value."""
    model = trained(tmp_path, known_covariates="promotion", epochs=6, batches_per_epoch=20, hidden_size=16)
    validation = model.report["validation"]
    assert validation["metrics"]["mae"] < 0.75 * validation["baselines"]["seasonal_naive_7"]["mae"]


@pytest.mark.parametrize(
    "options",
    [
        {"bidirectional": True},
        {"num_layers": 2, "residual": True, "variational": True},
        {"zoneout": 0.1, "recurrent_dropout": 0.1, "head": "autoregressive"},
    ],
)
def test_the_layers_are_those_that_the_options_name(tmp_path: Path, options: dict[str, Any]) -> None:
    model = trained(tmp_path, **options)
    check(model.predict().value, 12)
    (head,) = model.network.heads
    layers = head.recurrent if "head" in options else head.encoder
    assert layers.bidirectional == options.get("bidirectional", False)
    assert layers.stack.residual == options.get("residual", False)
    assert (layers.stack.further_input_dropout > 0) == options.get("variational", False)
    assert layers.stack.recurrent_dropout == options.get("recurrent_dropout", 0)
    assert set(layers.stack.zoneout) == {options.get("zoneout", 0)}
    pd.testing.assert_frame_equal(steploom.load(tmp_path / "model").predict().value, model.predict().value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"bidirectional": True, "head": "autoregressive"},
            "--bidirectional: --head autoregressive forecasts a row from",
        ),
        ({"residual": True}, "--residual: .*--num-layers 2"),
    ],
)
def test_layers_that_cannot_be(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        trained(tmp_path, **options)
