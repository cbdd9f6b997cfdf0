"""The simple recurrent network, with any activation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from steploom.cells.cell import Cell
from steploom.cells.initialisation import initialise_input_, initialise_recurrent_
from steploom.errors import CellError, nearest

__all__ = ["ACTIVATIONS", "RNNCell"]


def identity(x: Tensor) -> Tensor:
    """`x` itself: the activation of a linear recurrence."""
    return x


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": identity,
}


class RNNCell(Cell):
    """Simple recurrent network (Elman 1990, "Finding structure in time").

        h_t = φ(W x_t + b + U h_{t-1} + d)

    Args:
        input_size: number of features of `x`.
        hidden_size: number of units.
        activation: φ: "tanh", "relu" (Le, Jaitly & Hinton 2015), "sigmoid", "identity", or any callable that maps a
            tensor (batch, hidden_size) to one of the same shape.
        bias: whether the products have the biases b and d.

    Raises:
        CellError: no activation has that name, or it is neither a name nor a callable.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        activation: str | Callable[[Tensor], Tensor] = "tanh",
        bias: bool = True,
    ) -> None:
        super().__init__()
        if isinstance(activation, str) and activation not in ACTIVATIONS:
            hint = nearest(activation, ACTIVATIONS) or f" Choose one of {', '.join(ACTIVATIONS)}, or give a callable."
            raise CellError(f"No activation is called '{activation}'.{hint}")
        if not (isinstance(activation, str) or callable(activation)):
            raise CellError(f"activation must be a name or a callable, found {activation!r}.")
        self.states = {"h": hidden_size}
        self.activation = ACTIVATIONS[activation] if isinstance(activation, str) else activation
        self.input = nn.Linear(input_size, hidden_size, bias)
        self.recurrent = nn.Linear(hidden_size, hidden_size, bias)
        initialise_input_(self.input, gates=1)
        initialise_recurrent_(self.recurrent, gates=1)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        """One step: `x` (batch, input_size) and `h` (batch, hidden_size) to the new `h`."""
        return (self.activation(self.input(x) + self.recurrent(h)),)
