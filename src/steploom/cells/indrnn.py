"""The independently recurrent network: each unit sees of the old state itself alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from steploom.cells.activation import find_activation
from steploom.cells.cell import Cell
from steploom.cells.initialisation import initialise_input_
from steploom.cells.naming import named

__all__ = ["IndRNNCell"]


@named("indrnn")
class IndRNNCell(Cell):
    """Independently recurrent network with rectified units (Li, Li, Cook, Zhu & Gao 2018).

        h_t = φ(W x_t + b + u ⊙ h_{t-1})
        φ(a) = max(0, a)

    What a unit remembers over T steps is scaled by |u|^T, so u starts uniform in [0, 1] and nothing grows. The paper
    also cuts u to a bound after each step of training, which a cell cannot do. The units are mixed by the next layer.

    Args:
        input_size: number of features of `x`.
        hidden_size: number of units.
        activation: φ: "relu", "tanh", "sigmoid", "identity", or any callable that maps a tensor (batch, hidden_size)
            to one of the same shape.
        bias: whether there is the bias b.

    Raises:
        CellError: no activation has that name, or it is neither a name nor a callable.
    """

    # Masking the state is masking what enters u ⊙ h: it enters nothing else.
    recurrent_products = ()

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        activation: str | Callable[[Tensor], Tensor] = "relu",
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.states = {"h": hidden_size}
        self.activation = find_activation(activation)
        self.input = nn.Linear(input_size, hidden_size, bias)
        self.recurrent_vector = nn.Parameter(torch.rand(hidden_size))
        initialise_input_(self.input, gates=1)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        """One step: `x` (batch, input_size) and `h` (batch, hidden_size) to the new `h`."""
        return (self.activation(self.input(x) + self.recurrent_vector * h),)
