"""What a drop-in layer runs: the cell of its kind, the plan of that, and the parameters that the plan reads."""

from __future__ import annotations

from functools import cache

import torch
from torch import nn

from steploom.cells.cell import Cell
from steploom.cells.gru import GRUCell
from steploom.cells.lstm import LSTMCell, ProjectedLSTMCell
from steploom.cells.simple import RNNCell
from steploom.engine.compiled import Compiled, compiled_cell
from steploom.engine.graphs import same_in_a_graph
from steploom.layers.stack import Stack

__all__ = ["NAMES", "Kind", "cell_of", "endings_of", "kind_of", "make_plan", "plan_of", "stack_of"]

Kind = tuple[str, int, bool, int, str]

# What torch.nn calls the products of a cell.
NAMES = {"input": "ih", "recurrent": "hh", "projection": "hr"}


def kind_of(module: nn.RNNBase) -> Kind:
    """What tells one kind of layer from another, but for the size of the input."""
    name, _, activation = module.mode.partition("_")
    return name, module.hidden_size, module.bias, module.proj_size, activation.lower()


def stack_of(module: nn.RNNBase) -> Stack:
    """How the layers and directions of a module work together."""
    return Stack(directions=2 if module.bidirectional else 1, dropout=module.dropout)


def endings_of(layers: int, directions: int) -> list[str]:
    """How the names of the parameters of each layer and direction end."""
    return [f"_l{layer}{suffix}" for layer in range(layers) for suffix in ("", "_reverse")[:directions]]


def cell_of(kind: Kind, input_size: int) -> Cell:
    """A new cell of that kind."""
    name, hidden_size, bias, proj_size, activation = kind
    if name == "RNN":
        return RNNCell(input_size, hidden_size, activation, bias)
    if name == "GRU":
        return GRUCell(input_size, hidden_size, bias)
    if proj_size:
        return ProjectedLSTMCell(input_size, hidden_size, proj_size, bias)
    return LSTMCell(input_size, hidden_size, bias)


@same_in_a_graph
def plan_of(kind: Kind, input_size: int) -> tuple[str, tuple[str, ...]]:
    """The key of a layer's plan, and the module's names, without their endings, for what the plan reads."""
    compiled, names = make_plan(kind, input_size)
    return compiled.key, names


@cache
def make_plan(kind: Kind, input_size: int) -> tuple[Compiled, tuple[str, ...]]:
    """As `plan_of`, with the plan itself."""
    with torch.random.fork_rng(devices=[]):
        cell = cell_of(kind, input_size)
    compiled = compiled_cell(cell)
    if not isinstance(compiled, Compiled):
        raise TypeError(f"{kind[0]} has no plan: {compiled}")
    paths = [str(leaf.path).split(".") for leaf in compiled.program.leaves]
    return compiled, tuple(f"{part}_{NAMES[product]}" for product, part in paths)
