"""`steploom train TASK`: one command a task, its options made from the task's typed ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from steploom.cli.help import HELP_SETTINGS, Commands, TwoLengthCommand
from steploom.cli.options import click_options, read_config, resolve
from steploom.tasks.registry import TASKS, task_class
from steploom.tasks.task import Task

__all__ = ["TrainCommands", "command"]


class TrainCommands(Commands):
    """The tasks as commands."""

    def commands_with_help(self) -> dict[str, str]:
        return {name: task_class(name).summary for name in TASKS}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(TASKS)  # the lines about them would import every task

    def find(self, name: str) -> click.Command:
        return _train_command(task_class(name))

    def kind(self) -> str:
        return "task"


@click.command("train", cls=TrainCommands, context_settings=HELP_SETTINGS, subcommand_metavar="TASK DATA... -o DIR")
def command() -> None:
    """Train a model for TASK on DATA, score it beside a naive method, and keep it in DIR.

    `steploom train TASK --help` shows the options.
    """


def _train_command(task: type[Task]) -> click.Command:
    files = click.Path(path_type=Path)
    params: list[click.Parameter] = [
        click.Argument(["data"], nargs=-1, required=True, type=files),
        click.Option(
            ["-o", "--out", "directory"], required=True, type=files, metavar="DIR", help="Where the model goes."
        ),
        click.Option(
            ["--valid"],
            multiple=True,
            type=files,
            metavar="FILE",
            help="chooses the best weights [repeatable]",
        ),
        click.Option(["--test"], multiple=True, type=files, metavar="FILE", help="scored at the end [repeatable]"),
        *click_options(task.TrainOptions),
        click.Option(["--config"], type=files, metavar="FILE", help="options from a YAML file; those typed here win"),
        click.Option(["--force"], is_flag=True, help="replace the model in DIR"),
        click.Option(["--json", "as_json"], is_flag=True, help="print one JSON object on standard output"),
    ]

    def call(**given: Any) -> None:
        _train(task, **given)

    return TwoLengthCommand(task.name, params=params, callback=call, help=task.summary, context_settings=HELP_SETTINGS)


def _train(
    task: type[Task],
    data: tuple[Path, ...],
    directory: Path,
    valid: tuple[Path, ...],
    test: tuple[Path, ...],
    config: Path | None,
    force: bool,
    as_json: bool,
    **given: Any,
) -> None:
    options = resolve(task.TrainOptions, given, read_config(config) if config else {}, config)
    from steploom.cli.report import report_training, working
    from steploom.tasks.train import train

    with working():
        model = train(
            task.name,
            list(data),
            directory,
            valid=valid,
            test=test,
            force=force,
            **options.model_dump(exclude_unset=True),
        )
    return report_training(model, as_json)
