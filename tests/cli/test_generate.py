"""A language model through the command line: train, predict, evaluate, info, plot, resume."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Refused, Run, rewrite, train_in
from tests.docs.files import write_files

OPTIONS = ["--epochs", "2", "--hidden-size", "16", "--num-layers", "1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with book.txt, the model in `model`, and what `train` printed in stdout.json."""
    folder = tmp_path_factory.mktemp("generate")
    write_files(folder)
    return train_in(folder, "generate", "book.txt", "--test", "poems.txt", *OPTIONS)


def test_train_prints_one_json_object(trained: Path) -> None:
    (line,) = (trained / "stdout.json").read_text().splitlines()
    printed = json.loads(line)
    assert printed["task"] == "generate"
    assert printed["model"] == "model"
    assert printed["epochs"] == 2
    assert printed["engine"] == "native"
    assert printed["parameters"] > 1000
    for part in ("validation", "test"):
        assert printed[part]["metrics"]["perplexity"] > 1
        assert printed[part]["baselines"]["unigram"]["perplexity"] > 1


def test_train_prints_a_table_and_what_to_type_next(here: Path, run: Run) -> None:
    result = run("train", "generate", "book.txt", "-o", "model", *OPTIONS)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    head = next(line for line in lines if line.startswith("metric"))
    row = next(line for line in lines if line.startswith("perplexity"))
    assert head.split() == ["metric", "model", "unigram", "unit", "better"]
    assert row.index("lower") == head.index("better")
    next_commands = [line.split()[1:] for line in lines if line.startswith("  steploom ")]
    assert [command[0] for command in next_commands] == ["predict", "evaluate", "plot"]
    for command in next_commands:
        assert run(*("book.txt" if word == "DATA" else word for word in command)).exit_code == 0


def test_nothing_is_written_outside_the_output_directory(here: Path, run: Run) -> None:
    before = set(here.rglob("*"))
    assert run("train", "generate", "book.txt", "-o", "model", *OPTIONS).exit_code == 0
    assert {path for path in set(here.rglob("*")) - before if here / "model" not in (path, *path.parents)} == set()


def test_predict_writes_to_standard_output_or_a_file(model: Path, run: Run) -> None:
    shown = run("predict", model, "--prompt", "The river", "--seed", 3)
    assert shown.exit_code == 0
    assert shown.stdout.startswith("The river")
    assert run("predict", model, "--prompt", "The river", "--seed", 3, "-o", "-").stdout == shown.stdout
    assert run("predict", "--prompt", "The river", "--seed", 4, model).stdout != shown.stdout
    written = run("predict", "-o", "new.txt", model, "--prompt", "The river", "--seed", 3)
    assert (written.stdout, written.exit_code) == ("", 0)
    assert Path("new.txt").read_text() == shown.stdout
    assert "new.txt" in written.stderr


def test_evaluate_prints_one_json_object(model: Path, run: Run) -> None:
    result = run("evaluate", model, "book.txt", "--json")
    (line,) = result.stdout.splitlines()
    printed = json.loads(line)
    assert list(printed) == ["task", "data", "metrics", "baselines", "seconds"]
    assert (printed["task"], printed["data"]) == ("generate", "book.txt")
    assert printed["metrics"]["perplexity"] > 1
    assert "perplexity" in run("evaluate", model, "book.txt").stdout


def test_info_says_what_the_model_is(model: Path, run: Run) -> None:
    printed = json.loads(run("info", model, "--json").stdout)
    assert printed["task"] == "generate"
    assert printed["architecture"]["cell"] == "lstm"
    assert printed["options"]["hidden_size"] == 16
    assert printed["can_resume"] is True
    assert printed["files"]["weights.safetensors"] == (model / "weights.safetensors").stat().st_size
    shown = run("info", model).stdout
    for word in ("generate", "lstm", "hidden_size=16", "weights.safetensors"):
        assert word in shown


def test_plot_writes_a_picture(model: Path, run: Run) -> None:
    assert run("plot", model).exit_code == 0
    assert (model / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert run("plot", model, "-o", "mine.png").exit_code == 0
    assert Path("mine.png").read_bytes().startswith(b"\x89PNG")


def test_resume_trains_longer(model: Path, run: Run, refused: Refused) -> None:
    assert "the training is complete" in refused("resume", model)
    result = run("resume", model, "--epochs", 3, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["epochs"] == 3


def test_help_of_a_model_shows_the_options_of_its_task(model: Path, run: Run) -> None:
    shown = run("predict", model, "--help").stdout
    assert "--temperature" in shown
    assert "--length-penalty" not in shown
    assert "--length-penalty" in run("predict", model, "--help-all").stdout
    assert "--origin-every" not in run("evaluate", model, "--help").stdout


def test_force_replaces_a_model(model: Path, run: Run, refused: Refused) -> None:
    train = ["train", "generate", "book.txt", "-o", model, *OPTIONS]
    assert "there is a model in this directory already" in refused(*train)
    before = (model / "model.json").read_bytes()
    assert "no such file" in refused(*train[:2], "none.txt", *train[3:], "--force")
    assert (model / "model.json").read_bytes() == before
    assert run(*train, "--seed", 7, "--force").exit_code == 0
    assert json.loads(run("info", model, "--json").stdout)["options"]["seed"] == 7


def test_options_come_from_a_file_and_those_typed_win(here: Path, run: Run) -> None:
    (here / "options.yaml").write_text("hidden-size: 8\nnum_layers: 1\nepochs: 1\nseed: 5\n")
    assert run("train", "generate", "book.txt", "-o", "m", "--config", "options.yaml", "--seed", 6).exit_code == 0
    options = json.loads(run("info", "m", "--json").stdout)["options"]
    assert (options["hidden_size"], options["epochs"], options["seed"]) == (8, 1, 6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["predict", "model", "--temprature", "1"], "no option --temprature. Did you mean '--temperature'?"),
        (["predict", "model", "--temperature", "warm"], "--temperature: expected a number of at least 0, found 'warm'"),
        (["predict", "model", "-o", "none/x.txt"], "there is no folder none"),
        (["predict", "model", "-o", "."], "this is a folder"),
        (["evaluate", "model", "none.txt"], "none.txt"),
        (["evaluate", "model", "book.txt", "-o", "book.txt"], "this is the file with the data"),
        (
            ["evaluate", "model", "book.txt", "-o", "scored.csv"],
            "--out: there are no predictions here that a file could hold",
        ),
        (["predict", "none"], "none: there is no such model directory"),
        (["evaluate", "book.txt", "book.txt"], "book.txt: expected a model directory, found a file"),
        (["plot", "none"], "none: there is no such model directory"),
        (["info", "none"], "none: there is no such model directory"),
        (["resume", "none"], "none: there is no such directory"),
        (["info", "."], "no Steploom model directory, model.json is missing"),
        (["resume", "model", "--epochs", "0"], "'--epochs'"),
    ],
)
def test_what_is_refused(model: Path, refused: Refused, arguments: list[str], words: str) -> None:
    before = {path.name for path in Path().iterdir()}
    assert words in refused(*arguments)
    assert {path.name for path in Path().iterdir()} == before


def flip_byte(model: Path) -> None:
    content = bytearray((model / "weights.safetensors").read_bytes())
    content[len(content) // 2] ^= 1
    (model / "weights.safetensors").write_bytes(content)


def edit_manifest(old: str, new: str) -> None:
    text = Path("model/model.json").read_text()
    assert old in text
    Path("model/model.json").write_text(text.replace(old, new))


DAMAGES = {
    "a byte flipped": (flip_byte, ["weights.safetensors: damaged", "sha256"]),
    "a file missing": (lambda model: (model / "vocabulary.json").unlink(), ["vocabulary.json: missing"]),
    "the weights cut short": (
        lambda model: (model / "weights.safetensors").write_bytes(b"x"),
        ["weights.safetensors: damaged", "found 1"],
    ),
    "a newer format": (lambda model: edit_manifest('"format": 1', '"format": 99'), ["format 99", "Update Steploom"]),
    "a path outside itself": (
        lambda model: edit_manifest('"vocabulary.json"', '"../book.txt"'),
        ["names a file outside the directory", "../book.txt"],
    ),
    "no JSON": (lambda model: (model / "model.json").write_text("{"), ["model.json: damaged"]),
    "a vocabulary of another kind": (
        lambda model: rewrite(model, "vocabulary.json", []),
        ["model/vocabulary.json: this is not what the task generate keeps there"],
    ),
    "counts of another vocabulary": (
        lambda model: rewrite(model, "text.json", {"counts": [1], "tokens": 1}),
        ["model/text.json: this is not what", "1 counts for the"],
    ),
    "facts without counts": (
        lambda model: rewrite(model, "text.json", {"a": 1}),
        ["model/text.json: this is not what", "'counts' is missing"],
    ),
    "another task": (
        lambda model: edit_manifest('"task": "generate"', '"task": "generete"'),
        ["generete", "Did you mean 'generate'?"],
    ),
}


@pytest.mark.parametrize("case", DAMAGES)
@pytest.mark.parametrize(
    "command", [["predict"], ["evaluate", "book.txt"], ["plot"], ["info"]], ids=lambda c: str(c[0])
)
def test_a_damaged_model_is_refused(model: Path, refused: Refused, case: str, command: list[str]) -> None:
    damage, words = DAMAGES[case]
    damage(model)
    before = sorted(Path().rglob("*"))
    message = refused(command[0], model, *command[1:])
    for word in words:
        assert word in message
    assert sorted(Path().rglob("*")) == before


def test_a_cell_of_the_users_own_is_named_again(here: Path, run: Run, refused: Refused) -> None:
    (here / "looms.py").write_text(
        "import torch\nfrom torch import nn\nfrom steploom import Cell\n\n"
        "class Loom(Cell):\n"
        "    def __init__(self, input_size, hidden_size):\n"
        "        super().__init__()\n"
        "        self.states = {'h': hidden_size, 'm': hidden_size}\n"
        "        self.input = nn.Linear(input_size, hidden_size)\n"
        "        self.recurrent = nn.Linear(hidden_size, hidden_size)\n\n"
        "    def forward(self, x, h, m):\n"
        "        m = 0.9 * m + 0.1 * h\n"
        "        return torch.tanh(self.input(x) + self.recurrent(m)), m\n"
    )
    result = run("train", "generate", "book.txt", "-o", "model", "--cell", "looms:Loom", *OPTIONS)
    assert result.exit_code == 0, result.stderr
    assert "steploom predict model --cell looms:Loom" in result.stdout
    assert "If you trust it, name it: --cell looms:Loom" in refused("predict", "model")
    assert run("predict", "model", "--cell", "looms:Loom").exit_code == 0
    assert "looms:Loom" in run("info", "model").stdout
    assert run("resume", "model", "--epochs", 3, "--cell", "looms:Loom").exit_code == 0
