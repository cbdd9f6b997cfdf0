"""The simple recurrent unit: all products are with the input, so they can be made for all steps at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from steploom.cells.cell import Cell
from steploom.cells.naming import named

__all__ = ["SRUCell"]


@named("sru")
class SRUCell(Cell):
    """Simple recurrent unit with a scaled highway (Lei, Zhang, Wang, Dai & Artzi 2018).

        f_t = σ(W_f x_t + b_f + v_f ⊙ c_{t-1})
        r_t = σ(W_r x_t + b_r + v_r ⊙ c_{t-1})
        c_t = f_t ⊙ c_{t-1} + (1 - f_t) ⊙ (W x_t)
        h_t = r_t ⊙ c_t + (1 - r_t) ⊙ (α s_t)

    s_t is x_t where it has `hidden_size` features, and W_s x_t otherwise. The constant α = √(1 + 2 exp(b_r)), from the
    b_r at the start, keeps the size of what runs through a stack of layers. The new h does not depend on the old one.

    The weights start uniform with variance 1 / input_size, and what enters the gates, W_f, W_r and v, so that its two
    terms have together the variance of one.

    Args:
        input_size: number of features of `x`.
        hidden_size: number of units.
        highway_bias: b_r at the start. Below 0 a fresh layer hands more of its input on.
        bias: whether there are the biases b; without them, `highway_bias` still sets α.
    """

    recurrent_products = None

    def __init__(self, input_size: int, hidden_size: int, highway_bias: float = 0.0, bias: bool = True) -> None:
        super().__init__()
        self.states = {"h": hidden_size, "c": hidden_size}
        self.scale = math.sqrt(1 + 2 * math.exp(highway_bias))
        self.input = nn.Linear(input_size, 3 * hidden_size, bias)
        self.skip = None if input_size == hidden_size else nn.Linear(input_size, hidden_size, bias=False)
        bound = math.sqrt(3 / input_size)
        self.recurrent_f = nn.Parameter(torch.empty(hidden_size).uniform_(-math.sqrt(1.5), math.sqrt(1.5)))
        self.recurrent_r = nn.Parameter(torch.empty(hidden_size).uniform_(-math.sqrt(1.5), math.sqrt(1.5)))
        with torch.no_grad():
            self.input.weight.uniform_(-bound, bound)
            self.input.weight[: 2 * hidden_size].mul_(math.sqrt(0.5))
            if self.skip is not None:
                self.skip.weight.uniform_(-bound, bound)
            if bias:
                self.input.bias.zero_()
                self.input.bias.chunk(3)[1].fill_(highway_bias)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """One step: `x` (batch, input_size), `h` and `c` (batch, hidden_size) to the new `h` and `c`."""
        f, r, n = self.input(x).chunk(3, -1)
        f = (f + self.recurrent_f * c).sigmoid()
        r = (r + self.recurrent_r * c).sigmoid()
        c = f * c + (1 - f) * n
        s = x if self.skip is None else self.skip(x)
        return r * c + (1 - r) * (self.scale * s), c
