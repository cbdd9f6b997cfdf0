"""The LSTM of xLSTM with scalar memories: an exponential input gate, kept finite by a stabiliser."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steploom.cells.cell import Cell, is_size
from steploom.cells.initialisation import initialise_input_
from steploom.cells.naming import named
from steploom.errors import CellError

__all__ = ["BlockDiagonal", "SLSTMCell"]


class BlockDiagonal(nn.Module):
    """A product with a weight a head: what enters is cut into as many parts as there are heads, and they do not mix.

    Args:
        size: number of features of what enters.
        gates: number of results for each feature.
        heads: number of parts.
    """

    def __init__(self, size: int, gates: int, heads: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(heads, gates, size // heads, size // heads))
        with torch.no_grad():
            for block in self.weight.flatten(0, 1):
                nn.init.orthogonal_(block)

    def forward(self, h: Tensor) -> Tensor:
        """`h` (batch, size) to (batch, gates * size), one gate after the other."""
        parts = h.reshape(-1, self.weight.shape[0], self.weight.shape[3])
        return torch.einsum("bhi,hgoi->bgho", parts, self.weight).flatten(1)


@named("slstm")
class SLSTMCell(Cell):
    """LSTM with exponential gates, a normaliser and a stabiliser: the sLSTM of xLSTM (Beck et al. 2024).

        (ĩ_t, f̃_t, z̃_t, õ_t) = W x_t + b + U h_{t-1}
        l_t = m_{t-1} + log σ(f̃_t)
        m_t = max(l_t, ĩ_t), and m_t = ĩ_t where n_{t-1} = 0
        i_t = exp(ĩ_t - m_t)
        f_t = exp(l_t - m_t), and f_t = 1 where n_{t-1} = 0
        c_t = f_t ⊙ c_{t-1} + i_t ⊙ tanh(z̃_t)
        n_t = f_t ⊙ n_{t-1} + i_t
        h_t = σ(õ_t) ⊙ c_t / n_t

    All states start at 0. Until something was taken in, n is 0 and there is nothing to be scaled: the stabiliser m then
    starts at the first ĩ, as in the authors' code. After that one of i and f is always 1 and n at least 1: nothing
    overflows, and h stays within -1 and 1, whatever enters. U is block-diagonal, a block a head: a head sees its own
    part of h alone. The normalisation, the convolution and the projections around the cell in the paper's block are
    layers of their own.

    Zoneout of single states spoils what they say about one another; give it a rate for h alone: `zoneout={"h": 0.1}`.

    Args:
        input_size: number of features of `x`.
        hidden_size: number of units.
        heads: number of heads; it must divide `hidden_size`. None: 4, as in the paper, or else 2 or 1.
        forget: "sigmoid", or "exp" for a forget gate that is exponential too: l_t = m_{t-1} + f̃_t.
        bias: whether there are the biases b.

    Raises:
        CellError: `heads` does not divide `hidden_size`, or `forget` is neither of the two.
    """

    dependent_states = ("n", "m")

    def __init__(
        self, input_size: int, hidden_size: int, heads: int | None = None, forget: str = "sigmoid", bias: bool = True
    ) -> None:
        super().__init__()
        if heads is None:
            heads = next(number for number in (4, 2, 1) if hidden_size % number == 0)
        if not is_size(heads) or hidden_size % heads:
            raise CellError(f"heads must be a whole number that divides hidden_size {hidden_size}, found {heads!r}.")
        if forget not in ("sigmoid", "exp"):
            raise CellError(f'forget must be "sigmoid" or "exp", found {forget!r}.')
        self.states = {"h": hidden_size, "c": hidden_size, "n": hidden_size, "m": hidden_size}
        self.forget = forget
        self.input = nn.Linear(input_size, 4 * hidden_size, bias)
        self.recurrent = BlockDiagonal(hidden_size, gates=4, heads=heads)
        initialise_input_(self.input, gates=4, forget=1)

    def forward(self, x: Tensor, h: Tensor, c: Tensor, n: Tensor, m: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One step: `x` (batch, input_size), the states (batch, hidden_size) to the new `h`, `c`, `n`, `m`."""
        i, f, z, o = (self.input(x) + self.recurrent(h)).chunk(4, -1)
        log_f = F.logsigmoid(f) if self.forget == "sigmoid" else f
        # Where n is 0, what is kept counts as much as what enters, so that neither exponential can overflow.
        kept = torch.where(n == 0, i, m + log_f)
        m = torch.maximum(kept, i)
        i = (i - m).exp()
        f = (kept - m).exp()
        c = f * c + i * z.tanh()
        n = f * n + i
        return o.sigmoid() * c / n, c, n, m
