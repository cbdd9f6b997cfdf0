"""`steploom plot DIR`: the picture that shows what a model does."""

from __future__ import annotations

from pathlib import Path

import click

from steploom.cli.files import check_output_file, written_whole
from steploom.cli.help import HELP_SETTINGS

__all__ = ["command"]


@click.command("plot", context_settings=HELP_SETTINGS)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("data", nargs=-1, required=False, type=click.Path(path_type=Path))
@click.option("-o", "--out", "file", metavar="FILE.png", help="where the picture goes [DIR/plot.png]")
@click.option("--cell", help="the model's own cell again, where it was package.module:Class")
def command(directory: Path, data: tuple[Path, ...], file: str | None, cell: str | None) -> None:
    """Draw what the model in DIR does with DATA, or with data of its own.

    A forecast with its intervals; a text with its surprises; a confusion matrix, and what attention looks at; tagged
    sentences, or trees; attention maps; a map of similar sentences.

    The curves of the training are drawn already: DIR/curves.png.
    """
    out = check_output_file(file, *data, stream=False) or directory / "plot.png"
    from steploom.cli.report import say, working
    from steploom.tasks.picture import check_picture
    from steploom.tasks.trained import load

    check_picture(out)
    with working():
        model = load(directory, cell=cell)
        with written_whole(out) as part:
            model.plot(part, data or None)
    say(f"{out} shows what the model does; {directory / 'curves.png'} shows how it was trained.")
