"""A cell that nobody has seen: its equations are drawn from a seed."""

from __future__ import annotations

import random

import torch
from torch import Tensor, nn

from steploom import Cell

__all__ = ["InventedCell"]

UNARY = (torch.tanh, torch.sigmoid, torch.relu, torch.sin, torch.erf)
BINARY = (torch.add, torch.sub, torch.mul, torch.maximum, torch.minimum)


class InventedCell(Cell):
    """Three gates from the input and the state, mixed by operations drawn at random; the state stays bounded.

    Args:
        input_size: number of features of `x`.
        hidden_size: number of units.
        seed: of the equations.
        operations: how many are drawn.
    """

    def __init__(self, input_size: int, hidden_size: int, seed: int = 0, operations: int = 8) -> None:
        super().__init__()
        draw = random.Random(seed)
        self.states = {"h": hidden_size, "c": hidden_size}
        self.input = nn.Linear(input_size, 3 * hidden_size)
        self.recurrent = nn.Linear(hidden_size, 3 * hidden_size)
        self.scale = nn.Parameter(0.3 * torch.randn(hidden_size))
        self.recipe = [
            (draw.choice(UNARY), draw.choice(BINARY), draw.randrange(5 + n), draw.randrange(5 + n))
            for n in range(operations)
        ]

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """One step: `x` (batch, input_size), `h` and `c` (batch, hidden_size) to the new `h` and `c`."""
        values = [h, c, *(self.input(x) + self.recurrent(h)).chunk(3, -1)]
        for unary, binary, first, second in self.recipe:
            values.append(unary(binary(values[first], self.scale * values[second])))
        keep = values[2].sigmoid()
        c = keep * c + (1 - keep) * values[-1].tanh()
        return values[3].sigmoid() * (c + values[-2]).tanh(), c
