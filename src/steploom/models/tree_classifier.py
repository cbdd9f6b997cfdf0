"""A class for a tree: words at the leaves, a tree network above them, scores at each node."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from steploom.errors import OptionError
from steploom.layers.dropout import TokenDropout
from steploom.layers.forest import Forest
from steploom.layers.tree import TreeNetwork
from steploom.layers.tree_cells import ChildSumTreeLSTMCell, NaryTreeLSTMCell, RecursiveCell, TreeCell
from steploom.models.classifier import Classifier
from steploom.models.network import Carry, Loss, reaching_all
from steploom.models.output_loss import IGNORED

__all__ = ["TREE_NETWORKS", "TreeClassifier"]

TREE_NETWORKS = ("nary", "child-sum", "recursive")
"""The tree networks by name."""


class TreeClassifier(Classifier):
    """Embedding, tree network, scores of the classes at each node (Socher et al. 2013; Tai et al. 2015).

    A batch holds the tensors of a `Forest` and "token", int64 (leaves,), the number of each leaf's word.

    Args:
        classes: how many.
        vocabulary_size: words.
        kind: one of `TREE_NETWORKS`.
        embedding_size: size of a word's vector.
        hidden_size: size of a node's output.
        arity: most children of a node; "child-sum" takes any number.
        input_dropout: rate of dropout of the words' vectors.
        output_dropout: rate of dropout of a node's output before the scores.
        word_dropout: share of the words that become `unknown` in training, so that its vector is learnt too.
        unknown: the number of the unknown word.
        node_labels: whether training counts the labelled nodes below the roots too, which evaluation does not.
        class_weights, label_smoothing: as for `Classifier`.
    """

    def __init__(
        self,
        classes: int,
        vocabulary_size: int,
        *,
        kind: str = "nary",
        embedding_size: int = 128,
        hidden_size: int = 128,
        arity: int = 2,
        input_dropout: float = 0.0,
        output_dropout: float = 0.0,
        word_dropout: float = 0.0,
        unknown: int = 0,
        node_labels: bool = False,
        class_weights: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(classes, class_weights, label_smoothing)
        self.comparable_losses = not node_labels
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.tree = TreeNetwork(_cell(kind, embedding_size, hidden_size, arity))
        self.input_dropout, self.output_dropout = nn.Dropout(input_dropout), nn.Dropout(output_dropout)
        self.word_dropout = TokenDropout(word_dropout, unknown)
        self.output = nn.Linear(hidden_size, classes)

    def logits(self, batch: dict[str, Tensor]) -> Tensor:
        """The scores (trees, classes) at the roots."""
        return self._scores(self._hidden(batch).index_select(0, batch["roots"]))

    def node_logits(self, batch: dict[str, Tensor]) -> Tensor:
        """The scores (nodes, classes) at each node."""
        return self._scores(self._hidden(batch))

    def loss(self, batch: dict[str, Tensor], carry: Carry | None) -> Loss:
        """The summed cross entropy in nats over the nodes with a label, or over the roots alone.

        Args:
            batch: the trees, with "node_label", int64 (nodes,), `IGNORED` at nodes that count nowhere; without that,
                "label", int64 (trees,), the class of each root.
            carry: nothing is carried from tree to tree.
        """
        hidden = self._hidden(batch)
        if "node_label" in batch:
            nodes = torch.nonzero(batch["node_label"] != IGNORED)[:, 0]
            label = batch["node_label"][nodes]
        else:
            nodes, label = batch["roots"], batch["label"]
        found = self.cross_entropy(self._scores(hidden.index_select(0, nodes)), label)
        if len(batch["levels"]) > 2:
            return found
        # No tree here has an inner node.
        return replace(found, total=reaching_all(found.total, self))

    def _hidden(self, batch: dict[str, Tensor]) -> Tensor:
        """The tree network's output at each node (nodes, hidden_size)."""
        words = self.embedding(self.word_dropout(batch["token"]))
        return cast(Tensor, self.tree(self.input_dropout(words), Forest.of(batch)))

    def _scores(self, hidden: Tensor) -> Tensor:
        return cast(Tensor, self.output(self.output_dropout(hidden)))


def _cell(kind: str, input_size: int, hidden_size: int, arity: int) -> TreeCell:
    if kind == "child-sum":
        return ChildSumTreeLSTMCell(input_size, hidden_size)
    if kind == "nary":
        return NaryTreeLSTMCell(input_size, hidden_size, arity)
    if kind == "recursive":
        return RecursiveCell(input_size, hidden_size, arity)
    raise OptionError(f"kind: expected one of {', '.join(TREE_NETWORKS)}, found {kind!r}")
