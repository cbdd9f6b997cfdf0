"""The command `steploom`: it knows its commands by name, and turns what goes wrong into a message and an exit code."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from steploom.cli.help import HELP_SETTINGS, Commands
from steploom.cli.own_cell import fault_of_a_cell
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
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _ReaderLeftError(Exception):
    """Nobody reads standard output any more."""


class Steploom(Commands):
    """The group of all commands. Its `main` decides what each failure prints and returns."""

    def commands_with_help(self) -> dict[str, str]:
        return COMMANDS

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
            # The reader left (`steploom predict ... | head`).
            _forget_output()
            code = 141
        except (click.Abort, KeyboardInterrupt) as error:
            code = _complain(str(error.__cause__ or error) or "stopped", 130)
        except Exception as error:  # noqa: BLE001 the last place where our own faults can be told from a user's mistake
            words = _of_the_system(error) or fault_of_a_cell(error)
            if words is None:
                traceback.print_exc()
                code = _complain(FAULT, 1)
            else:
                code = _complain(words)
        sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str, code: int = 2) -> int:
    click.echo(f"steploom: {_sentence(message)}", err=True)
    return code


def _of_the_system(error: BaseException | None) -> str | None:
    """What the system refused: memory, a full disk, or a file that cannot be used; None for a fault of ours."""
    if error is None:
        return None
    # PyTorch says it in a RuntimeError, with the name of the allocator.
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error)):
        return "there is not enough memory for that. Smaller sizes (--hidden-size, --batch-size) need less"
    if isinstance(error, OSError) and error.errno in _FULL:
        if sys.stdout is not None:
            _forget_output()
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}. Make room there, or write to another place"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    # A library may tell of a full disk in its own way.
    inner = error.__cause__ or error.__context__
    return _of_the_system(inner) if isinstance(inner, OSError) and inner.errno in _FULL else None


def _forget_output() -> None:
    """Nothing more goes to standard output: Python's own flush at the end must not complain."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
