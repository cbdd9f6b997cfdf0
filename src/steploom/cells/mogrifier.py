"""The Mogrifier: input and state gate one another in turn before an LSTM sees them."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from steploom.cells.cell import is_size
from steploom.cells.lstm import LSTMCell
from steploom.cells.naming import named
from steploom.errors import CellError

__all__ = ["MogrifierLSTMCell"]


@named("mogrifier-lstm")
class MogrifierLSTMCell(LSTMCell):
    """LSTM whose input and state gate one another first (Melis, Kočiský & Blunsom 2020, "Mogrifier LSTM").

        x^k = 2 σ(Q_k h^{k-1}) ⊙ x^{k-2} for odd k from 1 to r, with x^{-1} = x_t
        h^k = 2 σ(R_k x^{k-1}) ⊙ h^{k-2} for even k from 2 to r, with h^0 = h_{t-1}
        x̂ and ĥ: the last of each
        i_t = σ(W_i x̂ + b_i + U_i ĥ + d_i)
        f_t = σ(W_f x̂ + b_f + U_f ĥ + d_f)
        g_t = tanh(W_g x̂ + b_g + U_g ĥ + d_g)
        o_t = σ(W_o x̂ + b_o + U_o ĥ + d_o)
        c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t
        h_t = o_t ⊙ tanh(c_t)

    Args:
        input_size: number of features of `x`.
        hidden_size: number of units.
        rounds: r, how often a gate is applied; 0 leaves an LSTM. The paper takes 5.
        rank: makes each Q and R a product of two matrices with so many features between them. None: full matrices.
        bias: whether the products of the LSTM have the biases b and d.

    Raises:
        CellError: `rounds` is no whole number of at least 0, or `rank` none of at least 1.
    """

    def __init__(
        self, input_size: int, hidden_size: int, rounds: int = 5, rank: int | None = None, bias: bool = True
    ) -> None:
        super().__init__(input_size, hidden_size, bias)
        if rounds != 0 and not is_size(rounds):
            raise CellError(f"rounds must be a whole number of at least 0, found {rounds!r}.")
        if rank is not None and not is_size(rank):
            raise CellError(f"rank must be a whole number of at least 1, found {rank!r}.")
        self.rounds = rounds
        for k in range(1, rounds + 1):
            sizes = (hidden_size, input_size) if k % 2 else (input_size, hidden_size)
            self.add_module(f"gate_{k}", _product(*sizes, rank))
        self.recurrent_products = ("recurrent", *(f"gate_{k}" for k in range(1, rounds + 1, 2)))

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """One step: `x` (batch, input_size), `h` and `c` (batch, hidden_size) to the new `h` and `c`."""
        for k in range(1, self.rounds + 1):
            gate = self.get_submodule(f"gate_{k}")
            if k % 2:
                x = 2 * gate(h).sigmoid() * x
            else:
                h = 2 * gate(x).sigmoid() * h
        return super().forward(x, h, c)


def _product(features: int, size: int, rank: int | None) -> nn.Module:
    narrow = [features, size] if rank is None else [features, rank, size]
    factors = [nn.Linear(entering, leaving, bias=False) for entering, leaving in pairwise(narrow)]
    for factor in factors:
        nn.init.xavier_uniform_(factor.weight)
    return factors[0] if rank is None else nn.Sequential(*factors)
