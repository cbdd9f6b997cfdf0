"""Commands on a model directory whose options depend on the model's task: predict and evaluate."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from steploom.cli.help import TwoLengthCommand
from steploom.cli.options import click_options, resolve
from steploom.errors import ModelDirectoryError, OptionError
from steploom.tasks.registry import TASKS, task_class
from steploom.tasks.task import Task
from steploom.training.directory import read
from steploom.training.options import Options

__all__ = ["ModelCommand"]


class ModelCommand(TwoLengthCommand):
    """A command `NAME DIR ...` that has, besides its own parameters, the options of the task that DIR's model does.

    Args:
        options_of: the options of a task, such as `lambda task: task.PredictOptions`.
        attributes: what `click.Command` takes. The callback gets the task's options, checked, as `options`.
    """

    def __init__(self, *args: Any, options_of: Callable[[type[Task]], type[Options]], **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self._options_of = options_of
        self._own = list(self.params)
        self._task: type[Task] | None = None
        self._everything = False

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Finds DIR among `args`, and takes on the options of its task before they are read."""
        directory = self._directory(args)
        self._everything = False
        self._task = _task_of(Path(directory)) if directory is not None else None
        more = click_options(self._options_of(self._task)) if self._task is not None else []
        self.params = [*self._own, *more]
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Calls the callback with `options` in place of the task's single values."""
        model = self._options_of(_task_of(ctx.params["directory"]))
        given = {name: ctx.params.pop(name) for name in model.model_fields if name in ctx.params}
        return ctx.invoke(self.callback or (lambda **_: None), **ctx.params, options=resolve(model, given, {}, None))

    def hides(self) -> bool:
        """Whether --help-all shows more than --help: where no DIR was named, for any task."""
        return super().hides() or (self._task is None and not self._everything)

    def show_everything(self) -> None:
        """From now on, help is the long one."""
        super().show_everything()
        self._everything = True

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the options; where no DIR was named, those of each task under its name."""
        super().format_options(ctx, formatter)
        if self._task is not None:
            return
        for name in TASKS:
            made = [p for p in click_options(self._options_of(task_class(name))) if isinstance(p, click.Option)]
            for option in made:
                option.hidden = option.hidden and not self._everything
            records = [record for option in made if (record := option.get_help_record(ctx)) is not None]
            if records:
                with formatter.section(f"Options for a model of the task {name}"):
                    formatter.write_dl(records)

    def _directory(self, args: list[str]) -> str | None:
        """The first argument that is neither an option nor the value of one."""
        every = [click_options(self._options_of(task_class(name))) for name in TASKS]
        options = [
            p for p in [*self._own, *(option for made in every for option in made)] if isinstance(p, click.Option)
        ]
        with_value = {name for option in options if not option.is_flag for name in option.opts}
        position = 0
        while position < len(args):
            if not args[position].startswith("-"):
                return args[position]
            position += 2 if args[position] in with_value else 1
        return None


def _task_of(directory: Path) -> type[Task]:
    """The task of a model, read without loading the model."""
    try:
        name = json.loads((directory / "model.json").read_bytes())["task"]
    except (OSError, ValueError, KeyError, TypeError):
        name = read(directory).task  # says what is wrong with the directory
    try:
        return task_class(name)
    except OptionError as error:
        raise ModelDirectoryError(f"{directory / 'model.json'}: {error}") from None
