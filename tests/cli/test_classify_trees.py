"""Trees through the command line: training, prediction of nodes, and what is refused."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Refused, Run

TREES = "(3 (2 It) (4 (4 works) (2 well)))\n(1 (2 It) (0 fails))\n" * 6
OPTIONS = ["--hidden-size", "8", "--epochs", "1", "--valid-share", "0"]
BINARY = [word for pair in ("1=bad", "2=", "3=good") for word in ("--relabel", pair)]


@pytest.mark.parametrize("network", ["nary", "child-sum", "recursive"])
def test_train_and_predict(tmp_path: Path, run: Run, network: str) -> None:
    (tmp_path / "trees.txt").write_text(TREES + "(2 (2 It) (2 is))\n")
    out = tmp_path / "model"
    trees = tmp_path / "trees.txt"
    arguments = [trees, "-o", out, "--test", trees, "--json", "--tree-network", network]
    result = run("train", "classify", *arguments, *OPTIONS, *BINARY)
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["test"]["metrics"]["examples"] == 12
    assert report["test"]["baselines"]["majority"]["accuracy"] == 0.5
    result = run("predict", out, "--input", "(x (x It) (x works))", "--nodes")
    (row,) = csv.DictReader(io.StringIO(result.stdout))
    assert row["text"] == "It works" and row["tree"].startswith(f"({row['label']} (")
    # As of a model that was trained when model.json named a cell in any case.
    manifest = json.loads((out / "model.json").read_text())
    manifest["architecture"] |= {"cell": "lstm", "num_layers": 1}
    (out / "model.json").write_text(json.dumps(manifest))
    shown = run("info", out).stdout
    assert "children of a node" in shown and f"tree_network={network}" in shown
    assert "cell=" not in shown and "num_layers=" not in shown


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("(1 (0 a) (1 b)", "row 13, column '1': the line ends within a bracket that is not closed"),
        ("(1 (0 a) ())", "row 13, column '10': the bracket that begins here is empty"),
        ("(1 (0 a)) (1 b)", "row 13, column '11': found '(' behind the end of the tree"),
        ("((0 a) (1 b))", "row 13: the root of the tree has no label"),
        ("(1 a b c d e f g h i)", "row 13: a node has 9 children; a nary network has weights for each of them"),
    ],
)
def test_brackets_that_are_refused(tmp_path: Path, refused: Refused, line: str, message: str) -> None:
    (tmp_path / "trees.txt").write_text(f"{TREES}{line}\n")
    said = refused("train", "classify", tmp_path / "trees.txt", "-o", tmp_path / "model", *OPTIONS)
    assert said.startswith(f"{tmp_path / 'trees.txt'}, {message}")
    assert not (tmp_path / "model").exists()


def test_an_unknown_label_is_refused(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "trees.txt").write_text(TREES)
    (tmp_path / "valid.txt").write_text("(3 It)\n(5 (3 It) (3 works))\n")
    files = [tmp_path / "trees.txt", "--valid", tmp_path / "valid.txt", "-o", tmp_path / "model"]
    said = refused("train", "classify", *files, "--hidden-size", "8", "--epochs", "1")
    assert said.startswith(f"{tmp_path / 'valid.txt'}, row 2: the label '5' does not occur in the training data")
    assert not (tmp_path / "model").exists()
