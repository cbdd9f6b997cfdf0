"""`steploom demo`."""

import re
from pathlib import Path

import pytest

from steploom.cli import demo
from tests.cli.conftest import Refused, Run

FILES = {"beijing-until-october.csv", "beijing-november-december.csv", "forecast.csv", "forecast.png", "model"}


def test_it_leaves_everything_in_its_folder_and_can_be_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "OPTIONS", {**demo.OPTIONS, **QUICK})
    for _ in range(2):
        result = run("demo")
        assert result.exit_code == 0, result.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["steploom-demo"]
        assert {path.name for path in (tmp_path / "steploom-demo").iterdir()} == FILES
        assert re.search(r"^metric +model +seasonal naive 24 +seasonal naive 168 +unit ", result.stdout, re.MULTILINE)
        assert max(map(len, result.stdout.split("\nThe same by hand:")[0].splitlines())) <= 80
        assert (tmp_path / "steploom-demo" / "forecast.png").read_bytes().startswith(b"\x89PNG")
    rows = (tmp_path / "steploom-demo" / "forecast.csv").read_text().splitlines()
    assert len(rows) == 25
    assert rows[1].startswith("pm2.5,2015-01-01 00:00:00,")


QUICK = {"epochs": 1, "batches_per_epoch": 2, "hidden_size": 4, "batch_size": 8}


def test_a_folder_with_something_else_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "thesis.txt").write_text("x")
    assert "no Steploom model; it stays as it is" in refused("demo", "-o", "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["model"]


@pytest.mark.slow
def test_the_model_is_better_than_seasonal_naive(tmp_path: Path, run: Run) -> None:
    result = run("demo", "-o", tmp_path / "demo")
    line = next(line for line in result.stdout.splitlines() if line.startswith("MAE"))
    model, *naive = map(float, re.findall(r"\d+\.\d+", line))
    assert model < 0.8 * min(naive)
