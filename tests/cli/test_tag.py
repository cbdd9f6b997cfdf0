"""A tagger through the command line: train, predict, evaluate, info, plot; and what is refused."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from steploom.cli.main import cli
from tests.cli.conftest import Refused, Run, rewrite, train_in
from tests.docs.files import write_tagged

OPTIONS = ["--hidden-size", "12", "--embedding-size", "8", "--lr", "0.02", "--average", "0", "--dropout", "0.1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with names.txt, the model in `model`, and what `train` printed in stdout.json."""
    folder = tmp_path_factory.mktemp("tag")
    write_tagged(folder)
    return train_in(folder, "tag", "names.txt", "--test", "names.txt", "--epochs", "4", *OPTIONS)


def test_train_prints_one_json_object(trained: Path) -> None:
    (line,) = (trained / "stdout.json").read_text().splitlines()
    printed = json.loads(line)
    assert (printed["task"], printed["model"], printed["engine"]) == ("tag", "model", "native")
    for part in ("validation", "test"):
        assert 0.9 < printed[part]["metrics"]["f1"] <= 1
        assert set(printed[part]["baselines"]) == {"usual tag"}


def test_evaluate_prints_and_writes(model: Path, run: Run) -> None:
    result = run("evaluate", model, "names.txt", "--json", "-o", "out.txt")
    printed = json.loads(result.stdout)
    assert list(printed) == ["task", "data", "metrics", "baselines", "seconds"]
    assert {"f1", "precision", "recall", "accuracy", "f1_per", "f1_loc"} <= set(printed["metrics"])
    rows = [line.split() for line in Path("out.txt").read_text().splitlines()]
    assert {len(row) for row in rows} == {0, 4}
    shown = run("evaluate", model, "names.txt").stdout
    assert "F1 of the spans" in shown and "usual tag" in shown


def test_predict_takes_a_file_a_sentence_or_standard_input(model: Path, run: Run) -> None:
    wanted = "Ada B-PER\nLovelace I-PER\nwent O\nto O\nOslo B-LOC\n. O\n"
    text = "Ada Lovelace went to Oslo ."
    assert run("predict", model, "--text", text).stdout == wanted
    Path("lines.txt").write_text(f"{text}\n")
    Path("words.txt").write_text(text.replace(" ", "\n"))
    assert run("predict", model, "lines.txt", "--lines").stdout == wanted
    assert run("predict", model, "words.txt", "-o", "out.txt").stdout == ""
    assert Path("out.txt").read_text() == wanted
    result = CliRunner().invoke(cli, ["predict", str(model), "--lines"], input=f"{text}\n")
    assert result.stdout == wanted


def test_info_and_plot(model: Path, run: Run) -> None:
    shown = " ".join(run("info", model).stdout.split())
    assert "9 (bioes, files in iob2)" in shown and "every 10th sentence" in shown
    assert run("plot", model).exit_code == 0
    assert run("plot", model, "names.txt", "-o", "mine.png").exit_code == 0
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in (model / "plot.png", Path("mine.png")))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["predict", "model", "names.txt", "--text", "a"], "--text: the sentences come from names.txt already"),
        (["predict", "model", "--text", " "], "--text: expected a sentence, found no word"),
        (["predict", "model", "none.txt"], "none.txt: there is no such file"),
        (["predict", "model", "plain.txt"], "plain.txt, row 2: expected 2 columns as in row 1, found 3"),
        (["predict", "model", "plain.txt"], "For plain sentences, one a line, give --lines"),
        (["predict", "model"], "standard input is empty: name a file, or give --text"),
        (["evaluate", "model", "plain.txt"], "plain.txt, row 2: expected 2 columns"),
        (["evaluate", "model", "new.txt"], "new.txt, row 2: the tag 'B-TOOL' does not occur in the training data"),
        (["evaluate", "model", "broken.txt"], "broken.txt, row 2: a broken sequence of tags: I-LOC stands behind O"),
        (["train", "tag", "none.txt", "-o", "out"], "none.txt: there is no such file"),
        (["train", "tag", "plain.txt", "-o", "out"], "plain.txt, row 2: expected 2 columns as in row 1, found 3"),
        (["train", "tag", "names.txt", "-o", "out", "--target-column", "8"], "--target-column: names.txt has the"),
        (["train", "tag", "names.txt", "-o", "out", "--vectors", "no.vec"], "no.vec: there is no such file"),
        (["train", "tag", "names.txt", "-o", "out", "--cell", "lsmt"], "Did you mean 'lstm'?"),
        (["train", "tag", "names.txt", "-o", "model"], "there is a model in this directory already"),
    ],
)
def test_what_is_refused(model: Path, refused: Refused, arguments: list[str], words: str) -> None:
    Path("plain.txt").write_text("Ada went\nto New York\n")
    Path("new.txt").write_text("Ada B-PER\nloom B-TOOL\n")
    Path("broken.txt").write_text("Ada O\nOslo I-LOC\n\nOslo B-LOC\n\nOslo B-LOC\n")
    before = sorted(Path().rglob("*"))
    assert words in refused(*arguments)
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("vocabulary", [], "model/vocabulary.json: this is not what the task tag keeps there"),
        ("tags", {"tags": ["O"]}, "model/tags.json: this is not what the task tag keeps there"),
        ("majority", {"tag": 3, "words": {}}, "'tag' should be text, found 3"),
        ("majority", {"tag": "O", "words": {"Ada": ""}}, "'Ada' should be a tag, found ''"),
    ],
)
def test_a_damaged_model_is_refused(model: Path, refused: Refused, name: str, content: object, words: str) -> None:
    rewrite(model, f"{name}.json", content)
    for command in (
        ["predict", model, "--text", "a"],
        ["evaluate", model, "names.txt"],
        ["plot", model],
        ["info", model],
    ):
        assert words in refused(*command)


def test_help_fits_and_shows_what_is_special(model: Path, run: Run) -> None:
    shown = run("train", "tag", "--help").stdout
    assert "--target-column" in shown and "--crf / --no-crf" in shown and "--repair-tags" not in shown
    assert "--lines" in run("predict", model, "--help").stdout
    assert "--allow-unseen-tags" in run("evaluate", model, "--help").stdout
