"""The command `steploom`: it knows its commands by name, and turns what goes wrong into a message and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from steploom.cli.help import HELP_SETTINGS, Commands
from steploom.errors import SteploomError, nearest

__all__ = ["COMMANDS", "cli", "main"]

COMMANDS = {
    "train": "Train a model on your files.",
    "predict": "Let a trained model predict.",
    "evaluate": "Score a trained model beside a naive method.",
    "resume": "Go on with a training that was stopped, or train longer.",
    "info": "Say what a model directory holds.",
    "plot": "Draw a trained model's picture.",
    "cells": "List the cells, or show the equations of one.",
    "demo": "Forecast tomorrow's air quality in Beijing, in about a minute.",
}
FAULT = "This is a fault in Steploom, not in what you typed. Please report it with the lines above."


class _ReaderLeftError(Exception):
    """Nobody reads standard output any more."""


class Steploom(Commands):
    """The group of all commands. Its `main` decides what each failure prints and returns."""

    def commands_with_help(self) -> dict[str, str]:
        return COMMANDS

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def find(self, name: str) -> click.Command:
        command: click.Command = import_module(f"steploom.cli.{name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Calls the command. click would turn a broken pipe into exit code 1, which is kept for our own faults."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            raise _ReaderLeftError from None
        return result

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, *_: Any, **__: Any) -> NoReturn:
        """Runs a command and leaves: 0 done, 1 our fault, 2 a user's mistake, 130 Ctrl-C, 141 nobody reads."""
        try:
            code = super().main(args, prog_name or "steploom", standalone_mode=False)
        except SteploomError as error:
            code = _complain(str(error))
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            code = 2
        except click.ClickException as error:
            context = getattr(error, "ctx", None)
            page = f" `{context.command_path} --help` shows what there is." if context else ""
            code = _complain(_sentence(_words(error)) + page)
        except _ReaderLeftError:
            # The reader left (`steploom predict ... | head`); Python's own flush at the end must not complain either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 141
        except OSError as error:
            if error.filename is None:
                raise
            code = _complain(f"{error.filename}: {error.strerror}.")
        except (click.Abort, KeyboardInterrupt) as error:
            code = _complain(str(error.__cause__ or error) or "stopped", 130)
        except Exception:  # noqa: BLE001 the last place where our own faults can be told from a user's mistake
            traceback.print_exc()
            code = _complain(FAULT, 1)
        sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str, code: int = 2) -> int:
    click.echo(f"steploom: {_sentence(message)}", err=True)
    return code


def _words(error: click.ClickException) -> str:
    if isinstance(error, click.NoSuchOption) and error.ctx is not None:
        known = [name for parameter in error.ctx.command.get_params(error.ctx) for name in parameter.opts]
        hint = nearest(error.option_name, [name for name in known if name.startswith("--")])
        return f"there is no option {error.option_name}.{hint}"
    return error.format_message()


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else text + "."


@click.command("steploom", cls=Steploom, context_settings=HELP_SETTINGS)
@click.version_option(package_name="steploom", prog_name="steploom", message="%(prog)s %(version)s")
def cli() -> None:
    """Write one step; run the sequence: from your own files to a trained recurrent model and its predictions.

    \b
    steploom train forecast power.csv -o power --horizon 24
    steploom predict power power.csv
    """


def main() -> NoReturn:
    """The entry point of the command `steploom`."""
    cli.main()
