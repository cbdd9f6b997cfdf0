"""`steploom resume DIR`: go on exactly where a training stopped."""

from __future__ import annotations

from pathlib import Path

import click

from steploom.cli.help import HELP_SETTINGS

__all__ = ["command"]


@click.command("resume", context_settings=HELP_SETTINGS)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="train until so many epochs are done in all")
@click.option(
    "--max-minutes", type=click.FloatRange(min=0, min_open=True), metavar="X", help="a new limit of the time in all"
)
@click.option("--cell", help="the model's own cell again, where it was package.module:Class")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object on standard output")
def command(directory: Path, epochs: int | None, max_minutes: float | None, cell: str | None, as_json: bool) -> None:
    """Go on with the training in DIR, as if it had never stopped.

    With --epochs or --max-minutes, a training that is complete goes on for longer.
    """
    from steploom.cli.report import report_training, working
    from steploom.tasks.train import resume

    with working():
        model = resume(directory, epochs=epochs, max_minutes=max_minutes, cell=cell)
    report_training(model, as_json)
