"""Trees as numbers, put together into forests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from steploom.data.labelled.tree import Tree
from steploom.layers.forest import Forest
from steploom.models.output_loss import IGNORED

__all__ = ["EncodedTrees"]


class EncodedTrees:
    """Trees ready to be put together into batches, as `steploom.data.labelled.examples.Encoded`.

    Attributes:
        lengths: int64 (trees,), the nodes of each tree.

    Args:
        trees: the trees.
        number_of: the number of a word.
        class_of: the number of a label's class, None for one that counts nowhere; None: labels are not read.
    """

    def __init__(
        self,
        trees: Sequence[Tree],
        number_of: Callable[[str], int],
        class_of: Callable[[str | None], int | None] | None = None,
    ) -> None:
        self.lengths = torch.tensor([len(tree) for tree in trees], dtype=torch.int64)
        self._begins = (self.lengths.cumsum(0) - self.lengths).tolist()
        self._parents = _joined(tree.parents for tree in trees)
        self._heights = _joined(tree.heights() for tree in trees)
        self._tokens = _joined([0 if word is None else number_of(word) for word in tree.words] for tree in trees)
        self._labels: Tensor | None = None
        if class_of is not None:
            classes = ([class_of(label) for label in tree.labels] for tree in trees)
            self._labels = _joined([IGNORED if number is None else number for number in numbers] for numbers in classes)

    def collate(self, rows: Tensor, padded: int = 0) -> dict[str, Tensor]:
        """The trees `rows` as one batch, without any padding.

        Returns:
            the tensors of a `Forest` whose roots are in the order of `rows`; "token", int64 (leaves,), the number of
            each leaf's word; and "node_label", int64 (nodes,), where labels were read: `IGNORED` at nodes that count
            nowhere.
        """
        return self.numbered(rows)[0]

    def numbered(self, rows: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The batch of `collate`, and the number there of each node of these trees, one behind the other: (nodes,)."""
        sizes = self.lengths[rows]
        parts = [
            slice(self._begins[row], self._begins[row] + size)
            for row, size in zip(rows.tolist(), sizes.tolist(), strict=True)
        ]
        parents = _taken(self._parents, parts)
        begins = (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
        forest, number = Forest.grow(torch.where(parents < 0, parents, parents + begins), _taken(self._heights, parts))
        batch = forest.tensors()
        batch["token"] = torch.empty_like(number).index_copy_(0, number, _taken(self._tokens, parts))[: forest.leaves]
        if self._labels is not None:
            batch["node_label"] = torch.empty_like(number).index_copy_(0, number, _taken(self._labels, parts))
        return batch, number


def _joined(lists: Iterable[list[int]]) -> Tensor:
    return torch.tensor([value for values in lists for value in values], dtype=torch.int64)


def _taken(values: Tensor, parts: Sequence[slice]) -> Tensor:
    return torch.cat([values[:0], *(values[part] for part in parts)])
