"""The family of the long short-term memory.

Gates are stacked in the rows of the weights in torch.nn's order: input i, forget f, candidate g, output o.
W and b belong to the product with the input, U and d to the product with the state, p are the peepholes;
σ is the logistic function and ⊙ the product element by element.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from steploom.cells.cell import Cell, is_size
from steploom.cells.initialisation import initialise_input_, initialise_recurrent_
from steploom.cells.naming import named
from steploom.errors import CellError

__all__ = ["CoupledLSTMCell", "LSTMCell", "PeepholeLSTMCell", "ProjectedLSTMCell"]


@named("lstm")
class LSTMCell(Cell):
    """Long short-term memory with a forget gate (Hochreiter & Schmidhuber 1997; Gers et al. 2000).

        i_t = σ(W_i x_t + b_i + U_i h_{t-1} + d_i)
        f_t = σ(W_f x_t + b_f + U_f h_{t-1} + d_f)
        g_t = tanh(W_g x_t + b_g + U_g h_{t-1} + d_g)
        o_t = σ(W_o x_t + b_o + U_o h_{t-1} + d_o)
        c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t
        h_t = o_t ⊙ tanh(c_t)

    Args:
        input_size: number of features of `x`.
        hidden_size: number of units.
        bias: whether the products have the biases b and d.
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        self.states = {"h": hidden_size, "c": hidden_size}
        self.input = nn.Linear(input_size, 4 * hidden_size, bias)
        self.recurrent = nn.Linear(hidden_size, 4 * hidden_size, bias)
        initialise_input_(self.input, gates=4, forget=1)
        initialise_recurrent_(self.recurrent, gates=4)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """One step: `x` (batch, input_size), `h` and `c` (batch, hidden_size) to the new `h` and `c`."""
        i, f, g, o = (self.input(x) + self.recurrent(h)).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        return h, c


@named("lstm-peephole")
class PeepholeLSTMCell(Cell):
    """LSTM whose gates see the memory cell (Gers, Schraudolph & Schmidhuber 2002, "Learning precise timing").

    The input and forget gates look at the old cell state, the output gate at the new one.

        i_t = σ(W_i x_t + b_i + U_i h_{t-1} + d_i + p_i ⊙ c_{t-1})
        f_t = σ(W_f x_t + b_f + U_f h_{t-1} + d_f + p_f ⊙ c_{t-1})
        g_t = tanh(W_g x_t + b_g + U_g h_{t-1} + d_g)
        c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t
        o_t = σ(W_o x_t + b_o + U_o h_{t-1} + d_o + p_o ⊙ c_t)
        h_t = o_t ⊙ tanh(c_t)

    Args:
        input_size: number of features of `x`.
        hidden_size: number of units.
        bias: whether the products have the biases b and d.
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        self.states = {"h": hidden_size, "c": hidden_size}
        self.input = nn.Linear(input_size, 4 * hidden_size, bias)
        self.recurrent = nn.Linear(hidden_size, 4 * hidden_size, bias)
        self.peephole_i = nn.Parameter(torch.zeros(hidden_size))
        self.peephole_f = nn.Parameter(torch.zeros(hidden_size))
        self.peephole_o = nn.Parameter(torch.zeros(hidden_size))
        initialise_input_(self.input, gates=4, forget=1)
        initialise_recurrent_(self.recurrent, gates=4)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """One step: `x` (batch, input_size), `h` and `c` (batch, hidden_size) to the new `h` and `c`."""
        i, f, g, o = (self.input(x) + self.recurrent(h)).chunk(4, -1)
        i = (i + self.peephole_i * c).sigmoid()
        f = (f + self.peephole_f * c).sigmoid()
        c = f * c + i * g.tanh()
        o = (o + self.peephole_o * c).sigmoid()
        return o * c.tanh(), c


@named("lstm-coupled", "LSTM that takes in what it forgets, i = 1 - f (Greff et al. 2017)")
@named("lstm-coupled-peephole", "Coupled LSTM with peepholes (Greff et al. 2017)", peepholes=True)
class CoupledLSTMCell(Cell):
    """LSTM that takes in what it forgets: i = 1 - f (the CIFG of Greff et al. 2017, "LSTM: A search space odyssey").

        f_t = σ(W_f x_t + b_f + U_f h_{t-1} + d_f)                      lstm-coupled
        f_t = σ(W_f x_t + b_f + U_f h_{t-1} + d_f + p_f ⊙ c_{t-1})      lstm-coupled-peephole
        g_t = tanh(W_g x_t + b_g + U_g h_{t-1} + d_g)
        c_t = f_t ⊙ c_{t-1} + (1 - f_t) ⊙ g_t
        o_t = σ(W_o x_t + b_o + U_o h_{t-1} + d_o)                      lstm-coupled
        o_t = σ(W_o x_t + b_o + U_o h_{t-1} + d_o + p_o ⊙ c_t)          lstm-coupled-peephole
        h_t = o_t ⊙ tanh(c_t)

    The rows of the weights are f, g, o.

    Args:
        input_size: number of features of `x`.
        hidden_size: number of units.
        peepholes: whether the forget gate sees the old cell state and the output gate the new one.
        bias: whether the products have the biases b and d.
    """

    def __init__(self, input_size: int, hidden_size: int, peepholes: bool = False, bias: bool = True) -> None:
        super().__init__()
        self.states = {"h": hidden_size, "c": hidden_size}
        self.input = nn.Linear(input_size, 3 * hidden_size, bias)
        self.recurrent = nn.Linear(hidden_size, 3 * hidden_size, bias)
        self.peephole_f = nn.Parameter(torch.zeros(hidden_size)) if peepholes else None
        self.peephole_o = nn.Parameter(torch.zeros(hidden_size)) if peepholes else None
        initialise_input_(self.input, gates=3, forget=0)
        initialise_recurrent_(self.recurrent, gates=3)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """One step: `x` (batch, input_size), `h` and `c` (batch, hidden_size) to the new `h` and `c`."""
        f, g, o = (self.input(x) + self.recurrent(h)).chunk(3, -1)
        if self.peephole_f is not None:
            f = f + self.peephole_f * c
        f = f.sigmoid()
        c = f * c + (1 - f) * g.tanh()
        if self.peephole_o is not None:
            o = o + self.peephole_o * c
        return o.sigmoid() * c.tanh(), c


@named("lstm-projected")
class ProjectedLSTMCell(Cell):
    """LSTM with a projected output (Sak, Senior & Beaufays 2014, section 2), as torch.nn.LSTM with `proj_size`.

        i_t = σ(W_i x_t + b_i + U_i h_{t-1} + d_i)
        f_t = σ(W_f x_t + b_f + U_f h_{t-1} + d_f)
        g_t = tanh(W_g x_t + b_g + U_g h_{t-1} + d_g)
        o_t = σ(W_o x_t + b_o + U_o h_{t-1} + d_o)
        c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t
        h_t = P (o_t ⊙ tanh(c_t))

    The memory c has `hidden_size` units, as in torch.nn; the output h has `proj_size`, by default half as many.

    Args:
        input_size: number of features of `x`.
        hidden_size: number of units of the memory `c`.
        proj_size: number of units of the output `h`; None: half of `hidden_size`.
        bias: whether the products with x and h have the biases b and d.

    Raises:
        CellError: `proj_size` is no whole number of at least 1.
    """

    def __init__(self, input_size: int, hidden_size: int, proj_size: int | None = None, bias: bool = True) -> None:
        super().__init__()
        proj_size = max(1, hidden_size // 2) if proj_size is None else proj_size
        if not is_size(proj_size):
            raise CellError(f"proj_size must be a whole number of at least 1, found {proj_size!r}.")
        self.states = {"h": proj_size, "c": hidden_size}
        self.input = nn.Linear(input_size, 4 * hidden_size, bias)
        self.recurrent = nn.Linear(proj_size, 4 * hidden_size, bias)
        self.projection = nn.Linear(hidden_size, proj_size, bias=False)
        initialise_input_(self.input, gates=4, forget=1)
        initialise_recurrent_(self.recurrent, gates=4)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """One step: `x` (batch, input_size), `h` (batch, proj_size), `c` (batch, hidden_size) to the new `h`, `c`."""
        i, f, g, o = (self.input(x) + self.recurrent(h)).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return self.projection(o.sigmoid() * c.tanh()), c
