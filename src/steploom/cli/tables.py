"""Tables on the terminal: scores of a model beside its baselines, and plain lists of facts."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence

import click
from rich.console import Console
from rich.table import Table

from steploom.tasks.task import TARGET, MetricLabel

__all__ = ["facts_table", "score_table", "show"]


def show(table: Table) -> None:
    """Prints `table` on standard output, in colour only on a terminal, without blanks at the end of lines."""
    console = _console()
    if any(column.no_wrap for column in table.columns):
        # Rather than cut off, lines run on.
        console.width = max(console.width, _natural_width(table, console))
    with console.capture() as printed:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in printed.get().splitlines()))


def score_table(
    title: str,
    model: Mapping[str, float],
    baselines: Mapping[str, Mapping[str, float]],
    labels: Mapping[str, MetricLabel],
    target_unit: str = "data's",
) -> Table:
    """A line a metric: the model, each baseline, the unit, and which way is better.

    Args:
        title: what was scored.
        model: metric name to value.
        baselines: name of the naive method to its metrics, which may lack some.
        labels: how the task calls its metrics; others keep their names.
        target_unit: the unit of the metrics that have that of the data.
    """
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="bold")
    table.add_column("metric", no_wrap=True)
    for name in ("model", *(name.replace("_", " ") for name in baselines)):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    table.add_column("better", no_wrap=True)
    for metric, value in model.items():
        label, unit, better = _label(metric, labels)
        scores = [value, *(scored.get(metric) for scored in baselines.values())]
        table.add_row(label, *_numbers(scores, unit), target_unit if unit is TARGET else unit, better)
    console = _console()
    if _natural_width(table, console) > console.width:
        for column in table.columns:
            column.header = str(column.header).replace(" ", "\n")
    return table


def _label(metric: str, labels: Mapping[str, MetricLabel]) -> MetricLabel:
    """What the task calls a metric; of one class alone (f1_loc), as it calls that of all (f1)."""
    whole, _, part = metric.partition("_")
    if metric in labels or whole not in labels or not part:
        return labels.get(metric, MetricLabel(metric.replace("_", " ")))
    return labels[whole]._replace(name=f"{labels[whole].name}: {part}")


def facts_table(facts: Mapping[str, object]) -> Table:
    """A line a fact."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), _text(value))
    return table


def _console() -> Console:
    # Without markup: "[C]" in the name of a column or a class is no tag.
    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False)


def _natural_width(table: Table, console: Console) -> int:
    return table.__rich_measure__(console, console.options.update(max_width=10_000)).maximum


def _numbers(values: Sequence[float | None], unit: str) -> list[str]:
    """Numbers of one line with the same number of decimals, four digits for the largest; "" for None.

    A number that these would leave fewer than three digits has more of them, unless the line holds percentages.
    """
    shown = [None if value is None else 100 * value if unit == "%" else value for value in values]
    known = [value for value in shown if value is not None and math.isfinite(value)]
    largest = max(map(abs, known), default=0.0)
    if largest >= 1e7 or (0 < largest < 1e-3 and unit != "%"):
        return ["" if value is None else format(value, ".3e") for value in shown]
    whole = all(value == int(value) for value in known)
    if whole or unit == "%":
        return ["" if value is None else format(value, ",.0f" if whole else ",.1f") for value in shown]
    decimals = min(4, max(0, 3 - math.floor(math.log10(largest))))
    return ["" if value is None else _number(value, decimals) for value in shown]


def _number(value: float, decimals: int) -> str:
    """A number with so many decimals, or more where these would leave it fewer than three digits."""
    if value and math.isfinite(value):
        if abs(value) < 1e-4:
            return format(value, ".2e")
        decimals = max(decimals, 2 - math.floor(math.log10(abs(value))))
    return format(value, f",.{decimals}f")


def _text(value: object, within: bool = False) -> str:
    """A fact; several that stand for one `within` others stand in brackets."""
    if isinstance(value, Mapping):
        text = ", ".join(f"{key}={_text(item, within=True)}" for key, item in value.items())
        return f"({text})" if within else text
    if isinstance(value, (list, tuple)):
        text = ", ".join(_text(item, within=True) for item in value)
        return f"({text})" if within and len(value) != 1 else text
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.5g}" if isinstance(value, float) else str(value)
