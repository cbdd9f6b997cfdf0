"""How the weights of the cells start.

The rows of a weight (gates * size, features) are the gates one after the other, and each gate is initialised by
itself: an orthogonal start of all gates together would tie them to one another.
"""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["initialise_input_", "initialise_recurrent_"]


def initialise_input_(product: nn.Linear, gates: int, forget: int | None = None) -> None:
    """Start the product with `x`: uniform by Glorot & Bengio 2010, no bias but that of the forget gate.

    Args:
        product: its weight is (gates * size, input_size).
        gates: number of gates.
        forget: place of the forget gate among them. Its bias starts at 1, so that the cell remembers at first
            (Gers, Schmidhuber & Cummins 2000; Jozefowicz, Zaremba & Sutskever 2015).
    """
    with torch.no_grad():
        for gate in product.weight.chunk(gates):
            nn.init.xavier_uniform_(gate)
        if product.bias is not None:
            product.bias.zero_()
            if forget is not None:
                product.bias.chunk(gates)[forget].fill_(1.0)


def initialise_recurrent_(product: nn.Linear, gates: int) -> None:
    """Start the product with the state: an orthogonal matrix a gate, which neither shrinks nor grows what runs through
    it step after step (Saxe, McClelland & Ganguli 2014), and no bias.

    Args:
        product: its weight is (gates * size, size of the state).
        gates: number of gates.
    """
    with torch.no_grad():
        for gate in product.weight.chunk(gates):
            nn.init.orthogonal_(gate)
        if product.bias is not None:
            product.bias.zero_()
