"""Trees in brackets for the task `classify`, read by a tree network."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from steploom.data.labelled import Encoded, Examples, Items
from steploom.data.name_list import names_shown
from steploom.data.tree_batches import EncodedTrees
from steploom.data.trees import Tree, begins_like_trees, parse_tree, read_trees
from steploom.data.vocabulary import Vocabulary, learn_vocabulary, load_vocabulary
from steploom.errors import DataError, OptionError
from steploom.models.tree_classifier import TreeClassifier
from steploom.tasks.classify_kind import Kind
from steploom.training.options import flag

if TYPE_CHECKING:
    from steploom.models.classifier import Classifier
    from steploom.tasks.classify import ClassifyOptions

__all__ = ["TreesKind"]

words = logging.getLogger("steploom")

_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")
# A network with weights for each place of a child grows with the square of their number.
_MOST_CHILDREN = 8
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
    "scale",
    "pooling",
)


class TreesKind(Kind):
    """Trees whose leaves are words and whose nodes may have labels."""

    name: ClassVar[str] = "trees"

    @classmethod
    def knows(cls, path: Path, head: bytes) -> bool:
        """Whether the first line looks like a tree."""
        suffix = next((s for s in reversed(path.suffixes) if s != ".gz"), "")
        return suffix.lower() not in _TABLES and begins_like_trees(head.decode("utf-8", "replace").lstrip("\ufeff"))

    @classmethod
    def read(
        cls, options: ClassifyOptions, files: Sequence[Path], learnt: dict[str, Any] | None, labelled: bool
    ) -> Examples:
        """Reads a tree a line; the label of its root is the example's."""
        if learnt is None:
            _refuse_ignored(options)
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

    @classmethod
    def from_lines(cls, lines: Sequence[tuple[int, str]]) -> Examples:
        """Trees that were typed: the number of each line, and the line."""
        trees = Items(parse_tree(line, Path("-"), row) for row, line in lines)
        return Examples(trees, None, (Path("-"),), tuple((0, row) for row, _ in lines))

    @classmethod
    def learn(
        cls, options: ClassifyOptions, files: Sequence[Path], train: Examples, classes: Sequence[str]
    ) -> dict[str, Any]:
        """The words, and the most children of a node."""
        vocabulary = learn_vocabulary(
            (_sentence(tree, options) for tree in train.inputs),
            "words",
            size=options.vocabulary_size,
            min_count=options.min_count,
        )
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

    @property
    def vocabulary(self) -> Vocabulary:
        """The words."""
        if not hasattr(self, "_vocabulary"):
            self._vocabulary = load_vocabulary(self.artefacts["vocabulary"])
        return self._vocabulary

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
        lower = self.options.lower_case

        def number_of(word: str) -> int:
            return numbers.get(word.lower() if lower else word, unknown)

        classes = {name: number for number, name in enumerate(self.artefacts["labels"]["classes"])} if training else {}
        renamed = self.options.new_labels

        def class_of(label: str | None) -> int | None:
            return None if label is None else classes.get(renamed.get(label, label))

        return EncodedTrees(examples.inputs, number_of, class_of if training and self.options.node_labels else None)

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
            class_weights=class_weights,
            label_smoothing=options.label_smoothing,
        )

    def facts(self) -> dict[str, Any]:
        """The words, and how wide and large the trees are."""
        inputs = self.artefacts["inputs"]
        shown = {"vocabulary": f"{len(self.vocabulary):,} words", "largest tree": f"{inputs['most_nodes']:,} nodes"}
        any_number = self.options.tree_network == "child-sum"
        return shown | {"children of a node": "any number" if any_number else f"{inputs['arity']} at most"}

    def text(self, examples: Examples, row: int) -> str | None:
        """The words of a tree."""
        return " ".join(examples.inputs[row].sentence)


def _sentence(tree: Tree, options: ClassifyOptions) -> str:
    text = " ".join(tree.sentence)
    return text.lower() if options.lower_case else text


def _refuse_ignored(options: ClassifyOptions) -> None:
    """Refuses an option that was changed but has no effect on trees."""
    fields = type(options).model_fields
    for name in _IGNORED:
        if name in fields and getattr(options, name) != fields[name].default:
            raise OptionError(
                f"{flag(name)}: a tree network has no use for it. Leave it out, or read the trees as plain sentences "
                "with --kind text"
            )


def _count_labels(train: Examples, renamed: dict[str, str], classes: Sequence[str]) -> None:
    """Says how many nodes below the roots teach, and which labels are no class."""
    found = Counter(
        renamed.get(label, label) for tree in train.inputs for label in tree.labels[:-1] if label is not None
    )
    others = [name for name, _ in found.most_common() if name and name not in classes]
    teaching = sum(found[name] for name in classes)
    words.info(f"{teaching:,} nodes below the roots are labelled too and train with them")
    if others:
        count = sum(found[name] for name in others)
        words.info(f"no class of a tree, and left out of the loss: {count:,} nodes labelled {names_shown(others)}")
