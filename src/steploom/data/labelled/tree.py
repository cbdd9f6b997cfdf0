"""A labelled tree over the words of a sentence, and the phrases that its nodes say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Tree", "labelled_phrases"]


@dataclass(frozen=True)
class Tree:
    """A tree as flat lists over its nodes, every node behind its children and the root last.

    Args:
        labels: the label of each node, None where it has none.
        words: the word of each leaf, None at inner nodes.
        parents: the number of each node's parent, -1 for the root.
        row: the line of the file that it begins on, counted from 1.
    """

    labels: list[str | None]
    words: list[str | None]
    parents: list[int]
    row: int = 1

    def __len__(self) -> int:
        """The nodes."""
        return len(self.parents)

    @property
    def label(self) -> str | None:
        """The label of the root."""
        return self.labels[-1]

    @property
    def sentence(self) -> list[str]:
        """The words from left to right."""
        return [word for word in self.words if word is not None]

    def heights(self) -> list[int]:
        """The height of each node: 0 for a leaf, else one more than its highest child."""
        heights = [0] * len(self.parents)
        for node, parent in enumerate(self.parents):
            if parent >= 0 and heights[parent] <= heights[node]:
                heights[parent] = heights[node] + 1
        return heights

    def spans(self) -> list[tuple[int, int]]:
        """The words under each node, as the slice of `sentence` that they are."""
        first = [-1] * len(self.parents)
        ends, seen = [], 0
        for node, parent in enumerate(self.parents):
            if self.words[node] is not None:
                first[node] = seen
                seen += 1
            ends.append(seen)
            if parent >= 0 and first[parent] < 0:
                first[parent] = first[node]
        return list(zip(first, ends, strict=True))


def labelled_phrases(trees: Sequence[Tree], phrases: bool = False) -> list[tuple[int, str | None, list[str]]]:
    """Row, label and words of each tree's sentence; with `phrases`, of every labelled node, each phrase once a tree."""
    if not phrases:
        return [(tree.row, tree.label, tree.sentence) for tree in trees]
    found: list[tuple[int, str | None, list[str]]] = []
    for tree in trees:
        sentence = tree.sentence
        # A node above a single child says the same words again: the upper one's label is that of the phrase.
        spans = dict(zip(tree.spans(), tree.labels, strict=True))
        found += [(tree.row, label, sentence[a:b]) for (a, b), label in spans.items() if label is not None]
    return found
