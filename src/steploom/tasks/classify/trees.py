"""Trees in brackets for the task `classify`, read by a tree network."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from steploom.data.labelled.examples import Examples, Items
from steploom.data.labelled.tree_batches import EncodedTrees
from steploom.data.labelled.trees import begins_like_trees, parse_trees, read_trees, written_tree
from steploom.data.name_list import names_shown
from steploom.data.text.learn_vocabulary import counted_vocabulary
from steploom.data.text.table import JSON_LINES, TABLES, suffix_of
from steploom.data.text.vocabulary import Vocabulary, load_vocabulary
from steploom.data.text.words import lower_case
from steploom.errors import DataError
from steploom.models.tree_classifier import TreeClassifier
from steploom.tasks.classify.kind import Kind, refuse_ignored

if TYPE_CHECKING:
    from steploom.models.classifier import Classifier
    from steploom.tasks.classify.task import ClassifyOptions, PredictOptions

__all__ = ["TreesKind"]

logger = logging.getLogger("steploom")

# A network with weights for each place of a child grows with the square of their number.
_MOST_CHILDREN = 8
_BATCH = 256
# What a tree network has no use for.
_IGNORED = (
    "cell",
    "num_layers",
    "bidirectional",
    "residual",
    "variational",
    "recurrent_dropout",
    "zoneout",
    "engine",
    "text",
    "label",
    "file_labels",
    "unit",
    "split_punctuation",
    "max_length",
    "phrases",
    "array",
    "lengths",
    "steps",
    "shift",
    "scale",
    "pooling",
)


class TreesKind(Kind):
    """Trees whose leaves are words and whose nodes may have labels."""

    name: ClassVar[str] = "trees"

    @classmethod
    def knows(cls, path: Path, head: bytes) -> bool:
        """Whether the first line looks like a tree."""
        tables = (*TABLES, *JSON_LINES)
        return suffix_of(path) not in tables and begins_like_trees(head.decode("utf-8", "replace").lstrip("\ufeff"))

    @classmethod
    def read(
        cls, options: ClassifyOptions, files: Sequence[Path], learnt: dict[str, Any] | None, labelled: bool
    ) -> Examples:
        """Reads trees in brackets; the label of its root is the example's."""
        if learnt is None:
            refuse_ignored(options, _IGNORED, "a tree network has no use for it (--kind text reads plain sentences)")
            if options.tree_network == "child-sum":
                refuse_ignored(options, ("max_children",), "a child-sum network takes any number of children")
        found = [(number, tree) for number, file in enumerate(files) for tree in read_trees(file)]
        labels = None
        if labelled:
            for number, tree in found:
                if tree.label is None:
                    raise DataError(
                        "the root of the tree has no label",
                        file=files[number],
                        row=tree.row,
                        hint="Expected a tree such as (3 (2 It) (4 works))",
                    )
            labels = tuple(tree.label or "" for _, tree in found)
        places = tuple((number, tree.row) for number, tree in found)
        return Examples(Items(tree for _, tree in found), labels, tuple(files), places)

    def from_lines(self, lines: Sequence[str]) -> Examples:
        """Trees in brackets."""
        trees = Items(parse_trees(lines, Path("-")))
        return Examples(trees, None, (Path("-"),), tuple((0, tree.row) for tree in trees))

    @classmethod
    def contents(cls, examples: Examples) -> Iterable[str]:
        """The words of each tree."""
        return (" ".join(tree.sentence) for tree in examples.inputs)

    @classmethod
    def further_labels(cls, examples: Examples) -> set[str]:
        """The labels of all nodes."""
        return {label for tree in examples.inputs for label in tree.labels if label is not None}

    @classmethod
    def trained_labels(cls, options: ClassifyOptions, train: Examples) -> Counter[str]:
        """Those of all nodes, or of the roots alone."""
        return _node_labels(train, options.new_labels) if options.node_labels else Counter(train.labels)

    @classmethod
    def learn(
        cls, options: ClassifyOptions, files: Sequence[Path], train: Examples, classes: Sequence[str]
    ) -> dict[str, Any]:
        """The words, and the most children of a node."""
        counts = Counter(_looked_up(word, options) for tree in train.inputs for word in tree.sentence)
        vocabulary = counted_vocabulary(counts, "words", size=options.vocabulary_size, min_count=options.min_count)
        widths = [max(Counter(tree.parents[:-1]).values(), default=0) for tree in train.inputs]
        arity = options.max_children or max(2, *widths)
        if options.tree_network != "child-sum" and options.max_children is None and arity > _MOST_CHILDREN:
            raise train.error(
                widths.index(arity),
                f"a node has {arity} children; a {options.tree_network} network has weights for each of them",
                f"Take --tree-network child-sum, or allow so many with --max-children {arity}",
            )
        if options.node_labels:
            _count_labels(train, options.new_labels, classes)
        inputs = {"kind": cls.name, "arity": arity, "most_nodes": max(len(tree) for tree in train.inputs)}
        return {"inputs": inputs, "vocabulary": vocabulary.to_json()}

    def readers(self) -> dict[str, Callable[[Any], object]]:
        """The most children, and the vocabulary."""

        def inputs(found: Any) -> None:
            if found["kind"] != self.name:
                raise ValueError(f"'kind' should be {self.name}")
            for name in ("arity", "most_nodes"):
                if not isinstance(found[name], int) or not 1 <= found[name] < 2**31:
                    raise ValueError(f"'{name}' should be a whole number of at least 1")

        return {"inputs": inputs, "vocabulary": load_vocabulary}

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The words."""
        return load_vocabulary(self.artefacts["vocabulary"])

    def encode(self, examples: Examples, training: bool) -> EncodedTrees:
        """Trees as numbers; for training with the classes of their nodes."""
        arity = self.artefacts["inputs"]["arity"]
        if self.options.tree_network != "child-sum":
            for row, tree in enumerate(examples.inputs):
                widest = max(Counter(tree.parents[:-1]).values(), default=0)
                if widest > arity:
                    raise examples.error(
                        row,
                        f"a node has {widest} children; this {self.options.tree_network} network takes {arity} at most",
                        "Train with --max-children, or with --tree-network child-sum, which takes any number",
                    )
        numbers, unknown = self.vocabulary.numbers, self.vocabulary.unknown or 0

        def number_of(word: str) -> int:
            return numbers.get(_looked_up(word, self.options), unknown)

        if not training or not self.options.node_labels:
            return EncodedTrees(examples.inputs, number_of)
        classes = tuple(self.artefacts["labels"]["classes"])
        return EncodedTrees(examples.inputs, number_of, lambda label: self._class_of(label, classes))

    def build(self, classes: int, class_weights: Tensor | None) -> Classifier:
        """Embedding, tree network, scores."""
        options = self.options
        rate = options.dropout
        return TreeClassifier(
            classes,
            len(self.vocabulary),
            kind=options.tree_network,
            embedding_size=options.embedding_size or options.hidden_size,
            hidden_size=options.hidden_size,
            arity=self.artefacts["inputs"]["arity"],
            input_dropout=rate if options.input_dropout is None else options.input_dropout,
            output_dropout=rate if options.output_dropout is None else options.output_dropout,
            word_dropout=options.word_dropout,
            unknown=self.vocabulary.unknown or 0,
            node_labels=options.node_labels,
            class_weights=class_weights,
            label_smoothing=options.label_smoothing,
        )

    def check_predicting(self, options: PredictOptions) -> None:
        """All options have a use."""

    def columns(self, network: Classifier, examples: Examples, options: PredictOptions) -> dict[str, list[str]]:
        """With `--nodes`, each tree in brackets with the label given to every node."""
        if not options.nodes:
            return {}
        classes = self.artefacts["labels"]["classes"]
        found = self.node_probabilities(network, examples)
        named = ([classes[number] for number in shares.argmax(1).tolist()] for shares in found)
        return {"tree": [written_tree(tree, names) for tree, names in zip(examples.inputs, named, strict=True)]}

    def draw(self, network: Classifier, examples: Examples, path: Path) -> bool:
        """Draws the first trees, each node in the colour of its label."""
        from steploom.tasks.classify.trees_plot import draw_trees, drawable

        some = examples.take(drawable(examples.inputs))
        classes = tuple(self.artefacts["labels"]["classes"])
        true = [[self._class_of(label, classes) for label in tree.labels] for tree in some.inputs]
        draw_trees(some.inputs, self.node_probabilities(network, some), true, classes, path)
        return True

    @torch.no_grad()
    def node_probabilities(self, network: Classifier, examples: Examples) -> list[Tensor]:
        """The probability of each class (nodes, classes) at the nodes of each tree, in the order of `Tree`."""
        assert isinstance(network, TreeClassifier)
        encoded = self.encode(examples, training=False)
        found: list[Tensor] = []
        for rows in torch.split(torch.arange(len(examples)), _BATCH):
            batch, number = encoded.numbered(rows)
            logits = network.node_logits({name: tensor.to(network.device) for name, tensor in batch.items()})
            shares = torch.softmax(logits.float(), -1).cpu()[number]
            found += torch.split(shares, encoded.lengths[rows].tolist())
        return found

    def architecture(self) -> dict[str, Any]:
        """Which tree network it is; of cells and layers it has none."""
        return {"tree_network": self.options.tree_network, "hidden_size": self.options.hidden_size}

    def facts(self) -> dict[str, Any]:
        """The words, and how wide and large the trees are."""
        inputs = self.artefacts["inputs"]
        shown = {"vocabulary": f"{len(self.vocabulary):,} words", "largest tree": f"{inputs['most_nodes']:,} nodes"}
        any_number = self.options.tree_network == "child-sum"
        return shown | {"children of a node": "any number" if any_number else f"{inputs['arity']} at most"}

    def _class_of(self, label: str | None, classes: tuple[str, ...]) -> int | None:
        """The number of a label's class, None where it is none or there is none."""
        named = None if label is None else self.options.new_labels.get(label, label)
        return classes.index(named) if named in classes else None

    def text(self, examples: Examples, row: int) -> str | None:
        """The words of a tree."""
        return " ".join(examples.inputs[row].sentence)


def _looked_up(word: str, options: ClassifyOptions) -> str:
    """A word as it stands in the vocabulary."""
    return lower_case(word) if options.lower_case else word


def _node_labels(train: Examples, renamed: dict[str, str]) -> Counter[str]:
    """How often the nodes of all trees have each label, once it is renamed."""
    return Counter(renamed.get(label, label) for tree in train.inputs for label in tree.labels if label is not None)


def _count_labels(train: Examples, renamed: dict[str, str], classes: Sequence[str]) -> None:
    """Says how many nodes below the roots teach, and which labels are no class."""
    found = _node_labels(train, renamed) - Counter(train.labels)
    others = [name for name, _ in found.most_common() if name and name not in classes]
    teaching = sum(found[name] for name in classes)
    logger.info(f"{teaching:,} nodes below the roots are labelled too and train with them")
    if others:
        count = sum(found[name] for name in others)
        logger.info(f"no class of a tree, and left out of the loss: {count:,} nodes labelled {names_shown(others)}")
