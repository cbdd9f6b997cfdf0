"""The light gated recurrent unit, made for speech: no reset gate, rectified candidate."""

from __future__ import annotations

from torch import Tensor, nn

from steploom.cells.cell import Cell
from steploom.cells.initialisation import initialise_input_, initialise_recurrent_
from steploom.cells.naming import named

__all__ = ["LiGRUCell"]


@named("ligru")
class LiGRUCell(Cell):
    """Light gated recurrent unit (Ravanelli, Brakel, Omologo & Bengio 2018), without its batch normalisation.

        z_t = σ(W_z x_t + b_z + U_z h_{t-1})
        n_t = max(0, W_n x_t + b_n + U_n h_{t-1})
        h_t = z_t ⊙ h_{t-1} + (1 - z_t) ⊙ n_t

    The paper puts batch normalisation around the products with x. It mixes the rows of a batch, which a step of a cell
    cannot do, so plain biases stand in its place. As nothing bounds the candidate, train with a limit on the gradient's
    norm.

    Args:
        input_size: number of features of `x`.
        hidden_size: number of units.
        bias: whether there are the biases b.
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        self.states = {"h": hidden_size}
        self.input = nn.Linear(input_size, 2 * hidden_size, bias)
        self.recurrent = nn.Linear(hidden_size, 2 * hidden_size, bias=False)
        initialise_input_(self.input, gates=2)
        initialise_recurrent_(self.recurrent, gates=2)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        """One step: `x` (batch, input_size) and `h` (batch, hidden_size) to the new `h`."""
        z, n = (self.input(x) + self.recurrent(h)).chunk(2, -1)
        z = z.sigmoid()
        return (z * h + (1 - z) * n.relu(),)
