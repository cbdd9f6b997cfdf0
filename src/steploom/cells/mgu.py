"""The minimal gated unit: a GRU whose one gate resets and updates."""

from __future__ import annotations

from torch import Tensor, nn

from steploom.cells.cell import Cell
from steploom.cells.initialisation import initialise_input_, initialise_recurrent_
from steploom.cells.naming import named

__all__ = ["MGUCell"]


@named("mgu")
class MGUCell(Cell):
    """Minimal gated unit (Zhou, Wu, Zhang & Zhou 2016, "Minimal gated unit for recurrent neural networks").

        f_t = σ(W_f x_t + b_f + U_f h_{t-1})
        n_t = tanh(W_n x_t + b_n + U_n (f_t ⊙ h_{t-1}))
        h_t = (1 - f_t) ⊙ h_{t-1} + f_t ⊙ n_t

    The gate f both hides the old state from the candidate n and lets the candidate in.

    Args:
        input_size: number of features of `x`.
        hidden_size: number of units.
        bias: whether there are the biases b.
    """

    recurrent_products = ("recurrent", "candidate")

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        self.states = {"h": hidden_size}
        self.input = nn.Linear(input_size, 2 * hidden_size, bias)
        self.recurrent = nn.Linear(hidden_size, hidden_size, bias=False)
        self.candidate = nn.Linear(hidden_size, hidden_size, bias=False)
        initialise_input_(self.input, gates=2)
        initialise_recurrent_(self.recurrent, gates=1)
        initialise_recurrent_(self.candidate, gates=1)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        """One step: `x` (batch, input_size) and `h` (batch, hidden_size) to the new `h`."""
        f, n = self.input(x).chunk(2, -1)
        f = (f + self.recurrent(h)).sigmoid()
        n = (n + self.candidate(f * h)).tanh()
        return ((1 - f) * h + f * n,)
