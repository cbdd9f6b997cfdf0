"""What every command has in common: help, messages, exit codes."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from steploom.cli.main import COMMANDS, FAULT, Steploom, cli
from steploom.errors import DataError
from steploom.tasks.registry import TASKS
from tests.cli.conftest import Run

STEPLOOM = [sys.executable, "-m", "steploom"]
HEAVY = {"torch", "pandas", "pytorch_lightning", "lightning_fabric", "matplotlib", "pyarrow"}


def test_help_lists_the_commands_in_order(run: Run) -> None:
    shown = run("--help").stdout
    positions = [shown.index(f"\n  {name} ") for name in COMMANDS]
    assert positions == sorted(positions)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_about_a_command_is_kept_by_its_page(run: Run, name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert f"steploom {name}" in result.stdout
    assert len(result.stdout.splitlines()) <= 50


@pytest.mark.parametrize("task", TASKS)
def test_the_short_help_of_a_task_fits_a_screen(run: Run, task: str) -> None:
    assert len(run("train", task, "--help").stdout.splitlines()) <= 50


@pytest.mark.parametrize(
    "page", [["--help"], ["--version"], ["train", "generate", "-h"], *(["train", task, "--help"] for task in TASKS)]
)
def test_help_is_quick_and_loads_nothing_heavy(page: list[str]) -> None:
    def cpu_seconds(command: list[str]) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    bare = min(cpu_seconds([sys.executable, "-c", "pass"]) for _ in range(3))
    assert min(cpu_seconds([*STEPLOOM, *page]) for _ in range(3)) - bare < 0.5
    timed = subprocess.run([sys.executable, "-X", "importtime", *STEPLOOM[1:], *page], capture_output=True, text=True)
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in timed.stderr.splitlines()}
    assert "click" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_without_a_command_the_help_is_shown() -> None:
    result = CliRunner().invoke(cli, [])
    assert result.exit_code == 2
    assert "Commands:" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "there is no command 'trian'. Did you mean 'train'?"),
        (["--vresion"], "there is no option --vresion. Did you mean '--version'?"),
        (["cells", "--jsn"], "there is no option --jsn. Did you mean '--json'?"),
        (["cells", "lsmt"], "there is no cell 'lsmt'. Did you mean 'lstm'?"),
        (["train", "forcast"], "there is no task 'forcast'. Did you mean 'forecast'?"),
        (["cells", "--bogus"], "there is no option --bogus. `steploom cells --help` shows"),
        (["train", "forecast", "--hiden-size"], "there is no option --hiden-size. Did you mean '--hidden-size'?"),
        (["info"], "Missing argument 'DIR'"),
        (["cells", "lstm", "gru"], "unexpected extra argument"),
    ],
)
def test_what_is_mistyped_is_named(refused: Callable[..., str], arguments: list[str], message: str) -> None:
    assert message in refused(*arguments)


def test_an_error_of_ours_keeps_its_traceback_and_one_of_the_user_does_not() -> None:
    @click.command(cls=Steploom)
    def group() -> None: ...

    def failing(error: BaseException) -> click.Command:
        def fail() -> None:
            raise error

        return click.Command("info", callback=fail)

    def outcome(error: BaseException) -> tuple[int, str]:
        group.find = lambda name: failing(error)  # type: ignore[method-assign]
        result = CliRunner().invoke(group, ["info"])
        return result.exit_code, result.stderr

    assert outcome(DataError("no rows", file="a.csv")) == (2, "steploom: a.csv: no rows.\n")
    assert outcome(PermissionError(13, "Permission denied", "x.csv")) == (2, "steploom: x.csv: Permission denied.\n")
    full = OSError(28, "No space left on device")
    told = (2, "steploom: No space left on device. Make room there, or write to another place.\n")
    assert outcome(full) == told
    chained = RuntimeError("unexpected pos 283456")
    chained.__context__ = full
    assert outcome(chained) == told
    assert outcome(OSError(28, "No space left on device", "x.csv")) == (2, told[1].replace("N", "x.csv: N", 1))
    assert outcome(OSError("of ours"))[0] == 1
    assert outcome(KeyboardInterrupt("stopped after 3 epochs")) == (130, "\nsteploom: stopped after 3 epochs.\n")
    assert outcome(KeyboardInterrupt()) == (130, "\nsteploom: stopped.\n")
    code, words = outcome(ZeroDivisionError("of ours"))
    assert code == 1
    assert "Traceback" in words and "ZeroDivisionError: of ours" in words and words.endswith(f"steploom: {FAULT}\n")


def test_too_little_memory_is_said_in_a_sentence(here: Path) -> None:
    command = [*STEPLOOM, "train", "generate", "book.txt", "-o", "m", "--hidden-size", "1000000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "steploom: there is not enough memory for that." in done.stderr
    assert not (here / "m").exists()


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*STEPLOOM, "cells", "--json"], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("arguments", [["cells"], ["cells", "--json"], ["cells", "--help"], ["--version"]])
def test_a_full_disk_behind_standard_output(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*STEPLOOM, *arguments], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == "steploom: No space left on device. Make room there, or write to another place.\n"


def test_python_m_steploom_is_the_command() -> None:
    script = Path(sys.executable).with_name("steploom")
    shown = [
        subprocess.run([*command, "--version"], capture_output=True, text=True) for command in ([script], STEPLOOM)
    ]
    assert shown[0].stdout == shown[1].stdout
    assert shown[0].stdout.startswith("steploom ")
