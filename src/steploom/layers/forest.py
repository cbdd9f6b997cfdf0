"""A batch of trees as one forest, arranged so that a network can go through it level by level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

from steploom.errors import OptionError

__all__ = ["Forest"]


@dataclass(frozen=True)
class Forest:
    """Trees whose nodes are numbered by their height, and those of one height by the height of their parent.

    The height of a leaf is 0, that of another node one more than that of its highest child. All nodes of one height are
    a level. As every node has at most one parent, a level is cut into contiguous pieces, one for each level that its
    parents stand on: what a level reads is the pieces that were sent to it, one behind the other (its inbox), and
    nothing is copied twice. `Forest.grow` makes one.

    Args:
        children: int64 (nodes, widest), the numbers of the children from left to right, -1 behind them.
        places: int64 (nodes, widest), where in the inbox of its level each child stands, -1 behind them.
        levels: int64 (heights + 1,), the first node of each level, and the number of nodes.
        pieces: int64 (pieces, 3), of each piece its level, the level it is sent to, and its nodes. Those that are sent
            nowhere, the roots, are not among them; they are the last nodes of their level.
        roots: int64 (trees,), the root of each tree.
    """

    children: Tensor
    places: Tensor
    levels: Tensor
    pieces: Tensor
    roots: Tensor

    def __len__(self) -> int:
        """The nodes."""
        return len(self.children)

    @property
    def leaves(self) -> int:
        """How many leaves there are; they are the first nodes."""
        return int(self.levels[1]) if len(self.levels) > 1 else 0

    @classmethod
    def grow(cls, parents: Tensor, heights: Tensor | None = None) -> tuple[Self, Tensor]:
        """The forest of some trees, and the number that each of their nodes has in it, int64 (nodes,).

        Args:
            parents: int64 (nodes,), the number of each node's parent, -1 for a root. A parent stands behind its
                children, and of two children of one parent the left one stands first.
            heights: int64 (nodes,), where they are known.

        Raises:
            OptionError: a parent does not stand behind its child.
        """
        if heights is None:
            heights = _heights(parents)
        nodes = len(parents)
        count = int(heights.max()) + 1 if nodes else 0
        inner = parents >= 0
        # Roots are sent nowhere: behind all others of their level.
        to = torch.where(inner, heights[parents.clamp(min=0)], count)
        key = heights * (count + 1) + to
        order = torch.argsort(key, stable=True)
        number = torch.empty_like(order)
        number[order] = torch.arange(nodes)
        levels = torch.searchsorted(heights[order], torch.arange(count + 1))

        sent, sizes = torch.unique_consecutive(key[order], return_counts=True)
        pieces = torch.stack([sent // (count + 1), sent % (count + 1), sizes], 1) if nodes else key.new_zeros(0, 3)
        pieces = pieces[pieces[:, 1] < count]

        # In the inbox of a level stand the nodes sent to it, by their number.
        arrival = torch.argsort(to[order], stable=True)
        place = torch.empty_like(order)
        place[arrival] = torch.arange(nodes)
        begins = torch.searchsorted(to[order][arrival], torch.arange(count + 1))
        place -= begins[to[order]]

        child = torch.nonzero(inner)[:, 0]
        # Siblings from left to right: by their number among the nodes that were given.
        by_parent = child[torch.argsort(parents[child], stable=True)]
        above = parents[by_parent]
        families = torch.bincount(above, minlength=nodes)
        first = families.cumsum(0) - families
        slot = torch.arange(len(child)) - first[above]
        widest = int(families.max()) if nodes else 0
        children = torch.full((nodes, widest), -1)
        places = torch.full((nodes, widest), -1)
        children[number[above], slot] = number[by_parent]
        places[number[above], slot] = place[number[by_parent]]
        return cls(children, places, levels, pieces, number[~inner]), number

    def tensors(self) -> dict[str, Tensor]:
        """The five tensors by name, for a batch."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of(cls, batch: Mapping[str, Tensor]) -> Self:
        """The forest whose `tensors` are in `batch`, among others."""
        return cls(*(batch[field.name] for field in fields(cls)))


def _heights(parents: Tensor) -> Tensor:
    heights = [0] * len(parents)
    for node, parent in enumerate(parents.tolist()):
        if parent >= 0:
            if not node < parent < len(heights):
                raise OptionError(f"the parent of node {node} should stand behind it; found node {parent}")
            heights[parent] = max(heights[parent], heights[node] + 1)
    return torch.tensor(heights, dtype=torch.int64)
