"""A model of sentences through the command line: train, predict, evaluate, info, plot, resume."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from steploom.cli.main import cli
from tests.cli.conftest import Refused, Run, rewrite, train_in
from tests.docs.files import write_files

OPTIONS = ["--epochs", "2", "--hidden-size", "8", "--embedding-size", "6", "--decoder-size", "8"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the small files, the model in `model`, and what `train` printed in stdout.json."""
    folder = tmp_path_factory.mktemp("embed")
    write_files(folder)
    return train_in(folder, "embed", "book.txt", *OPTIONS)


def test_train_prints_one_json_object(trained: Path) -> None:
    (line,) = (trained / "stdout.json").read_text().splitlines()
    printed = json.loads(line)
    assert (printed["task"], printed["epochs"], printed["engine"]) == ("embed", 2, "native")
    assert printed["validation"]["metrics"]["perplexity"] > 1
    assert printed["validation"]["baselines"]["unigram"]["perplexity"] > 1


def test_vectors_go_to_a_file_or_standard_output(model: Path, run: Run) -> None:
    assert run("predict", model, "book.txt", "-o", "vectors.npy").exit_code == 0
    vectors = np.load("vectors.npy", allow_pickle=False)
    assert vectors.shape == (400, 48)
    first = Path("book.txt").read_text().splitlines()[0]
    shown = run("predict", model, "--sentence", first)
    assert shown.exit_code == 0
    np.testing.assert_allclose([float(x) for x in shown.stdout.split("\t")], vectors[0], rtol=1e-4, atol=1e-6)
    piped = CliRunner().invoke(cli, ["predict", str(model)], input=first + "\n")
    assert piped.stdout == shown.stdout


def test_pairs_and_neighbours(model: Path, run: Run) -> None:
    pairs = run("predict", model, "pairs.tsv", "--pairs").stdout.splitlines()
    assert pairs[0] == "sentence_A\tsentence_B\tcosine" and len(pairs) == 41
    near = run("predict", model, "--sentence", "The loom.", "--corpus", "book.txt", "--nearest", 2).stdout.splitlines()
    assert near[0] == "sentence\trank\tneighbour\tline\tcosine" and len(near) == 3


def test_evaluate_prints_one_json_object(model: Path, run: Run) -> None:
    asked = ["evaluate", model, "pairs.tsv", "--pairs-train", "pairs-train.tsv", "--random-encoders", 1]
    (line,) = run(*asked, "--json", "-o", "scored.tsv").stdout.splitlines()
    printed = json.loads(line)
    assert (printed["task"], printed["data"]) == ("embed", "pairs.tsv")
    assert -1 <= printed["metrics"]["pearson_cosine"] <= 1
    assert set(printed["baselines"]) == {"bag of words", "random encoders"}
    assert len(Path("scored.tsv").read_text().splitlines()) == 41
    table = run(*asked).stdout.splitlines()
    assert next(line for line in table if line.startswith("metric")).split("  ")[-1].strip() == "better"
    assert run("evaluate", model, "book.txt", "--running-text").exit_code == 0


def test_info_plot_and_resume(model: Path, run: Run, refused: Refused) -> None:
    assert "vocabulary" in run("info", model).stdout
    assert run("plot", model, "book.txt", "-o", "map.png").exit_code == 0
    assert Path("map.png").stat().st_size > 5000
    assert "the training is complete" in refused("resume", model)
    assert json.loads(run("resume", model, "--epochs", 3, "--json").stdout)["epochs"] == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "embed", "none.txt", "-o", "new"], "none.txt: there is no such file"),
        (["train", "embed", "one.txt", "-o", "new"], "one.txt: no sentence has a neighbour: 1 sentence."),
        (["train", "embed", "book.txt", "-o", "new", "--pooling", "sum"], "--pooling: expected one of"),
        (["predict", "model", "--pairs"], "--pairs: which pairs?"),
        (["predict", "model"], "standard input is empty: name a file with a sentence a line"),
        (["predict", "model", "book.txt", "--pairs"], "--first: the first row of book.txt has no 'sentence_A'"),
        (["evaluate", "model", "book.txt"], "--first: the first row of book.txt has no 'sentence_A'"),
        (["evaluate", "model", "pairs.tsv", "--score", "points"], "--score: the first row of pairs.tsv"),
        (["evaluate", "model", "pairs.tsv", "--pairs-train", "none.tsv"], "none.tsv: there is no such file"),
        (["evaluate", "model", "pairs.tsv", "book.txt"], "expected one file, found 2"),
    ],
)
def test_what_is_refused(model: Path, refused: Refused, arguments: list[str], words: str) -> None:
    Path("one.txt").write_text("A single line.\n")
    before = sorted(Path().rglob("*"))
    assert words in refused(*arguments)
    assert sorted(Path().rglob("*")) == before


DAMAGES = {
    "a vocabulary of another kind": (
        "vocabulary.json",
        {"unit": "characters", "tokens": ["<unk>", "<bos>", "<eos>", "a"]},
        "expected words, found characters",
    ),
    "a vocabulary of running text": (
        "vocabulary.json",
        {"unit": "words", "tokens": ["<unk>", "<eos>", "a"]},
        "no tokens for the two ends of a line",
    ),
    "counts of another vocabulary": ("text.json", {"counts": [1], "sentences": 1, "documents": 1}, "1 counts for the"),
    "facts without counts": ("text.json", {}, "'counts' is missing"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_model_is_refused(model: Path, refused: Refused, case: str) -> None:
    name, content, words = DAMAGES[case]
    rewrite(model, name, content)
    assert words in refused("predict", model, "--sentence", "The loom.")
