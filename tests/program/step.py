"""A cell for trying out one step: with weights of many kinds, and equations given from outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from steploom.cells.cell import Cell

__all__ = ["Step", "step_cell"]

Equations = Callable[["Step", Tensor, Tensor, Tensor], tuple[Tensor, ...]]


class Step(Cell):
    """Two states of 8 features, inputs of 6, and whatever the equations need."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size = 6
        self.states = {"h": 8, "c": 8}
        self.input = nn.Linear(6, 32)
        self.recurrent = nn.Linear(8, 32)
        self.joined = nn.Linear(14, 8)
        self.square = nn.Linear(8, 8, bias=False)
        self.heads = nn.Parameter(torch.randn(2, 4, 4))
        self.vector = nn.Parameter(torch.randn(8))
        self.scalar = nn.Parameter(torch.tensor(0.3))
        self.norm = nn.LayerNorm(8)
        self.wide_norm = nn.LayerNorm(32)
        self.group_norm = nn.GroupNorm(2, 8)
        self.register_buffer("mask", (torch.arange(8) % 2).bool())
        self.register_buffer("order", torch.tensor([3, 0, 1, 2, 7, 6, 5, 4]))
        self.constant = torch.linspace(0.0, 1.0, 8, dtype=torch.float64)
        self.weight_norm = nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))
        self.batch_norm = nn.BatchNorm1d(8).eval()
        torch.nn.init.normal_(self.batch_norm.running_mean)
        torch.nn.init.uniform_(self.batch_norm.running_var, 0.5, 2.0)
        self.lstm = nn.LSTMCell(6, 8)
        self.gru = nn.GRUCell(6, 8)
        self.dropout = nn.Dropout(0.5)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)


def step_cell(equations: Equations, name: str = "Invented") -> Step:
    """A cell in float64 with `forward` given."""
    kind: Any = type(name, (Step,), {"forward": equations})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        cell: Step = kind()
    return cell.double()
