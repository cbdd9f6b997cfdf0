"""`evaluate` on the files of the published protocol: the same origins, and the same scores."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from steploom.tasks.forecast import network as forecast_network
from steploom.tasks.forecast.task import EvaluateOptions, Forecast, ForecastOptions
from steploom.tasks.task import Files
from tests.tasks.forecast.stub_network import forecast_with


@pytest.fixture(scope="module")
def protocol(shared_data: Path) -> Any:
    script = shared_data.parent / "protocols" / "forecast.py"
    if not script.exists():
        pytest.skip(f"the protocol is not here: {script}")
    spec = importlib.util.spec_from_file_location("protocol", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folders(protocol: Any, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("protocol")
    protocol.make(shared_data, folder)
    return folder


@pytest.mark.parametrize(
    ("name", "series", "mae", "wql"),
    [
        ("isp-a", 1, 8.71e9, 0.173),
        ("abilene-total", 1, 298, 0.117),
        ("abilene-nodes", 12, 35.8, 0.164),
        ("beijing", 1, 67.7, 0.571),
    ],
)
def test_scores(
    protocol: Any,
    folders: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    series: int,
    mae: float,
    wql: float,
) -> None:
    """The stub forecasts as the seasonal naive of 24 hours, whose published figures are known."""
    monkeypatch.setattr(forecast_network, "forecast_with", forecast_with)
    folder = folders / name
    columns = {"series": "unique_id", "time": "ds", "target": "y"}
    options = ForecastOptions.checked({"horizon": 24, "context": 168, **columns})
    task = Forecast.prepare(options, [folder / "train.csv"]).task
    assert len(task.past.series) == series
    texts = []
    for history in (None, folder / "train.csv"):
        evaluation = task.evaluate(
            None, Files([folder / "test.csv"]), EvaluateOptions(origin_every=24, history=history)
        )
        assert evaluation.write is not None
        evaluation.write(tmp_path / "predictions.csv")
        texts.append((tmp_path / "predictions.csv").read_text())
    assert texts[0] == texts[1]
    score = protocol.score(folder, tmp_path / "predictions.csv")
    assert score["mae"] == pytest.approx(mae, rel=0.005)
    naive = evaluation.baselines["seasonal_naive_24"]
    assert naive["mae"] == pytest.approx(evaluation.metrics["mae"])
    assert 0.78 < naive["coverage_80"] < 0.92
    if name != "beijing":  # its test file holds filled hours, which the protocol does not score
        assert naive["wql"] == pytest.approx(wql, rel=0.005)
        for metric in ("mae", "rmse", "mase", "wql"):
            assert evaluation.metrics[metric] == pytest.approx(score[metric], rel=1e-6)
        assert evaluation.metrics["coverage_80"] == pytest.approx(score["coverage80"], rel=1e-6)
