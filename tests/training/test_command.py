"""Commands in messages."""

import shlex
from pathlib import Path

from steploom.training.command import command


def test_a_shell_reads_the_command_as_it_was_meant():
    told = command("evaluate", Path("my model"), Path("it's.csv"), cell="cells:Mine")
    assert shlex.split(told) == ["steploom", "evaluate", "my model", "it's.csv", "--cell", "cells:Mine"]
    assert command("resume", Path("model"), cell="gru") == "steploom resume model"
