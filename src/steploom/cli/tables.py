"""Tables on the terminal: scores of a model beside its baselines, and plain lists of facts."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

__all__ = ["facts_table", "score_table", "show"]

_LABELS = {
    "accuracy": ("accuracy", "%", "higher"),
    "bits_per_char": ("bits a character", "bits", "lower"),
    "bits_per_token": ("bits a token", "bits", "lower"),
    "coverage_80": ("coverage of the 80 % interval", "%", "near 80"),
    "mae": ("mean absolute error", "target's", "lower"),
    "mase": ("error scaled by the seasonal naive", "", "lower"),
    "nats_per_char": ("nats a character", "nats", "lower"),
    "nats_per_token": ("nats a token", "nats", "lower"),
    "perplexity": ("perplexity", "", "lower"),
    "rmse": ("root mean squared error", "target's", "lower"),
    "wql": ("weighted quantile loss", "", "lower"),
}


def show(table: Table) -> None:
    """Prints `table` on standard output, in colour only on a terminal."""
    Console(file=sys.stdout, highlight=False).print(table)


def score_table(title: str, model: Mapping[str, float], baselines: Mapping[str, Mapping[str, float]]) -> Table:
    """A line a metric: the model, each baseline, the unit, and which way is better.

    Args:
        title: what was scored.
        model: metric name to value.
        baselines: name of the naive method to its metrics, which may lack some.
    """
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="bold")
    table.add_column("metric")
    for name in ("model", *(name.replace("_", " ") for name in baselines)):
        table.add_column(name, justify="right")
    table.add_column("unit")
    table.add_column("better")
    for metric, value in model.items():
        label, unit, better = _LABELS.get(metric, (metric.replace("_", " "), "", ""))
        cells = [_number(value, unit)]
        cells += [_number(scores[metric], unit) if metric in scores else "" for scores in baselines.values()]
        table.add_row(label, *cells, unit, better)
    return table


def facts_table(facts: Mapping[str, object]) -> Table:
    """A line a fact."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), _text(value))
    return table


def _number(value: float, unit: str) -> str:
    if unit == "%":
        return f"{100 * value:.1f}"
    return f"{value:.4g}" if abs(value) < 1000 or abs(value) >= 1e6 else f"{value:,.0f}"


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_text(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.5g}" if isinstance(value, float) else str(value)
