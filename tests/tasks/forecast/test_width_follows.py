"""Intervals of a trained model that follow how its recent forecasts did, from files to scores."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

import steploom
from steploom.tasks.forecast import network
from steploom.tasks.forecast.past import Past

QUICK = {"members": 1, "hidden_size": 8, "batches_per_epoch": 6, "warmup": 0, "context": 24, "progress": False}


class Trained(NamedTuple):
    """A model, the file it was trained on, one whose noise is twice as large, and another series of that noise."""

    model: Any
    train: Path
    later: Path
    other: Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("follows")
    noise = 5 * np.random.default_rng(0).normal(size=1300)
    noise[700:] *= 2
    whole = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2020-01-01", periods=1300, freq="h")})
    whole["y"] = 100 + noise
    whole[:700].to_csv(path / "train.csv", index=False)
    whole[700:].to_csv(path / "later.csv", index=False)
    whole[700:].assign(unique_id="new").to_csv(path / "other.csv", index=False)
    return path


def trained(folder: Path, name: str, **options: object) -> Trained:
    files = (folder / f"{file}.csv" for file in ("train", "later", "other"))
    model = steploom.train("forecast", folder / "train.csv", folder / name, **{**QUICK, "horizon": 12, **options})
    return Trained(model, *files)


@pytest.fixture(scope="module")
def plain(folder: Path) -> Trained:
    return trained(folder, "plain", epochs=6)


def never(monkeypatch: pytest.MonkeyPatch) -> None:
    """The intervals stay as wide as the validation part made them."""
    follows = network.forecast_with
    monkeypatch.setattr(network, "forecast_with", lambda trained, layout, unseen: follows(trained, layout))


def test_noise_that_doubles_is_soon_covered(plain: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scored from the seventh day on, when 14 forecasts have been made of it."""
    found = plain.model.evaluate(plain.later, start="2020-02-06")
    assert plain.model.evaluate(plain.later, start="2020-02-06", history=plain.train).metrics == found.metrics
    never(monkeypatch)
    without = plain.model.evaluate(plain.later, start="2020-02-06")
    assert without.metrics["coverage_80"] < 0.5
    assert 0.7 < found.metrics["coverage_80"] < 0.8
    assert found.metrics["wql"] < without.metrics["wql"]
    assert found.metrics["mae"] == pytest.approx(without.metrics["mae"], rel=1e-5), "the median stays"


def test_a_forecast_after_new_rows_is_as_wide_as_they_ask(plain: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    found = plain.model.predict(plain.later).value
    never(monkeypatch)
    without = plain.model.predict(plain.later).value
    lengths, lengths_without = (frame["q0.9"] - frame["q0.1"] for frame in (found, without))
    assert (lengths > 1.3 * lengths_without).all()


def test_of_a_series_that_training_never_saw_all_forecasts_count(
    plain: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = plain.model.evaluate(plain.other).metrics, plain.model.predict(plain.other).value
    never(monkeypatch)
    without = plain.model.evaluate(plain.other).metrics, plain.model.predict(plain.other).value
    assert abs(found[0]["coverage_80"] - 0.8) < abs(without[0]["coverage_80"] - 0.8) - 0.01
    lengths, lengths_without = (frame["q0.9"] - frame["q0.1"] for _, frame in (found, without))
    assert (lengths > 1.01 * lengths_without).all()


def test_nothing_changes_right_after_training(plain: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    def said() -> list[object]:
        model, train = plain.model, plain.train
        return [model.predict().text, model.predict(train).text, model.evaluate(train, start="2020-01-20").metrics]

    found = said()
    never(monkeypatch)
    assert said() == found


def test_the_scores_of_the_validation_part_are_those_of_the_network(
    plain: Trained, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never(monkeypatch)
    again = trained(folder, "again", epochs=6)
    assert again.model.report["validation"] == plain.model.report["validation"]


def test_without_calibration_nothing_is_spread(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(self: Past, data: object) -> None:
        raise AssertionError("no width was asked for")

    monkeypatch.setattr(Past, "unseen", asked)
    found = trained(folder, "uncalibrated", epochs=1, calibrate=False)
    found.model.predict(found.later)
    found.model.evaluate(found.later)
    found.model.plot(folder / "later.png", found.later)


def test_values_that_are_mostly_0_keep_their_width(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They miss by lying below an interval that cannot reach them: its other side would be widened in vain."""
    counts = pd.read_csv(folder / "train.csv")
    counts["y"] = np.random.default_rng(0).poisson(0.15, len(counts))
    counts.to_csv(folder / "counts.csv", index=False)
    options = {**QUICK, "horizon": 12, "epochs": 1}
    model = steploom.train("forecast", folder / "counts.csv", folder / "counts", **options)
    later = pd.read_csv(folder / "later.csv")
    later["y"] = np.random.default_rng(1).poisson(0.6, len(later))
    later.to_csv(folder / "counts_later.csv", index=False)
    found = model.evaluate(folder / "counts_later.csv").metrics
    never(monkeypatch)
    assert model.evaluate(folder / "counts_later.csv").metrics == found


def test_it_needs_no_validation_part(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = trained(folder, "all", epochs=1, valid_share=0)
    assert found.model.network.widening == 1 and found.model.network.lasting == 0
    with_width = found.model.evaluate(found.later).metrics["coverage_80"]
    never(monkeypatch)
    without = found.model.evaluate(found.later).metrics["coverage_80"]
    assert abs(with_width - 0.8) < abs(without - 0.8) - 0.05
