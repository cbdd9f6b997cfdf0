"""JANET: an LSTM with nothing but its forget gate."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from steploom.cells.cell import Cell, is_size
from steploom.cells.initialisation import initialise_input_, initialise_recurrent_
from steploom.cells.naming import named
from steploom.errors import CellError

__all__ = ["JANETCell"]


@named("janet")
class JANETCell(Cell):
    """Just another network, an LSTM with the forget gate alone (van der Westhuizen & Lasenby 2018).

        s_t = W_s x_t + b_s + U_s h_{t-1}
        n_t = tanh(W_n x_t + b_n + U_n h_{t-1})
        h_t = σ(s_t) ⊙ h_{t-1} + (1 - σ(s_t - β)) ⊙ n_t

    With β = 1 the state takes in somewhat more than it forgets.

    Args:
        input_size: number of features of `x`.
        hidden_size: number of units.
        beta: β.
        longest: number of steps, at least 3, over which the cell must remember: the paper starts the bias of the forget
            gate at log u with u uniform in [1, longest - 1] (Tallec & Ollivier 2018), so that the units' memories
            are of all lengths. None: it starts at 1, as in the LSTM here.
        bias: whether there are the biases b.

    Raises:
        CellError: `longest` is no whole number of at least 3, or there is no bias that it could start.
    """

    def __init__(
        self, input_size: int, hidden_size: int, beta: float = 1.0, longest: int | None = None, bias: bool = True
    ) -> None:
        super().__init__()
        if longest is not None and not (bias and is_size(longest) and longest >= 3):
            raise CellError(f"longest must be a whole number of at least 3, with bias=True, found {longest!r}.")
        self.states = {"h": hidden_size}
        self.beta = beta
        self.input = nn.Linear(input_size, 2 * hidden_size, bias)
        self.recurrent = nn.Linear(hidden_size, 2 * hidden_size, bias=False)
        initialise_input_(self.input, gates=2, forget=0)
        initialise_recurrent_(self.recurrent, gates=2)
        if longest is not None:
            with torch.no_grad():
                self.input.bias.chunk(2)[0].uniform_(1, longest - 1).log_()

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        """One step: `x` (batch, input_size) and `h` (batch, hidden_size) to the new `h`."""
        s, n = (self.input(x) + self.recurrent(h)).chunk(2, -1)
        return (s.sigmoid() * h + (1 - (s - self.beta).sigmoid()) * n.tanh(),)
