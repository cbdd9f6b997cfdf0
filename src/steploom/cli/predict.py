"""`steploom predict DIR [DATA]`: what a trained model says."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from steploom.cli.files import check_output_file, written_whole
from steploom.cli.help import HELP_SETTINGS
from steploom.cli.model_command import ModelCommand
from steploom.training.options import Options

__all__ = ["command"]


@click.command("predict", cls=ModelCommand, options_of=lambda task: task.PredictOptions, context_settings=HELP_SETTINGS)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("data", required=False, type=click.Path(path_type=Path))
@click.option("-o", "--out", "file", metavar="FILE", help="where it goes; else, or as -, to standard output")
@click.option("--cell", help="the model's own cell again, where it was package.module:Class")
def command(directory: Path, data: Path | None, file: str | None, cell: str | None, options: Options) -> None:
    """Let the model in DIR predict, from DATA where its task needs some.

    The options are those of the model's task: `steploom predict DIR --help` shows them alone.
    """
    out = check_output_file(file, *([data] if data is not None else []))
    from steploom.cli.report import say, working
    from steploom.tasks.trained import load

    results = sys.stdout
    with working():
        prediction = load(directory, cell=cell).predict(data, **options.model_dump(exclude_unset=True))
        if out is not None:
            with written_whole(out) as part:
                prediction.write(part)
        elif prediction.pieces is not None:
            for piece in prediction.pieces:
                click.echo(piece, file=results, nl=False)
    if out is None:
        click.echo(prediction.text, nl=False)
    else:
        say(f"{out} holds the prediction.")
