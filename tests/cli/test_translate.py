"""Translation through the command line: train, predict from a file or as lines come, evaluate, plot."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from steploom.cli.main import cli
from tests.cli.conftest import Refused, Run, rewrite, train_in
from tests.docs.files import write_files

OPTIONS = ["--epochs", "2", "--hidden-size", "12", "--unit", "words", "--lr", "0.02"]
PAIRS = ["train.fr", "train.en"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model in `model`, and what `train` printed in stdout.json."""
    folder = tmp_path_factory.mktemp("translate")
    write_files(folder)
    parts = ["--valid", "test.fr", "--valid", "test.en", "--test", "test.fr", "--test", "test.en"]
    return train_in(folder, "translate", *PAIRS, *parts, *OPTIONS)


def test_train_prints_one_json_object(trained: Path) -> None:
    (line,) = (trained / "stdout.json").read_text().splitlines()
    printed = json.loads(line)
    assert printed["task"] == "translate" and printed["data"] == PAIRS
    for part in ("validation", "test"):
        assert set(printed[part]["baselines"]["copying"]) == {"bleu", "chrf"}
        assert printed[part]["metrics"]["perplexity"] > 1


def test_lines_that_come_give_what_a_file_gives(model: Path) -> None:
    text = "Le vin rouge voit un chat noir .\n\nLe chat vert trouve un vin blanc .\n"
    Path("in.txt").write_text(text)
    whole = CliRunner().invoke(cli, ["predict", "model", "in.txt"])
    piped = CliRunner().invoke(cli, ["predict", "model"], input=text)
    assert piped.exit_code == 0, piped.stderr
    assert piped.stdout == whole.stdout
    assert len(whole.stdout.splitlines()) == 3
    for name in ("out.txt", "out.jsonl"):
        for arguments, given in ((["model", "in.txt"], None), (["model"], text)):
            done = CliRunner().invoke(cli, ["predict", *arguments, "-o", f"{len(arguments)}{name}"], input=given)
            assert (done.exit_code, done.stdout) == (0, "")
        one, other = (Path(f"{n}{name}").read_text().splitlines() for n in (1, 2))
        if name == "out.txt":
            assert one == other == whole.stdout.splitlines()
        else:
            texts = [[json.loads(row)["translations"] for row in rows] for rows in (one, other)]
            assert [[t["text"] for t in row] for row in texts[0]] == [[t["text"] for t in row] for row in texts[1]]


def test_what_is_noticed_in_lines_that_come_is_said_once(model: Path) -> None:
    text = "Le wagon\n" * 5 + "Le vin " * 60 + "\n" + "Le chat " * 60 + "wagon\n"
    Path("in.txt").write_text(text)
    whole = CliRunner().invoke(cli, ["predict", "model", "in.txt", "--max-new-tokens", "2"])
    assert "<unk> instead: 5 of" in whole.stderr and "2 of 7 lines, the first one is line 6" in whole.stderr
    piped = CliRunner().invoke(cli, ["predict", "model", "--max-new-tokens", "2"], input=text)
    assert piped.stdout == whole.stdout
    assert piped.stderr.splitlines() == [
        "unknown to the model, which reads <unk> instead (said once)",
        "standard input: clipped to the 100 tokens of --max-length that the model was trained with (said once)",
    ]


def test_a_line_is_answered_before_the_next_one_comes(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from steploom.tasks.trained import load
    from steploom.tasks.translate import lines as translate_lines

    read: list[int] = []

    def lines() -> object:
        for number in range(3):
            read.append(number)
            yield "Le vin rouge"

    monkeypatch.setattr(translate_lines, "_stdin_lines", lines)
    pieces = load(model).predict().pieces
    assert pieces is not None and read == []
    next(pieces)
    assert read == [0]


def test_a_text_on_the_command_line(model: Path, run: Run) -> None:
    shown = run("predict", model, "--text", "Le vin rouge", "--num-beams", 1)
    assert shown.exit_code == 0 and len(shown.stdout.splitlines()) == 1


def test_evaluate_takes_two_files_and_writes_the_translations(model: Path, run: Run) -> None:
    result = run("evaluate", model, "test.fr", "test.en", "--json", "-o", "made.txt")
    printed = json.loads(result.stdout)
    assert printed["data"] == ["test.fr", "test.en"]
    assert printed["metrics"]["bleu"] == json.loads(Path("stdout.json").read_text())["test"]["metrics"]["bleu"]
    assert Path("made.txt").read_text() == run("predict", model, "test.fr").stdout
    assert "copying" in run("evaluate", model, "test.fr", "test.en").stdout


def test_plot_writes_a_picture(model: Path, run: Run) -> None:
    assert run("plot", model).exit_code == 0
    assert (model / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert run("plot", model, "test.fr", "-o", "mine.png").exit_code == 0


BAD: dict[str, tuple[list[str], list[str]]] = {
    "unequal line counts": (["train.fr", "test.en"], ["test.en, row 41", "ends after 40 lines", "train.fr has 400"]),
    "an empty side": (["empty.fr", "three.en"], ["empty.fr, row 2", "the source is empty"]),
    "an empty target": (["three.en", "empty.fr"], ["empty.fr, row 2", "the target is empty"]),
    "a missing file": (["train.fr", "train.eng"], ["train.eng: there is no such file"]),
    "three files": ([*PAIRS, "test.fr"], ["expected two parallel files", "found 3 files"]),
    "one file of lines": (["train.fr"], ["train.fr, row 1", "expected a table with two columns"]),
    "an unknown column": (
        ["dialogue.tsv", "--source-column", "question", "--target-column", "anwser"],
        ["--target-column", "dialogue.tsv has no 'anwser'", "Did you mean 'answer'?"],
    ),
    "a column out of range": (["dialogue.tsv", "--source-column", "7"], ["has the columns 1 to 2, found 7"]),
    "columns of parallel files": ([*PAIRS, "--source-column", "1"], ["--source-column is for one table"]),
    "a cell too few": (["ragged.tsv"], ["ragged.tsv, row 2", "expected 2 cells", "found 1"]),
    "every pair too long": ([*PAIRS, "--max-length", "2"], ["every pair has more than 2 words", "Raise --max-length"]),
    "bad validation": ([*PAIRS, "--valid", "test.fr"], ["test.fr, row 1", "two columns"]),
    "bad test": ([*PAIRS, "--test", "test.fr", "--test", "train.en"], ["test.fr, row 41", "ends after 40 lines"]),
    "Latin-1": (["latin.fr", "three.en"], ["latin.fr, row 2: byte 0xe9 is not UTF-8"]),
    "hard without attention": ([*PAIRS, "--attention", "none", "--hard"], ["--hard is for an attention"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(here: Path, refused: Refused, case: str) -> None:
    (here / "empty.fr").write_text("a\n\nb\n")
    (here / "three.en").write_text("one\ntwo\nthree\n")
    (here / "latin.fr").write_bytes(b"a\nd\xe9j\xe0\nb\n")
    (here / "ragged.tsv").write_text("a\tb\nc\n")
    before = sorted(here.rglob("*"))
    arguments, words = BAD[case]
    message = refused("train", "translate", *arguments, "-o", "out", *OPTIONS)
    for word in words:
        assert word in message
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["predict", "model"], "standard input: there was no line to translate"),
        (["predict", "model", "test.fr", "--text", "a"], "the lines come from test.fr already"),
        (["predict", "model", "test.fr", "--num-return-sequences", "9"], "5 beams give 5 at most, found 9"),
        (["predict", "model", "test.fr", "--num-beam", "3"], "Did you mean '--num-beams'?"),
        (["evaluate", "model", "test.fr", "train.en"], "test.fr, row 41"),
        (["evaluate", "model", "test.fr"], "expected a table with two columns"),
        (["evaluate", "model", "test.fr", "test.en", "-o", "test.en"], "this is the file with the data"),
        (["plot", "model", "none.fr"], "none.fr: there is no such file"),
    ],
)
def test_what_is_refused(model: Path, refused: Refused, arguments: list[str], words: str) -> None:
    before = sorted(Path().rglob("*"))
    assert words in refused(*arguments)
    assert sorted(Path().rglob("*")) == before


def test_bytes_that_are_no_text_are_named_by_their_row(model: Path) -> None:
    result = CliRunner().invoke(cli, ["predict", "model"], input=b"Le vin\nd\xe9j\xe0\n")
    assert result.exit_code == 2
    assert "steploom: standard input, row 2: byte 0xe9 is not UTF-8." in result.stderr
    assert len(result.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("pairs.json", {"count": 1}, "'left_out' is missing"),
        ("source_vocabulary.json", {"unit": "words", "tokens": ["<unk>", "<eos>"]}, "no tokens for the two ends"),
        ("target_vocabulary.json", [], "no vocabulary"),
    ],
)
def test_a_damaged_model_is_refused(model: Path, refused: Refused, name: str, content: object, words: str) -> None:
    rewrite(model, name, content)
    for command in (["predict", model, "test.fr"], ["info", model]):
        message = refused(*command)
        assert f"model/{name}: this is not what the task translate keeps there" in message and words in message
