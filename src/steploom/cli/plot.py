"""`steploom plot DIR`: the picture that shows what a model does."""

from __future__ import annotations

from pathlib import Path

import click

from steploom.cli.files import check_output_file, check_picture, written_whole
from steploom.cli.help import HELP_SETTINGS

__all__ = ["command"]


@click.command("plot", context_settings=HELP_SETTINGS)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("data", required=False, type=click.Path(path_type=Path))
@click.option("-o", "--out", "file", metavar="FILE.png", help="where the picture goes [DIR/plot.png]")
@click.option("--cell", help="the model's own cell again, where it was package.module:Class")
def command(directory: Path, data: Path | None, file: str | None, cell: str | None) -> None:
    """Draw what the model in DIR does: for a forecast, DATA with the forecast and its intervals.

    The curves of the training are drawn already: DIR/curves.png.
    """
    out = check_output_file(file, *([data] if data is not None else []), stream=False) or directory / "plot.png"
    check_picture(out)
    from steploom.cli.report import say, working
    from steploom.tasks.trained import load

    with working():
        model = load(directory, cell=cell)
        with written_whole(out) as part:
            model.plot(part, data)
    say(f"{out} shows what the model does; {directory / 'curves.png'} shows how it was trained.")
