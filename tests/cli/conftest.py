"""The command line, called in this process."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from steploom.cli.main import cli
from tests.docs.files import write_files

Run = Callable[..., Result]
Refused = Callable[..., str]


def rewrite(model: Path, name: str, content: object) -> None:
    """Puts something else into a file of a model, by hand but with the right checksum."""
    written = (content if isinstance(content, str) else json.dumps(content)).encode()
    (model / name).write_bytes(written)
    manifest = json.loads((model / "model.json").read_text())
    manifest["files"][name] = {"bytes": len(written), "sha256": hashlib.sha256(written).hexdigest()}
    (model / "model.json").write_text(json.dumps(manifest))


def train_in(folder: Path, *arguments: str) -> Path:
    """Calls `steploom train ARGUMENTS -o model --json` in a folder and puts what it printed into stdout.json there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = CliRunner().invoke(cli, ["train", *arguments, "-o", "model", "--json"])
    assert result.exit_code == 0, result.stderr
    (folder / "stdout.json").write_text(result.stdout)
    return folder


@pytest.fixture
def run() -> Run:
    """Calls `steploom ARGUMENTS`; the result has exit_code, stdout and stderr."""

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(cli, [str(argument) for argument in arguments])

    return call


@pytest.fixture
def refused(run: Run) -> Refused:
    """Calls `steploom ARGUMENTS`, which must end as a user's mistake does; returns the one message."""

    def call(*arguments: object) -> str:
        result = run(*arguments)
        assert result.exit_code == 2, (result.exit_code, result.stdout, result.stderr)
        assert result.stdout == ""
        assert "Traceback" not in result.stderr
        messages = [line for line in result.stderr.splitlines() if line.startswith("steploom: ")]
        assert len(messages) == 1
        assert result.stderr.endswith(f"{messages[0]}\n")
        assert messages[0].endswith((".", "?"))
        return messages[0].removeprefix("steploom: ")

    return call


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with power.csv, book.txt and poems.txt."""
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def model(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what the `trained` of a module holds, in the current directory; the model in it."""
    shutil.copytree(trained, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return Path("model")
