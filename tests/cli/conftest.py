"""The command line, called in this process."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from steploom.cli.main import cli

Run = Callable[..., Result]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Calls `steploom ARGUMENTS`; the result has exit_code, stdout and stderr."""

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(cli, [str(argument) for argument in arguments])

    return call


@pytest.fixture
def refused(run: Run) -> Callable[..., str]:
    """Calls `steploom ARGUMENTS`, which must end as a user's mistake does; returns the one message."""

    def call(*arguments: object) -> str:
        result = run(*arguments)
        assert result.exit_code == 2, (result.exit_code, result.stdout, result.stderr)
        assert result.stdout == ""
        assert "Traceback" not in result.stderr
        assert result.stderr.startswith("steploom: ")
        assert result.stderr.count("\n") == 1
        assert result.stderr.endswith((".\n", "?\n"))
        return result.stderr.removeprefix("steploom: ").strip()

    return call
