"""A classifier through the command line, and bad input: one message, exit code 2, nothing written."""

import csv
import json
import shutil
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from steploom.cli.main import cli
from tests.cli.conftest import Refused, Run, train_in
from tests.docs.files import write_labelled

OPTIONS = ["--epochs", "1", "--hidden-size", "8"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with reviews.csv, strokes.npz, the model in `model`, and what `train` printed in stdout.json."""
    folder = tmp_path_factory.mktemp("classify")
    write_labelled(folder)
    return train_in(folder, "classify", "reviews.csv", "--test", "reviews.csv", *OPTIONS)


@pytest.fixture
def here(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, the current one."""
    shutil.copytree(trained, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def test_train_prints_one_json_object(trained: Path) -> None:
    (line,) = (trained / "stdout.json").read_text().splitlines()
    printed = json.loads(line)
    assert (printed["task"], printed["model"], printed["engine"]) == ("classify", "model", "native")
    for part, examples in (("validation", 30), ("test", 300)):
        assert set(printed[part]["metrics"]) == {"accuracy", "f1", "nll", "examples"}
        assert printed[part]["metrics"]["examples"] == examples
        assert 0 < printed[part]["baselines"]["majority"]["accuracy"] < 1


def test_predict_reads_files_texts_and_standard_input(here: Path, run: Run) -> None:
    whole = list(csv.DictReader(StringIO(run("predict", "model", "reviews.csv").stdout)))
    assert len(whole) == 300 and list(whole[0]) == ["row", "text", "label", "p(bad)", "p(good)"]
    one = run("predict", "model", "--input", whole[7]["text"])
    assert one.exit_code == 0
    assert next(csv.DictReader(StringIO(one.stdout)))["label"] == whole[7]["label"]
    typed = CliRunner().invoke(cli, ["predict", "model"], input="A dull film.\n\nA fine film.\n")
    assert [row["row"] for row in csv.DictReader(StringIO(typed.stdout))] == ["1", "3"]
    assert run("predict", "model", "reviews.csv", "-o", "p.jsonl").stdout == ""
    assert [json.loads(line)["label"] for line in Path("p.jsonl").read_text().splitlines()] == [
        r["label"] for r in whole
    ]


def test_evaluate_info_plot_and_resume(here: Path, run: Run) -> None:
    result = run("evaluate", "model", "reviews.csv", "--json", "-o", "scored.csv")
    printed = json.loads(result.stdout)
    rows = list(csv.DictReader(StringIO(Path("scored.csv").read_text())))
    assert printed["metrics"]["accuracy"] == pytest.approx(sum(row["true"] == row["label"] for row in rows) / 300)
    shown = run("info", "model").stdout
    for word in ("classify", "bad (90), good (180)", "hidden_size=8"):
        assert word in shown
    assert "relabel" not in shown
    assert run("plot", "model", "reviews.csv").exit_code == 0
    assert (here / "model" / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(run("resume", "model", "--epochs", 2, "--json").stdout)["epochs"] == 2


CASES: dict[str, tuple[str, str | dict[str, object], list[str], str]] = {
    "no such label column": (
        "a.csv",
        "text,label\na,b\n",
        ["--label", "lable"],
        "no 'lable'; it has text, label. Did you mean 'label'?",
    ),
    "an empty text": ("a.csv", "text,label\na,x\n,y\n", [], "a.csv, row 3: the text is empty"),
    "a label is lacking": ("a.tsv", "x\ta\n\tb\n", ["--text", "2"], "a.tsv, row 2: the label is empty"),
    "a cell too many": ("a.csv", "text,label\na,x\nb,y,z\n", [], "row 3: expected 2 cells"),
    "one class": ("a.csv", "text,label\na,x\nb,x\n", [], "one label only, 'x'"),
    "no table": ("a.txt", "a text\n", [], "expected a table"),
    "Latin-1": ("a.csv", "text,label\ncaf\xe9,x\n", [], "row 2: byte 0xe9 is not UTF-8"),
    "not a number": (
        "a.npz",
        {"x": np.full((4, 2, 2), np.nan), "y": [0, 1, 0, 1]},
        [],
        "row 1: step 1, number 1 of the array 'x' is nan",
    ),
    "unequal counts": ("a.npz", {"x": np.zeros((4, 2, 2)), "y": [0, 1]}, [], "4 examples and 2 labels"),
    "unequal lengths": (
        "a.npz",
        {"x": np.zeros((4, 2)), "y": [0, 1], "lengths": [2, 3]},
        [],
        "the 2 lengths add up to 5",
    ),
    "Python objects": (
        "a.npz",
        {"x": np.array([[1], [1, 2]], dtype=object), "y": [0, 1]},
        [],
        "which only pickle could read",
    ),
    "a share too large": (
        "a.csv",
        "text,label\na,x\nb,y\n",
        ["--valid-share", "0.9"],
        "--valid-share: expected a number",
    ),
    "half a renaming": ("a.csv", "text,label\na,x\nb,y\n", ["--relabel", "x"], "--relabel: expected OLD=NEW"),
    "files of labels": ("a.txt", "a\n", ["--file-labels", "x,y"], "2 labels for 1 file:"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_of_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused, case: str) -> None:
    name, content, options, message = CASES[case]
    monkeypatch.chdir(tmp_path)
    if isinstance(content, dict):
        np.savez(name, **content)
    else:
        Path(name).write_bytes(content.encode("latin-1"))
    assert message in refused("train", "classify", name, "-o", "out", *OPTIONS, *options)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["evaluate", "model", "other.csv"],
            "other.csv, row 3: the label 'middling' does not occur in the training data",
        ),
        (["evaluate", "model", "strokes.npz"], "strokes.npz: this is a zip archive"),
        (["predict", "model", "unlabelled.csv"], "there is no column 'text', which the training had"),
        (["predict", "model", "reviews.csv", "--input", "x"], "the examples come from reviews.csv already"),
        (["predict", "model", "--input", " "], "--input: the text is empty"),
        (["plot", "model", "none.csv"], "none.csv: there is no such file"),
    ],
)
def test_bad_input_of_a_model(here: Path, refused: Refused, arguments: list[str], message: str) -> None:
    (here / "other.csv").write_text("text,label\nfine,good\nso so,middling\n")
    (here / "unlabelled.csv").write_text("n,words\n1,fine\n")
    before = {path.name for path in here.iterdir()}
    assert message in refused(*arguments)
    assert {path.name for path in here.iterdir()} == before
