"""What one node of a tree network computes from its children: recursive, child-sum and N-ary Tree-LSTM."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from steploom.errors import OptionError

__all__ = ["ChildSumTreeLSTMCell", "NaryTreeLSTMCell", "RecursiveCell", "TreeCell"]


class TreeCell(nn.Module, ABC):
    """The equations of one node, written for all nodes of a level at once.

    Attributes:
        input_size: of x.
        hidden_size: of h, the first state and the output.
        states: how many states a node has, each (nodes, hidden_size).
        arity: most children of a node; None: any number.

    Args:
        input_size: of x.
        hidden_size: of the states.
        arity: most children of a node; None: any number.
    """

    states: ClassVar[int] = 1

    def __init__(self, input_size: int, hidden_size: int, arity: int | None) -> None:
        super().__init__()
        if arity is not None and arity < 1:
            raise OptionError(f"arity: expected 1 or more children, found {arity}")
        self.input_size, self.hidden_size, self.arity = input_size, hidden_size, arity

    @abstractmethod
    def leaf(self, x: Tensor) -> tuple[Tensor, ...]:
        """The states of leaves.

        Args:
            x: (nodes, input_size).
        """

    @abstractmethod
    def forward(self, x: Tensor | None, *children: Tensor) -> tuple[Tensor, ...]:
        """The states of nodes that have children.

        Args:
            x: (nodes, input_size), or None where only leaves have an input.
            children: each state of the children (nodes, width, hidden_size), from left to right and 0 behind them.
        """


class RecursiveCell(TreeCell):
    """Recursive network (Socher et al. 2011, "Parsing natural scenes and natural language with recursive networks").

        h = V x                                 at a leaf (x itself where it has the size of h)
        h = tanh(W [h_1; ...; h_N] + b + V x)   at a node with children (x: where these have an input)

    A child that is not there counts as 0.
    """

    def __init__(self, input_size: int, hidden_size: int, arity: int = 2) -> None:
        super().__init__(input_size, hidden_size, arity)
        same = input_size == hidden_size
        self.input = nn.Identity() if same else nn.Linear(input_size, hidden_size, bias=False)
        self.children_to_hidden = nn.Linear(arity * hidden_size, hidden_size)

    def leaf(self, x: Tensor) -> tuple[Tensor, ...]:
        """V x."""
        return (self.input(x),)

    def forward(self, x: Tensor | None, *children: Tensor) -> tuple[Tensor, ...]:
        """The equation above."""
        total = _joined_product(children[0], self.children_to_hidden)
        return (torch.tanh(total if x is None else total + self.input(x)),)


class NaryTreeLSTMCell(TreeCell):
    """N-ary Tree-LSTM (Tai, Socher & Manning 2015, equations 9 to 14): children in order, each with its own weights.

        i   = sigmoid(W_i x + sum_l U_i,l h_l + b_i)
        f_k = sigmoid(W_f x + sum_l U_f,k,l h_l + b_f)     for each child k; b_f begins with 1
        o   = sigmoid(W_o x + sum_l U_o,l h_l + b_o)
        u   = tanh(W_u x + sum_l U_u,l h_l + b_u)
        c   = i u + sum_k f_k c_k
        h   = o tanh(c)

    A leaf has no children, and a node without an input no terms with x. A child that is not there counts as 0.
    """

    states = 2

    def __init__(self, input_size: int, hidden_size: int, arity: int = 2) -> None:
        super().__init__(input_size, hidden_size, arity)
        # Gates in the order i, o, u, f.
        self.input = nn.Linear(input_size, 4 * hidden_size)
        self.children_to_gates = nn.Linear(arity * hidden_size, (3 + arity) * hidden_size, bias=False)
        _open_forget_gate(self.input.bias, hidden_size)

    def leaf(self, x: Tensor) -> tuple[Tensor, ...]:
        """The equations without children."""
        return _lstm_leaf(x, self.input)

    def forward(self, x: Tensor | None, *children: Tensor) -> tuple[Tensor, ...]:
        """The equations above."""
        h, c = children
        size, width = self.hidden_size, h.shape[1]
        gates = _joined_product(h, self.children_to_gates)
        own = self.input.bias if x is None else self.input(x)
        # One forget gate for each child; W_f and b_f are shared by all.
        gates = gates + torch.cat([own, *([own[..., 3 * size :]] * ((self.arity or 1) - 1))], -1)
        i, o = gates[:, : 2 * size].sigmoid().chunk(2, -1)
        u = gates[:, 2 * size : 3 * size].tanh()
        f = gates[:, 3 * size : (3 + width) * size].sigmoid().view(-1, width, size)
        c = i * u + (f * c).sum(1)
        return o * c.tanh(), c


class ChildSumTreeLSTMCell(TreeCell):
    """Child-sum Tree-LSTM (Tai, Socher & Manning 2015, equations 2 to 8): any number of children, in any order.

        s   = sum_k h_k
        i   = sigmoid(W_i x + U_i s + b_i)
        f_k = sigmoid(W_f x + U_f h_k + b_f)     for each child k; b_f begins with 1
        o   = sigmoid(W_o x + U_o s + b_o)
        u   = tanh(W_u x + U_u s + b_u)
        c   = i u + sum_k f_k c_k
        h   = o tanh(c)

    A node without an input has no terms with x.
    """

    states = 2

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, None)
        # Gates in the order i, o, u, f.
        self.input = nn.Linear(input_size, 4 * hidden_size)
        self.sum_to_gates = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.child_to_forget = nn.Linear(hidden_size, hidden_size, bias=False)
        _open_forget_gate(self.input.bias, hidden_size)

    def leaf(self, x: Tensor) -> tuple[Tensor, ...]:
        """The equations without children."""
        return _lstm_leaf(x, self.input)

    def forward(self, x: Tensor | None, *children: Tensor) -> tuple[Tensor, ...]:
        """The equations above."""
        h, c = children
        size = self.hidden_size
        own = self.input.bias if x is None else self.input(x)
        gates = self.sum_to_gates(h.sum(1)) + own[..., : 3 * size]
        i, o = gates[:, : 2 * size].sigmoid().chunk(2, -1)
        f = (self.child_to_forget(h) + own[..., 3 * size :].unsqueeze(-2)).sigmoid()
        # The state of a child that is not there is 0, whatever its gate says.
        c = i * gates[:, 2 * size :].tanh() + (f * c).sum(1)
        return o * c.tanh(), c


def _joined_product(h: Tensor, joined: nn.Linear) -> Tensor:
    """`joined` of the children (nodes, width, size), of which it has at least so many."""
    width = h.shape[1] * h.shape[2]
    weight = joined.weight if width == joined.in_features else joined.weight[:, :width]
    return nn.functional.linear(h.flatten(1), weight, joined.bias)


def _lstm_leaf(x: Tensor, gates: nn.Linear) -> tuple[Tensor, Tensor]:
    size = gates.out_features // 4
    # Nothing is there to forget.
    values = nn.functional.linear(x, gates.weight[: 3 * size], gates.bias[: 3 * size])
    i, o = values[:, : 2 * size].sigmoid().chunk(2, -1)
    c = i * values[:, 2 * size :].tanh()
    return o * c.tanh(), c


@torch.no_grad()
def _open_forget_gate(bias: Tensor, size: int) -> None:
    bias.zero_()
    bias[3 * size :] = 1.0
