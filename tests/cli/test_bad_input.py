"""Bad input: one message that says what, where and what to do, exit code 2, and nothing written."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Refused, Run

Lines = list[str]
FORECAST = ["--horizon", "12", "--epochs", "1"]


def power(here: Path) -> Lines:
    return (here / "power.csv").read_text().splitlines()[:80]


def with_row(number: int, text: str) -> Callable[[Lines], Lines]:
    """Replaces a row, counted from 1 with the header."""
    return lambda lines: [*lines[: number - 1], text, *lines[number:]]


def two_steps(lines: Lines) -> Lines:
    daily = [f"b,2024-{month:02}-{day:02},5" for month in range(1, 5) for day in range(1, 29)]
    return ["id,time,load", *(f"a,{line}" for line in lines[1:]), *daily]


TABLES: dict[str, tuple[Callable[[Lines], Lines], list[str], list[str]]] = {
    "empty": (lambda lines: [], [], ["bad.csv: the file is empty"]),
    "only a header": (lambda lines: lines[:1], [], ["bad.csv", "a header and no row"]),
    "wrong column": (
        lambda lines: lines,
        ["--target", "laod"],
        ["bad.csv", "there is no column 'laod'", "time, load", "Did you mean 'load'?"],
    ),
    "wrong time column": (lambda lines: lines, ["--time", "tme"], ["no column 'tme'", "Did you mean 'time'?"]),
    "wrong covariate": (lambda lines: lines, ["--past-covariates", "temp"], ["there is no column 'temp'"]),
    "text in a number column": (
        with_row(6, "2024-01-01 04:00:00,abc"),
        [],
        ["bad.csv, row 6, column 'load'", "expected a number, found 'abc'"],
    ),
    "no target at all": (
        lambda lines: [lines[0], *(line.split(",")[0] + "," for line in lines[1:])],
        ["--target", "load"],
        ["bad.csv, column 'load'", "no value in any row"],
    ),
    "infinite": (
        with_row(6, "2024-01-01 04:00:00,inf"),
        [],
        ["bad.csv, row 6, column 'load'", "expected a finite number, found infinity"],
    ),
    "time twice": (
        lambda lines: [*lines[:5], lines[4], *lines[5:]],
        [],
        ["row 6", "2024-01-01 03:00 stands twice", "row 5"],
    ),
    "unsorted": (
        lambda lines: [*lines[:5], lines[6], lines[5], *lines[7:]],
        [],
        ["row 7", "not sorted by time: 2024-01-01 04:00 comes after 2024-01-01 05:00"],
    ),
    "unparsable date": (
        with_row(6, "2024-13-01 04:00:00,5"),
        [],
        ["bad.csv, row 6, column 'time'", "expected a date and time, found '2024-13-01 04:00:00'"],
    ),
    "mixed frequencies": (two_steps, ["--series", "id"], ["series have different steps", "--frequency"]),
    "too short": (lambda lines: lines[:20], [], ["19 rows", "need at least", "shorter --context or --horizon"]),
    "a cell too many": (with_row(6, "2024-01-01 04:00:00,5,7"), [], ["row 6", "expected 2 cells", "found 3"]),
    "a cell too few": (with_row(6, "2024-01-01 04:00:00"), [], ["row 6", "expected 2 cells", "found 1"]),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_bad_table(here: Path, refused: Refused, case: str) -> None:
    spoil, options, words = TABLES[case]
    (here / "bad.csv").write_text("".join(f"{line}\n" for line in spoil(power(here))))
    message = refused("train", "forecast", "bad.csv", "-o", "out", *FORECAST, *options)
    for word in words:
        assert word in message
    assert not (here / "out").exists()


TEXTS: dict[str, tuple[bytes, list[str], str]] = {
    "empty": (b"", [], "the file is empty"),
    "only white space": (b" \n\n", [], "bad.txt"),
    "a column that is not there": (b"a\tb\n1\tx\n", ["--column", "c"], "'c'"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_bad_text(here: Path, refused: Refused, case: str) -> None:
    content, options, words = TEXTS[case]
    (here / "bad.txt").write_bytes(content)
    assert words in refused("train", "generate", "bad.txt", "-o", "out", "--epochs", 1, *options)
    assert not (here / "out").exists()


@pytest.mark.parametrize(("task", "file"), [("forecast", "power.csv"), ("generate", "book.txt")])
class TestBothTasks:
    """What no task may take."""

    def test_a_missing_file(self, here: Path, refused: Refused, task: str, file: str) -> None:
        message = refused("train", task, f"no-{file}", "-o", "out", *self.needed(task))
        assert f"no-{file}" in message
        assert "no such file" in message
        assert not (here / "out").exists()

    def test_a_directory_instead_of_a_file(self, here: Path, refused: Refused, task: str, file: str) -> None:
        (here / "folder").mkdir()
        assert "folder: expected a file, found a directory" in refused(
            "train", task, "folder", "-o", "out", *self.needed(task)
        )
        assert not (here / "out").exists()

    def test_latin_1(self, here: Path, refused: Refused, task: str, file: str) -> None:
        (here / "latin").write_bytes((here / file).read_bytes() + b"caf\xe9\n")
        message = refused("train", task, "latin", "-o", "out", *self.needed(task))
        assert "latin" in message
        assert "0xe9" in message
        assert "UTF-8" in message
        assert not (here / "out").exists()

    def test_an_output_that_exists(self, here: Path, refused: Refused, task: str, file: str) -> None:
        (here / "out").mkdir()
        (here / "out" / "thesis.txt").write_text("mine")
        for force in ([], ["--force"]):
            message = refused("train", task, file, "-o", "out", *self.needed(task), *force)
            assert "out: this directory exists and is no Steploom model" in message
        assert [path.name for path in (here / "out").iterdir()] == ["thesis.txt"]

    def test_an_output_that_is_a_file(self, here: Path, refused: Refused, task: str, file: str) -> None:
        assert f"{file}: expected a directory" in refused("train", task, file, "-o", file, *self.needed(task))

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--cell", "lsmt"], "there is no cell 'lsmt'. Did you mean 'lstm'?"),
            (["--cell", "nowhere.cells:MyCell"], "there is no module 'nowhere'"),
            (["--optimizer", "admm"], "expected one of adam, adamw, rmsprop, sgd, found 'admm'. Did you mean 'adam'?"),
            (["--hiden-size", "3"], "there is no option --hiden-size. Did you mean '--hidden-size'?"),
            (["--hidden-size", "0"], "--hidden-size: expected a whole number of at least 1, found '0'"),
            (["--hidden-size", "many"], "--hidden-size: expected a whole number of at least 1, found 'many'"),
            (["--lr", "nan"], "--lr: expected a number of more than 0, found 'nan'"),
            (["--dropout", "1"], "--dropout: expected a number of at least 0 and less than 1, found '1'"),
        ],
    )
    def test_a_bad_option(
        self, here: Path, refused: Refused, task: str, file: str, options: list[str], words: str
    ) -> None:
        assert words in refused("train", task, file, "-o", "out", *self.needed(task), *options)
        assert not (here / "out").exists()

    @pytest.mark.parametrize(
        ("returned", "words"),
        [
            ("h, h", ["Mine declares 1 state (h) but returns 2 states"]),
            ("h[:, :-1],", ["State `h` enters as (batch, 128) but the cell returns (batch, 127)"]),
            ("h[:1].expand(3, -1),", ["State `h` enters as (batch, 128) but the cell returns (3, 128)"]),
            ("h", ["Mine returns a tensor. Return a tuple of its states: (h,)"]),
            ("missing,", ["mycells", ":Mine' failed in", "line 12: NameError: name 'missing' is not defined"]),
        ],
    )
    def test_a_cell_that_breaks_the_contract(
        self, here: Path, refused: Refused, task: str, file: str, returned: str, words: list[str]
    ) -> None:
        module = f"mycells_{task}_{len(returned)}"
        (here / f"{module}.py").write_text(CELL.format(returned=returned))
        message = refused(
            "train", task, file, "-o", "out", *self.needed(task), "--hidden-size", 128, "--cell", f"{module}:Mine"
        )
        for word in words:
            assert word in message
        assert not (here / "out").exists()

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("hiden_size: 3", "options.yaml: there is no option hiden_size. Did you mean 'hidden_size'?"),
            ("hidden_size: 0", "options.yaml: hidden_size: expected a whole number of at least 1, found 0"),
            ("- 1", "options.yaml: expected lines of the form `hidden_size: 128`"),
            ("a: [", "options.yaml: this is no YAML"),
        ],
    )
    def test_a_bad_config(self, here: Path, refused: Refused, task: str, file: str, content: str, words: str) -> None:
        (here / "options.yaml").write_text(content)
        assert words in refused("train", task, file, "-o", "out", *self.needed(task), "--config", "options.yaml")
        assert "No such file" in refused("train", task, file, "-o", "out", "--config", "none.yaml")
        assert not (here / "out").exists()

    def test_nowhere_to_write(self, here: Path, refused: Refused, task: str, file: str) -> None:
        assert "--out" in refused("train", task, file)
        assert "DATA" in refused("train", task, "-o", "out")
        assert not (here / "out").exists()

    @staticmethod
    def needed(task: str) -> list[str]:
        return FORECAST if task == "forecast" else ["--epochs", "1"]


CELL = """
from torch import nn
from steploom import Cell

class Mine(Cell):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.states = {{"h": hidden_size}}
        self.linear = nn.Linear(input_size + hidden_size, hidden_size)

    def forward(self, x, h):
        return {returned}
"""


@pytest.mark.parametrize("horizon", ["0", "-1", "1.5"])
def test_a_horizon_that_is_none(here: Path, refused: Refused, horizon: str) -> None:
    message = refused("train", "forecast", "power.csv", "-o", "out", "--horizon", horizon)
    assert f"--horizon: expected a whole number of at least 1, found '{horizon}'" in message
    assert not (here / "out").exists()


def test_no_horizon(here: Path, refused: Refused) -> None:
    assert "--horizon is required" in refused("train", "forecast", "power.csv", "-o", "out")


@pytest.mark.parametrize("task", ["forecast", "generate"])
def test_a_byte_order_mark_and_windows_line_ends_simply_work(here: Path, run: Run, task: str) -> None:
    name = "power.csv" if task == "forecast" else "poems.txt"
    text = (here / name).read_text()
    (here / "windows").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    options = ["--horizon", "12", "--context", "24"] if task == "forecast" else ["--lines"]
    for file in (name, "windows"):
        result = run("train", task, file, "-o", f"{file}-out", "--epochs", 1, "--hidden-size", 8, *options)
        assert result.exit_code == 0, result.stderr
    plain, windows = ((here / f"{file}-out" / "weights.safetensors").read_bytes() for file in (name, "windows"))
    assert plain == windows
