"""A cell run while PyTorch makes a graph of a model: which plan runs it, and what the graph holds for it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from steploom.cells.cell import Cell, real_weight
from steploom.engine.choice import choose, warn_once
from steploom.engine.compiled import compiled_by_key
from steploom.engine.graphs import same_in_a_graph
from steploom.engine.native import first_states, in_dtype
from steploom.engine.operator import run_operator
from steploom.program.program import Program
from steploom.program.prologue import as_leaf

__all__ = ["choose_for_graph", "run_in_graph"]


@same_in_a_graph
def choose_for_graph(
    cell: Cell, engine: str, needs_reference: str | None, dtype: torch.dtype, device: str
) -> tuple[str, str | None]:
    """The engine that runs a cell in a graph, and the key of its plan; None where it is another one than the native."""
    choice = choose(cell, engine, needs_reference, dtype, device)
    warn_once(choice)
    return choice.engine, choice.compiled.key if choice.compiled is not None else None


def run_in_graph(
    key: str,
    cell: Cell,
    x: Tensor,
    state: tuple[Tensor, ...] | None,
    lengths: Tensor | None,
    resets: Tensor | None,
    backwards: bool,
    batch_first: bool,
    every: int = 0,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a cell while PyTorch makes a graph of the model; arguments and result as `native.run`."""
    x, given = in_dtype(real_weight(cell, x).dtype, x, state or ())
    state = given if state is not None else None
    starts = first_states(cell, x) if state is None or resets is not None else ()
    if state is None:
        state = starts
    if not torch.compiler.is_exporting():
        # A step on no rows changes nothing and is not in the graph in the end, but what it reads of the cell is watched
        # from now on: a change makes a new graph.
        cell(x[0, :0], *(x.new_empty((0, size)) for size in cell.states.values()))
    with torch.autocast("cpu", enabled=False):
        leaves = _gather(compiled_by_key(key).program, cell, x)
    return run_operator(
        key, x, state, leaves, starts if resets is not None else (), lengths, resets, backwards, batch_first, every
    )


def _gather(program: Program, cell: Cell, x: Tensor) -> list[Tensor]:
    """As `prologue.gather_leaves`, in steps that PyTorch can follow."""
    computed = program.prologue(cell, x) if program.prologue is not None else []
    tensors = []
    for leaf in program.leaves:
        found: Any = cell
        if leaf.path is None:
            found = computed[leaf.output or 0]
        else:
            for name in leaf.path.split("."):
                found = getattr(found, name)
        tensors.append(as_leaf(found, leaf, cell, x))
    return tensors
