"""`steploom evaluate DIR DATA`: the metrics of a trained model, beside its naive baselines."""

from __future__ import annotations

import time
from pathlib import Path

import click

from steploom.cli.files import check_output_file, written_whole
from steploom.cli.help import HELP_SETTINGS
from steploom.cli.model_command import ModelCommand
from steploom.errors import OptionError
from steploom.training.options import Options

__all__ = ["command"]


@click.command(
    "evaluate", cls=ModelCommand, options_of=lambda task: task.EvaluateOptions, context_settings=HELP_SETTINGS
)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("data", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--out", "file", metavar="FILE", help="also write the predictions that were scored")
@click.option("--cell", help="the model's own cell again, where it was package.module:Class")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object on standard output")
def command(
    directory: Path, data: tuple[Path, ...], file: str | None, cell: str | None, as_json: bool, options: Options
) -> None:
    """Score the model in DIR on DATA, beside the naive method of its task.

    The options are those of the model's task: `steploom evaluate DIR --help` shows them alone.
    """
    out = check_output_file(file, *data, stream=False)
    from steploom.cli.report import print_json, say, working
    from steploom.cli.tables import score_table, show
    from steploom.tasks.trained import load

    start = time.perf_counter()
    with working():
        model = load(directory, cell=cell)
        evaluation = model.evaluate(data, **options.model_dump(exclude_unset=True))
        if out is not None:
            if evaluation.write is None:
                # An older file of that name would be taken for what was scored now.
                raise OptionError("--out: there are no predictions here that a file could hold. Leave it out")
            with written_whole(out) as part:
                evaluation.write(part)
    files = [str(path) for path in data]
    named = " ".join(files)
    seconds = time.perf_counter() - start
    if as_json:
        scored = files if len(files) > 1 else named
        scores = {"metrics": evaluation.metrics, "baselines": evaluation.baselines}
        print_json({"task": model.task.name, "data": scored, **scores, "seconds": round(seconds, 3)})
    else:
        show(score_table(f"{directory} on {named}", evaluation.metrics, evaluation.baselines, model.task.metrics))
    if out is not None:
        say(f"{out} holds the predictions that were scored.")
