"""LSTM and GRU with layer normalisation, as in the equations at the end of its paper.

LN(a) takes from a row its mean over the features, divides by its standard deviation (1e-5 is added to the variance),
multiplies by a gain α and adds a shift β. Both are learnt, a pair for each LN. The products with x and with h are
normalised apart, and all gates of a product together, as one long row; other libraries normalise gate by gate.

A product with a single input feature keeps little but its sign through LN. Give the cell more features then.
"""

from __future__ import annotations

from torch import Tensor, nn

from steploom.cells.cell import Cell
from steploom.cells.initialisation import initialise_input_, initialise_recurrent_
from steploom.cells.naming import named

__all__ = ["LayerNormGRUCell", "LayerNormLSTMCell"]


@named("lstm-layernorm")
class LayerNormLSTMCell(Cell):
    """LSTM with layer normalisation (Ba, Kiros & Hinton 2016).

        (i_t, f_t, g_t, o_t) = LN(W x_t) + LN(U h_{t-1})
        c_t = σ(f_t) ⊙ c_{t-1} + σ(i_t) ⊙ tanh(g_t)
        h_t = σ(o_t) ⊙ tanh(LN(c_t))
        LN(a) = α ⊙ (a - mean(a)) / √(var(a) + 10⁻⁵) + β

    Each LN has its own α and β. Those of the products go over all four gates at once. The bias b of the paper stands in
    the β of the input's product, where that of the forget gate starts at 1.

    Args:
        input_size: number of features of `x`.
        hidden_size: number of units.
        bias: whether the normalisations have the shifts β.
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        self.states = {"h": hidden_size, "c": hidden_size}
        self.input = nn.Linear(input_size, 4 * hidden_size, bias=False)
        self.recurrent = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.input_norm = nn.LayerNorm(4 * hidden_size, bias=bias)
        self.recurrent_norm = nn.LayerNorm(4 * hidden_size, bias=bias)
        self.memory_norm = nn.LayerNorm(hidden_size, bias=bias)
        initialise_input_(self.input, gates=4)
        initialise_recurrent_(self.recurrent, gates=4)
        if bias:
            nn.init.ones_(self.input_norm.bias.chunk(4)[1])

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """One step: `x` (batch, input_size), `h` and `c` (batch, hidden_size) to the new `h` and `c`."""
        i, f, g, o = (self.input_norm(self.input(x)) + self.recurrent_norm(self.recurrent(h))).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * self.memory_norm(c).tanh(), c


@named("gru-layernorm")
class LayerNormGRUCell(Cell):
    """GRU with layer normalisation (Ba, Kiros & Hinton 2016), reset gate after the recurrent product.

        (r_t, z_t) = σ(LN(W x_t) + LN(U h_{t-1}))
        n_t = tanh(LN(W_n x_t) + r_t ⊙ LN(U_n h_{t-1}))
        h_t = (1 - z_t) ⊙ n_t + z_t ⊙ h_{t-1}
        LN(a) = α ⊙ (a - mean(a)) / √(var(a) + 10⁻⁵) + β

    Each LN has its own α and β. Those of the two gates go over both at once. z_t of 1 keeps the old state, as in the
    other GRUs here; in the paper it takes in the new one.

    Args:
        input_size: number of features of `x`.
        hidden_size: number of units.
        bias: whether the normalisations have the shifts β.
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        self.states = {"h": hidden_size}
        self.input = nn.Linear(input_size, 3 * hidden_size, bias=False)
        self.recurrent = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.input_gates_norm = nn.LayerNorm(2 * hidden_size, bias=bias)
        self.recurrent_gates_norm = nn.LayerNorm(2 * hidden_size, bias=bias)
        self.input_candidate_norm = nn.LayerNorm(hidden_size, bias=bias)
        self.recurrent_candidate_norm = nn.LayerNorm(hidden_size, bias=bias)
        initialise_input_(self.input, gates=3)
        initialise_recurrent_(self.recurrent, gates=3)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        """One step: `x` (batch, input_size) and `h` (batch, hidden_size) to the new `h`."""
        size = self.hidden_size
        gates, n = self.input(x).split([2 * size, size], -1)
        gates_h, n_h = self.recurrent(h).split([2 * size, size], -1)
        r, z = (self.input_gates_norm(gates) + self.recurrent_gates_norm(gates_h)).sigmoid().chunk(2, -1)
        n = (self.input_candidate_norm(n) + r * self.recurrent_candidate_norm(n_h)).tanh()
        return ((1 - z) * n + z * h,)
