"""minGRU and minLSTM: gates and candidates that see the input alone.

The paper trains them on all steps at once by a scan over logarithms, with a candidate made positive for the purpose.
Here stands its plain form, a step at a time: the candidate is the product itself.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from steploom.cells.cell import Cell
from steploom.cells.initialisation import initialise_input_
from steploom.cells.naming import named

__all__ = ["MinGRUCell", "MinLSTMCell"]


@named("mingru")
class MinGRUCell(Cell):
    """Minimal GRU, in its plain form (Feng et al. 2024, "Were RNNs all we needed?").

        z_t = σ(W_z x_t + b_z)
        n_t = W_n x_t + b_n
        h_t = (1 - z_t) ⊙ h_{t-1} + z_t ⊙ n_t

    Args:
        input_size: number of features of `x`.
        hidden_size: number of units.
        bias: whether there are the biases b.
    """

    recurrent_products = None

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        self.states = {"h": hidden_size}
        self.input = nn.Linear(input_size, 2 * hidden_size, bias)
        initialise_input_(self.input, gates=2)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        """One step: `x` (batch, input_size) and `h` (batch, hidden_size) to the new `h`."""
        z, n = self.input(x).chunk(2, -1)
        z = z.sigmoid()
        return ((1 - z) * h + z * n,)


@named("minlstm")
class MinLSTMCell(Cell):
    """Minimal LSTM with gates that sum to 1, in its plain form (Feng et al. 2024, "Were RNNs all we needed?").

        f_t = σ(W_f x_t + b_f)
        i_t = σ(W_i x_t + b_i)
        n_t = W_n x_t + b_n
        h_t = f_t / (f_t + i_t) ⊙ h_{t-1} + i_t / (f_t + i_t) ⊙ n_t

    The shares of the gates are computed from the difference of their logarithms: two closed gates then give no 0 / 0.

    Args:
        input_size: number of features of `x`.
        hidden_size: number of units.
        bias: whether there are the biases b.
    """

    recurrent_products = None

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        self.states = {"h": hidden_size}
        self.input = nn.Linear(input_size, 3 * hidden_size, bias)
        initialise_input_(self.input, gates=3, forget=0)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        """One step: `x` (batch, input_size) and `h` (batch, hidden_size) to the new `h`."""
        f, i, n = self.input(x).chunk(3, -1)
        log_ratio = F.softplus(-i) - F.softplus(-f)
        return (log_ratio.sigmoid() * h + (-log_ratio).sigmoid() * n,)
