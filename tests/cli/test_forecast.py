"""A forecaster through the command line: train, predict, evaluate, info, plot."""

import json
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Refused, Run, rewrite, train_in
from tests.docs.files import write_files

OPTIONS = ["--horizon", "12", "--context", "48", "--epochs", "1", "--hidden-size", "8", "--batch-size", "16"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model in `model`, what it was trained on, and what `train` printed in stdout.json."""
    folder = tmp_path_factory.mktemp("forecast")
    write_files(folder)
    head, *rows = (folder / "power.csv").read_text().splitlines(keepends=True)
    (folder / "past.csv").write_text(head + "".join(rows[:-240]))
    (folder / "later.csv").write_text(head + "".join(rows[-240:]))
    return train_in(folder, "forecast", "past.csv", "--test", "later.csv", *OPTIONS)


def test_train_prints_one_json_object(trained: Path) -> None:
    (line,) = (trained / "stdout.json").read_text().splitlines()
    printed = json.loads(line)
    assert (printed["task"], printed["model"], printed["data"]) == ("forecast", "model", ["past.csv"])
    for part in ("validation", "test"):
        assert set(printed[part]["metrics"]) >= {"mae", "rmse", "mase", "wql", "coverage_80"}
        assert "seasonal_naive_24" in printed[part]["baselines"]


def test_predict_goes_on_from_the_training_data_or_from_a_file(model: Path, run: Run) -> None:
    head, first, *_ = run("predict", model).stdout.splitlines()
    assert head == "unique_id,time,mean,q0.1,q0.2,q0.3,q0.4,q0.5,q0.6,q0.7,q0.8,q0.9"
    assert first.startswith("load,2024-02-20 00:00:00,")
    later = run("predict", model, "later.csv", "-o", "next.csv")
    assert (later.exit_code, later.stdout) == (0, "")
    rows = Path("next.csv").read_text().splitlines()
    assert len(rows) == 13
    assert rows[1].startswith("load,2024-03-01 00:00:00,")


def test_evaluate_prints_one_json_object_and_writes_what_it_scored(model: Path, run: Run) -> None:
    result = run("evaluate", model, "later.csv", "--origin-every", 24, "--json", "-o", "scored.csv")
    assert result.exit_code == 0, result.stderr
    (line,) = result.stdout.splitlines()
    printed = json.loads(line)
    assert printed["metrics"]["mae"] > 0
    assert printed["baselines"]["seasonal_naive_24"]["mae"] > 0
    head, *rows = Path("scored.csv").read_text().splitlines()
    assert head == "unique_id,origin,time,actual,mean,q0.1,q0.2,q0.3,q0.4,q0.5,q0.6,q0.7,q0.8,q0.9"
    assert len(rows) == 10 * 12


def test_evaluate_prints_a_table(model: Path, run: Run) -> None:
    lines = run("evaluate", model, "later.csv").stdout.splitlines()
    assert lines[0] == "model on later.csv"
    assert any(line.startswith("MAE ") for line in lines)
    assert all(len(line) <= 80 for line in lines)


def test_what_to_type_next_can_be_typed(trained: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)
    printed = run("train", "forecast", "past.csv", "-o", "my model", *OPTIONS, "--members", 1).stdout.splitlines()
    (predict,) = (line for line in printed if line.startswith("  steploom predict "))
    assert run(*shlex.split(predict)[1:]).exit_code == 0


def test_info_and_plot(model: Path, run: Run) -> None:
    printed = json.loads(run("info", model, "--json").stdout)
    assert printed["task"] == "forecast"
    assert printed["options"]["horizon"] == 12
    assert run("plot", model, "later.csv", "-o", "later.png").exit_code == 0
    assert Path("later.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("command", [["predict"], ["evaluate"], ["plot"]])
def test_a_full_disk(model: Path, run: Run, command: list[str]) -> None:
    result = run(*command, model, "later.csv", "-o", "/dev/full")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.endswith("No space left on device. Make room there, or write to another place.\n")
    assert "Traceback" not in result.stderr


def test_a_picture_with_an_unknown_ending(model: Path, refused: Refused) -> None:
    assert "expected the name of a picture, which ends in .png" in refused("plot", model, "-o", "later.txt")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "the file is empty"),
        ("time,load\n", "no row"),
        ("time,laod\n2024-03-01,5\n", "'load'"),
        ("time,load\n2024-03-01 00:00,x\n", "row 2, column 'load'"),
        ("time,load\n2024-03-01 00:00,1\n2024-03-01 00:00,2\n", "stands twice"),
    ],
)
@pytest.mark.parametrize("command", ["predict", "evaluate", "plot"])
def test_bad_data_for_a_trained_model(model: Path, refused: Refused, command: str, content: str, words: str) -> None:
    Path("bad.csv").write_text(content)
    before = sorted(Path().rglob("*"))
    assert words in refused(command, model, "bad.csv")
    assert sorted(Path().rglob("*")) == before


def edited(model: Path, name: str, **values: object) -> None:
    rewrite(model, name, json.loads((model / name).read_text()) | values)


BY_HAND = {
    "series of another kind": (lambda model: rewrite(model, "series.json", {"a": 1}), "series.json"),
    "series as a list": (lambda model: rewrite(model, "series.json", []), "series.json"),
    "no such frequency": (lambda model: edited(model, "series.json", frequency="zz"), "series.json"),
    "series without columns": (lambda model: edited(model, "series.json", series=[{"id": "a"}]), "series.json"),
    "windows of another kind": (lambda model: rewrite(model, "windows.json", {"a": 1}), "windows.json"),
    "windows as a list": (lambda model: rewrite(model, "windows.json", []), "windows.json"),
    "windows without rows": (lambda model: edited(model, "windows.json", context=-3), "windows.json"),
    "one covariate more": (lambda model: edited(model, "windows.json", past=[[0, 1]]), "windows.json"),
    "a cycle that is none": (lambda model: edited(model, "windows.json", cycles=["zz"]), "windows.json"),
    "a season without end": (lambda model: edited(model, "windows.json", seasons=[float("inf")]), "windows.json"),
    "columns without names": (lambda model: edited(model, "series.json", columns={"time": None}), "series.json"),
    "another horizon": (lambda model: edited_config(model, "horizon: 12", "horizon: 6"), "windows.json"),
    "another size": (lambda model: edited_config(model, "hidden_size: ", "hidden_size: 3"), "weights.safetensors"),
}


def edited_config(model: Path, old: str, new: str) -> None:
    text = (model / "config.yaml").read_text()
    assert old in text
    rewrite(model, "config.yaml", text.replace(old, new))


@pytest.mark.parametrize("case", BY_HAND)
@pytest.mark.parametrize("command", ["predict", "info"])
def test_a_model_edited_by_hand_is_one_message(model: Path, refused: Refused, case: str, command: str) -> None:
    edit, name = BY_HAND[case]
    edit(model)
    if name == "weights.safetensors" and command == "info":
        pytest.skip("info reads no weights")
    assert refused(command, model).startswith(f"{model / name}: ")


def test_a_mistyped_option_is_named_and_no_other_suggested(model: Path, refused: Refused) -> None:
    assert refused("predict", model, "--bogus").startswith("there is no option --bogus. `steploom predict")
    assert "Did you mean '--out'?" in refused("predict", model, "--uot")
