"""The simple recurrent network, with any activation."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from steploom.cells.activation import find_activation
from steploom.cells.cell import Cell
from steploom.cells.initialisation import initialise_input_, initialise_recurrent_
from steploom.cells.naming import named

__all__ = ["RNNCell"]


@named("rnn", "Simple recurrent network with tanh (Elman 1990)")
@named("rnn-relu", "Simple recurrent network with rectified units (Le, Jaitly & Hinton 2015)", activation="relu")
@named("rnn-sigmoid", "Simple recurrent network with the logistic function", activation="sigmoid")
@named("rnn-identity", "Linear recurrence: a simple recurrent network with no activation", activation="identity")
class RNNCell(Cell):
    """Simple recurrent network (Elman 1990, "Finding structure in time").

        h_t = φ(W x_t + b + U h_{t-1} + d)
        φ(a) = tanh(a)                          rnn
        φ(a) = max(0, a)                        rnn-relu
        φ(a) = σ(a)                             rnn-sigmoid
        φ(a) = a                                rnn-identity

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
        self.states = {"h": hidden_size}
        self.activation = find_activation(activation)
        self.input = nn.Linear(input_size, hidden_size, bias)
        self.recurrent = nn.Linear(hidden_size, hidden_size, bias)
        initialise_input_(self.input, gates=1)
        initialise_recurrent_(self.recurrent, gates=1)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        """One step: `x` (batch, input_size) and `h` (batch, hidden_size) to the new `h`."""
        return (self.activation(self.input(x) + self.recurrent(h)),)
