"""What a command says when it is done: words on standard error, results on standard output."""

from __future__ import annotations

import contextlib
import json
import logging
import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from steploom.training.memory import keep_freed_memory

if TYPE_CHECKING:
    from steploom.tasks.trained import TrainedModel

__all__ = ["print_json", "report_training", "say", "working"]


@contextlib.contextmanager
def working(notes: bool = True) -> Iterator[None]:
    """While it works, what was noticed in the data goes to standard error, and so does what a library prints.

    Standard output is for results alone.

    Args:
        notes: whether what was noticed in the data is said at all.
    """
    logger, handler = logging.getLogger("steploom"), logging.StreamHandler(sys.stderr)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO if notes else logging.WARNING)
    keep_freed_memory()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def say(words: str) -> None:
    """Words for the person, on standard error."""
    click.echo(words, err=True)


def print_json(values: Mapping[str, Any]) -> None:
    """One JSON object on standard output. A value that is not finite becomes null, which every reader of JSON knows."""
    click.echo(json.dumps(_finite(values), ensure_ascii=False, allow_nan=False, default=str))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and value - value != 0 else value


def report_training(model: TrainedModel, as_json: bool) -> None:
    """The scores of a training that has ended, where everything is, and what to type next."""
    if as_json:
        print_json(model.report)
        return
    from steploom.cli.tables import score_table, show

    path, report = model.path, model.report
    for part in ("validation", "test"):
        if report[part]["metrics"]:
            show(score_table(f"{part} part", report[part]["metrics"], report[part]["baselines"], model.task.metrics))
            click.echo()
    how = {"time": "the time was used up", "patience": "the validation loss had stopped falling"}
    why = f" ({how[report['stopped']]})" if report["stopped"] in how else ""
    epochs = f"{report['epochs']} epoch{'' if report['epochs'] == 1 else 's'}"
    anew = f", trained anew on all rows for {report['refit']['steps']} steps" if report["refit"] else ""
    click.echo(f"{path} holds the model: {report['parameters']:,} parameters, {epochs}{why}{anew}.")
    click.echo(f"{path / 'curves.png'} shows how it was trained.")
    typed, own = shlex.quote(str(path)), model.task.options.cell
    cell = f" --cell {own}" if ":" in own else ""
    click.echo("\nNext, with data that the training has not seen:")
    for command in (
        f"predict {typed}{'' if model.task.predicts_alone else ' DATA'}{cell}",
        f"evaluate {typed} DATA{cell}",
        f"plot {typed}{cell}",
    ):
        click.echo(f"  steploom {command}")
