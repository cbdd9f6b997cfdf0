"""The gated recurrent unit in its two forms.

Gates are stacked in the rows of the weights in torch.nn's order: reset r, update z, candidate n. W and b belong to the
product with the input, U and d to the product with the state; σ is the logistic function and ⊙ the product element by
element. An update gate of 1 keeps the old state.
"""

from __future__ import annotations

from torch import Tensor, nn

from steploom.cells.cell import Cell
from steploom.cells.initialisation import initialise_input_, initialise_recurrent_
from steploom.cells.naming import named

__all__ = ["GRUCell", "ResetBeforeGRUCell"]


@named("gru")
class GRUCell(Cell):
    """Gated recurrent unit with the reset gate after the recurrent product (Cho et al. 2014, arXiv v1).

    This is the form of cuDNN and torch.nn.

        r_t = σ(W_r x_t + b_r + U_r h_{t-1} + d_r)
        z_t = σ(W_z x_t + b_z + U_z h_{t-1} + d_z)
        n_t = tanh(W_n x_t + b_n + r_t ⊙ (U_n h_{t-1} + d_n))
        h_t = (1 - z_t) ⊙ n_t + z_t ⊙ h_{t-1}

    Args:
        input_size: number of features of `x`.
        hidden_size: number of units.
        bias: whether the products have the biases b and d.
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        self.states = {"h": hidden_size}
        self.input = nn.Linear(input_size, 3 * hidden_size, bias)
        self.recurrent = nn.Linear(hidden_size, 3 * hidden_size, bias)
        initialise_input_(self.input, gates=3)
        initialise_recurrent_(self.recurrent, gates=3)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        """One step: `x` (batch, input_size) and `h` (batch, hidden_size) to the new `h`."""
        r, z, n = self.input(x).chunk(3, -1)
        r_h, z_h, n_h = self.recurrent(h).chunk(3, -1)
        r = (r + r_h).sigmoid()
        z = (z + z_h).sigmoid()
        n = (n + r * n_h).tanh()
        return ((1 - z) * n + z * h,)


@named("gru-reset-before")
class ResetBeforeGRUCell(Cell):
    """Gated recurrent unit with the reset gate before the recurrent product (Cho et al. 2014, as published).

        r_t = σ(W_r x_t + b_r + U_r h_{t-1} + d_r)
        z_t = σ(W_z x_t + b_z + U_z h_{t-1} + d_z)
        n_t = tanh(W_n x_t + b_n + U_n (r_t ⊙ h_{t-1}) + d_n)
        h_t = (1 - z_t) ⊙ n_t + z_t ⊙ h_{t-1}

    Args:
        input_size: number of features of `x`.
        hidden_size: number of units.
        bias: whether the products have the biases b and d.
    """

    recurrent_products = ("recurrent", "candidate")

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        self.states = {"h": hidden_size}
        self.input = nn.Linear(input_size, 3 * hidden_size, bias)
        self.recurrent = nn.Linear(hidden_size, 2 * hidden_size, bias)
        self.candidate = nn.Linear(hidden_size, hidden_size, bias)
        initialise_input_(self.input, gates=3)
        initialise_recurrent_(self.recurrent, gates=2)
        initialise_recurrent_(self.candidate, gates=1)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        """One step: `x` (batch, input_size) and `h` (batch, hidden_size) to the new `h`."""
        r, z, n = self.input(x).chunk(3, -1)
        r_h, z_h = self.recurrent(h).chunk(2, -1)
        r = (r + r_h).sigmoid()
        z = (z + z_h).sigmoid()
        n = (n + self.candidate(r * h)).tanh()
        return ((1 - z) * n + z * h,)
