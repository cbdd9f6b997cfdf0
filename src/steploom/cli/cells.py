"""`steploom cells`: the cells that a name chooses, and the equations of one."""

from __future__ import annotations

import json
import re

import click

from steploom.cells.registry import CELLS, CellEntry
from steploom.cli.help import HELP_SETTINGS
from steploom.errors import CellError, nearest

__all__ = ["command"]

_SYMBOLS = {
    r"\bx": "x_t is the input of step t; all that stands with t-1 is from the step before.",
    r"\bW": "W: weights of the products with the input.",
    r"\bU": "U: weights of the products with the state.",
    r"\b[bd](_\w)?\b": "b, d: biases.",
    r"\bp_": "p: peepholes, a weight for each unit.",
    r"\bP\b": "P: weights of the projection.",
    r"\b[uv](_\w)? ⊙": "u, v: a weight for each unit.",
    r"\bQ": "Q, R: weights of the products by which input and state gate one another.",
    "α|β": "α, β: numbers that belong to the cell.",
    "σ": "σ: the logistic function.",
    "⊙": "⊙: the product of each pair of elements.",
}
"""What stands in the equations, by a pattern that finds it."""


@click.command("cells", context_settings=HELP_SETTINGS)
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="print one JSON object on standard output")
def command(name: str | None, as_json: bool) -> None:
    """List the cells that --cell takes, or show the equations of the one called NAME.

    A cell of your own is given as package.module:Class; it needs no entry here.
    """
    if name is not None and name not in CELLS:
        raise CellError(f"there is no cell '{name}'.{nearest(name, CELLS)} `steploom cells` lists them.")
    shown = CELLS if name is None else {name: CELLS[name]}
    if as_json:
        click.echo(json.dumps({key: _facts(entry) for key, entry in shown.items()}, ensure_ascii=False))
    elif name is None:
        _print_table()
    else:
        _print_equations(name, CELLS[name])


def _facts(entry: CellEntry) -> dict[str, object]:
    return {"summary": entry.summary, "states": list(entry.states), "equations": list(entry.equations)}


def _print_table() -> None:
    from rich.table import Table

    from steploom.cli.tables import show

    table = Table("cell", "states", "what it is", box=None, pad_edge=False, header_style="bold")
    for name, entry in CELLS.items():
        table.add_row(name, ", ".join(entry.states), entry.summary)
    show(table)
    click.echo("\n`steploom cells NAME` shows the equations; `steploom train TASK --cell NAME` uses the cell.")


def _print_equations(name: str, entry: CellEntry) -> None:
    click.echo(f"{name}: {entry.summary}")
    for paragraph in entry.description.split("\n\n")[1:]:
        lines = [f"    {equation}" for equation in entry.equations] if paragraph.startswith("    ") else [paragraph]
        click.echo("\n" + "\n".join(lines))
    click.echo(f"\nstates: {', '.join(entry.states)} (the first is the output)")
    equations = "\n".join(entry.equations)
    for symbol, meaning in _SYMBOLS.items():
        if re.search(symbol, equations):
            click.echo(meaning)
