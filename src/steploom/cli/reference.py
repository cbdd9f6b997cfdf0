"""The help pages as one Markdown page. `make docs` writes it; a test compares."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from steploom.cli.help import HELP_SETTINGS, TwoLengthCommand
from steploom.cli.main import cli
from steploom.cli.train import TrainCommands

__all__ = ["command_line_reference"]

_HEAD = """# The command line

Made from the help pages by `make docs`; a test compares. `--help-all` of a command shows rarely used options as well.
"""


def command_line_reference() -> str:
    """The page: `steploom --help`, then the long help of each command."""
    return _HEAD + "".join(f"\n## {title}\n\n```text\n{page}\n```\n" for title, page in _pages())


def _pages() -> Iterator[tuple[str, str]]:
    top = click.Context(
        cli, info_name="steploom", terminal_width=100, help_option_names=HELP_SETTINGS["help_option_names"]
    )
    yield "steploom", cli.get_help(top)
    for name in cli.list_commands(top):
        command = cli.find(name)
        yield f"steploom {name}", _page(command, name, top)
        if isinstance(command, TrainCommands):
            inner = click.Context(command, info_name=name, parent=top)
            for task in command.list_commands(inner):
                yield f"steploom {name} {task}", _page(command.find(task), task, inner)


def _page(command: click.Command, name: str, parent: click.Context) -> str:
    context = command.make_context(name, [], parent=parent, terminal_width=100, resilient_parsing=True)
    if isinstance(command, TwoLengthCommand):
        command.show_everything()
    return command.get_help(context)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(command_line_reference(), encoding="utf-8")
