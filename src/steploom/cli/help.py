"""How help pages look, and what click lacks: commands that are imported late, and help in two lengths."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import click

from steploom.errors import OptionError, nearest

__all__ = ["HELP_SETTINGS", "Commands", "TwoLengthCommand"]

HELP_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Commands(click.Group, ABC):
    """A group whose members are imported when they are called; the list with a line about each is known before."""

    @abstractmethod
    def commands_with_help(self) -> dict[str, str]:
        """Name of a command to a line about it, in the order of the help page."""

    @abstractmethod
    def find(self, name: str) -> click.Command:
        """The command called `name`, one of `commands_with_help`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the help page."""
        return list(self.commands_with_help())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command called `cmd_name`, or None."""
        return self.find(cmd_name) if cmd_name in self.list_commands(ctx) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list without importing a command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.commands_with_help().items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that `args` begin with; an unknown one is answered with the nearest."""
        name, known = args[0], self.list_commands(ctx)
        if name.startswith("-"):
            raise click.NoSuchOption(name, ctx=ctx)
        if name not in known:
            kind = self.kind()
            raise OptionError(f"there is no {kind} '{name}'.{nearest(name, known)} There are: {', '.join(known)}.")
        return name, self.find(name), args[1:]

    def kind(self) -> str:
        """What a member is called in a message."""
        return "command"


class TwoLengthCommand(click.Command):
    """A command with --help, which shows the common options, and --help-all, which shows all.

    Options that only the long page shows carry `hidden=True`.
    """

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The parameters, with --help-all beside --help where something is hidden."""
        params = super().get_params(ctx)
        if self.hides():
            params.append(
                click.Option(
                    ["--help-all"],
                    is_flag=True,
                    is_eager=True,
                    expose_value=False,
                    callback=_show_all,
                    help="show all options",
                )
            )
        return params

    def hides(self) -> bool:
        """Whether --help-all shows more than --help."""
        return any(isinstance(parameter, click.Option) and parameter.hidden for parameter in self.params)

    def show_everything(self) -> None:
        """From now on, help is the long one."""
        for parameter in self.params:
            if isinstance(parameter, click.Option):
                parameter.hidden = False


def _show_all(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        if isinstance(ctx.command, TwoLengthCommand):
            ctx.command.show_everything()
        click.echo(ctx.get_help())
        ctx.exit()
