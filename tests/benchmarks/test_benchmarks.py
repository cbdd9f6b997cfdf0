"""The benchmarks run, refuse wrong results, and their figures mean what the tables say."""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"
NAMES = ["layers", "cells", "lengths", "memory", "streaming"]


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    import measure

    return measure


def run(*words: str | Path) -> str:
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_each_runs_on_a_tiny_point_and_fills_its_table(name: str, tmp_path: Path) -> None:
    results, page = tmp_path / "results", tmp_path / "page.md"
    if name == "memory" and not Path("/proc/self/status").exists():
        pytest.skip("this system does not tell a process its peak of memory")
    run(FOLDER / f"{name}.py", "--quick", "--threads", "1", "--results", results)
    measured = json.loads((results / f"{name}.json").read_text())
    assert measured["machine"]["threads"] == 1
    assert measured["records"]
    run(FOLDER / "table.py", "--results", results, "--page", page)
    assert page.read_text().count("\n| ") >= 1 + len(measured["records"]) - (name == "memory")


def test_a_wrong_result_is_no_result(measure: ModuleType) -> None:
    right = [torch.tensor([1.0, 2.0]), torch.tensor([3.0]), None]
    assert measure.check("sum", right, right) == 0
    with pytest.raises(SystemExit, match=r"sum is wrong: it differs from float64 by 5.0e-01"):
        measure.check("sum", [torch.tensor([1.0, 1.0]), torch.tensor([3.0]), None], right)
    for place in range(2):
        broken = [value.clone() if value is not None else None for value in right]
        broken[place][0] = float("nan")
        with pytest.raises(SystemExit, match="nan"):
            measure.check("sum", broken, right)


def test_the_figures_of_a_record(measure: ModuleType) -> None:
    times = {"steploom": 0.002, "torch": 0.003, "jax": 0.008, "sgemm": 2e-9 * measure.SGEMM**3 / 100}
    line = measure.record("lstm", (3, 2, 1, 4), "training", times, 1e-7, gflop=0.1)
    assert (line["fastest_peer"], line["ratio"]) == ("torch", pytest.approx(1.5))
    assert line["ratios"]["jax"] == pytest.approx(4)
    assert line["gflops"] == pytest.approx(50)
    assert line["share_of_sgemm"] == pytest.approx(0.5)


def test_the_sides_take_turns_and_a_median_is_taken(measure: ModuleType) -> None:
    order = []
    own = iter([9.0, 0.5, 0.5, 0.25, 0.5, 9.0, 9.0])

    def one() -> float:
        order.append("one")
        return next(own)

    def two() -> None:
        order.append("two")

    times = measure.alternate({"one": one, "two": two}, quick=True)
    # A warm-up; then a run before the one that counts, but not after one that took long.
    assert order == ["one", "two", "one", "one", "two", "two", "one", "two", "two", "one", "two", "two"]
    assert times["one"] == 0.5
    assert times["two"] < 0.1


def test_a_loss_is_printed(measure: ModuleType, tmp_path: Path) -> None:
    import table

    times = {"steploom": 0.004, "torch": 0.003, "sgemm": 0.001}
    line = measure.record("gru", (3, 2, 1, 4), "inference", times, 1e-7)
    assert "| gru | 3, 2, 1, 4 | inference | 4 | 3 | 0.75 |" in table.compared([line, line])
    assert "| gru | inference | torch | 0.75 | 0.75 | 2 |" in table.compared([line, line])


def test_what_has_no_peer_or_no_measured_error_has_empty_fields(
    measure: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    import table

    line = measure.record("own", (3, 2, 1, 4), "training", {"steploom": 0.004, "sgemm": 0.001}, None)
    assert (line["ratio"], line["ratios"], line["error"]) == (None, {}, None)
    measure.show(line)
    assert " ".join(capsys.readouterr().out.split()) == "own 3,2,1,4 training (steploom 4 ms)"
    assert "| own | 3, 2, 1, 4 | training | 4 |  |  |  |" in table.compared([line])


def test_figures_beside_another_one_go_with_it(measure: ModuleType, tmp_path: Path) -> None:
    def kept(*every: int) -> list[int]:
        lines = [{"name": "lstm", "point": (5, 1, 2, 3), "checkpoint_every": kind, "time_share": 1.0} for kind in every]
        file = measure.write(argparse.Namespace(results=tmp_path, quick=False), "memory", lines)
        return [line["checkpoint_every"] for line in json.loads(file.read_text())["records"]]

    assert kept(0, 2) == [0, 2]
    assert kept(0, 4) == [0, 4]  # what was measured with 2 is a share of a figure that is gone


def test_a_run_of_some_points_leaves_the_figures_of_the_others(measure: ModuleType, tmp_path: Path) -> None:
    def kept(*records: tuple[str, int, float], quick: bool = False) -> list[tuple[str, int, float]]:
        lines = [
            {"name": name, "point": (time, 1, 2, 3), "what": "training", "ratio": ratio}
            for name, time, ratio in records
        ]
        file = measure.write(argparse.Namespace(results=tmp_path, quick=quick), "layers", lines)
        return [(line["name"], line["point"][0], line["ratio"]) for line in json.loads(file.read_text())["records"]]

    assert kept(("lstm", 5, 1.0), ("gru", 5, 2.0)) == [("lstm", 5, 1.0), ("gru", 5, 2.0)]
    assert kept(("lstm", 7, 3.0), ("lstm", 5, 4.0)) == [("lstm", 5, 4.0), ("gru", 5, 2.0), ("lstm", 7, 3.0)]
    # Other conditions are not mixed with these.
    assert kept(("lstm", 7, 5.0), quick=True) == [("lstm", 7, 5.0)]
    (tmp_path / "layers.json").write_text("{")
    assert kept(("lstm", 7, 6.0)) == [("lstm", 7, 6.0)]
