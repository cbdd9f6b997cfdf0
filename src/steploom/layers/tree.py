"""Tree networks: a cell runs from the leaves to the roots of a batch of trees, level by level."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from steploom.errors import OptionError
from steploom.layers.forest import Forest
from steploom.layers.tree_cells import TreeCell

__all__ = ["TreeNetwork"]


class TreeNetwork(nn.Module):
    """A tree cell over whole forests.

    All nodes of one height are computed at once: a batch of trees costs as many steps as its highest tree is high, and
    each step is a few products of matrices. What a level computes is sent on to the levels of its nodes' parents, so
    that each state is copied once forward and once backward however high the trees are.

    Args:
        cell: the equations of a node.
    """

    def __init__(self, cell: TreeCell) -> None:
        super().__init__()
        self.cell = cell

    @property
    def output_size(self) -> int:
        """The size of a node's output."""
        return self.cell.hidden_size

    def forward(self, x: Tensor, forest: Forest) -> Tensor:
        """The first state of each node (nodes, hidden_size).

        Args:
            x: (leaves, input_size): only leaves have an input; or (nodes, input_size).
            forest: the trees.

        Raises:
            OptionError: `x` has neither as many rows as there are leaves nor as there are nodes, or a node has more
                children than the cell takes.
        """
        self._check(x, forest)
        bounds: list[int] = forest.levels.tolist()
        if len(bounds) < 2:
            return x.new_zeros(0, self.output_size)
        everywhere = len(x) == len(forest) != bounds[1]
        sent: dict[int, list[tuple[int, int]]] = {}
        for level, to, size in forest.pieces.tolist():
            sent.setdefault(level, []).append((to, size))
        inboxes: dict[int, list[tuple[Tensor, ...]]] = {}
        outputs = []
        for level, (begin, end) in enumerate(pairwise(bounds)):
            if level == 0:
                states = self.cell.leaf(x[begin:end])
            else:
                own = x[begin:end] if everywhere else None
                states = self.cell(own, *_gathered(inboxes.pop(level), forest.places[begin:end]))
            outputs.append(states[0])
            _send(states, sent.get(level, []), inboxes)
        return torch.cat(outputs)

    def _check(self, x: Tensor, forest: Forest) -> None:
        if x.dim() != 2 or x.shape[1] != self.cell.input_size or len(x) not in (forest.leaves, len(forest)):
            raise OptionError(
                f"x: expected ({forest.leaves} leaves or {len(forest)} nodes, {self.cell.input_size}), "
                f"found {tuple(x.shape)}"
            )
        widest = forest.children.shape[1]
        if self.cell.arity is not None and widest > self.cell.arity:
            raise OptionError(f"a node has {widest} children; this cell takes {self.cell.arity} at most")


def _gathered(inbox: list[tuple[Tensor, ...]], places: Tensor) -> list[Tensor]:
    """Each state of the children (nodes, width, size) of a level, 0 behind them."""
    arrived = [parts[0] if len(parts) == 1 else torch.cat(parts) for parts in zip(*inbox, strict=True)]
    nodes, count = len(places), len(arrived[0])
    if count != places.numel():
        places = places[:, : int((places >= 0).sum(1).max())]
    if count != places.numel():
        # A child that is not there reads a row of zeros behind all others.
        places = torch.where(places >= 0, places, count)
        arrived = [torch.cat([state, state.new_zeros(1, state.shape[1])]) for state in arrived]
    return [state.index_select(0, places.flatten()).view(nodes, places.shape[1], -1) for state in arrived]


def _send(
    states: tuple[Tensor, ...], pieces: list[tuple[int, int]], inboxes: dict[int, list[tuple[Tensor, ...]]]
) -> None:
    """Puts the parts of a level's states into the inboxes of the levels that read them."""
    sizes = [size for _, size in pieces]
    rest = len(states[0]) - sum(sizes)
    if len(sizes) == 1 and not rest:
        inboxes.setdefault(pieces[0][0], []).append(states)
        return
    cut = [torch.split(state, [*sizes, rest] if rest else sizes) for state in states]
    for place, (to, _) in enumerate(pieces):
        inboxes.setdefault(to, []).append(tuple(parts[place] for parts in cut))
