"""Texts for the task `classify`: tables, JSON lines, a file a label, and trees read as sentences."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from steploom.data.counted import counted
from steploom.data.labelled.examples import Encoded, Examples, Items
from steploom.data.labelled.sequences import TokenSequences
from steploom.data.labelled.texts import LabelledText, read_labelled_texts, read_plain_texts
from steploom.data.labelled.tree import labelled_phrases
from steploom.data.labelled.trees import begins_like_trees, read_trees
from steploom.data.text.columns import TextColumns, doubted_header, find_text_columns
from steploom.data.text.files import read_text
from steploom.data.text.learn_vocabulary import learn_vocabulary
from steploom.data.text.standard_input import STANDARD_INPUT
from steploom.data.text.table import JSON_LINES, TABLES, suffix_of
from steploom.data.text.vocabulary import Vocabulary, load_vocabulary
from steploom.data.text.words import lower_case, split_words
from steploom.errors import DataError, OptionError
from steploom.models.classifier import Classifier, SequenceClassifier
from steploom.models.recurrent_shape import RecurrentShape
from steploom.tasks.classify.kind import Kind, refuse_ignored

if TYPE_CHECKING:
    from steploom.tasks.classify.task import ClassifyOptions

__all__ = ["TextKind"]

logger = logging.getLogger("steploom")

_TABLES = (*TABLES, *JSON_LINES)


class TextKind(Kind):
    """Texts as sequences of words, characters or byte pairs."""

    name: ClassVar[str] = "text"

    @classmethod
    def knows(cls, path: Path, head: bytes) -> bool:
        """Text is what no other kind knows."""
        return True

    @classmethod
    def read(
        cls, options: ClassifyOptions, files: Sequence[Path], learnt: dict[str, Any] | None, labelled: bool
    ) -> Examples:
        """Reads tables, JSON lines, a file for each of `--file-labels`, or trees in brackets."""
        if learnt is None:
            refuse_ignored(
                options, ("array", "lengths", "steps", "shift", "scale"), "it is for arrays, and these are texts"
            )
            refuse_ignored(
                options, ("tree_network", "node_labels", "max_children"), "texts are read by no tree network"
            )
            _refuse_ignored(options, files)
        given = list(options.file_labels)
        plain = [file for file in files if given and suffix_of(file) not in _TABLES]
        if plain and labelled and len(plain) != len(given):
            raise OptionError(
                f"--file-labels: {counted(len(given), 'label')} for {counted(len(plain), 'file')}: "
                f"{', '.join(str(file) for file in plain)}. "
                "Give a file for each label, in the same order"
            )
        columns = None
        if learnt is not None and learnt.get("columns") is not None:
            columns = TextColumns.from_json(learnt["columns"])
        found: list[tuple[int, LabelledText]] = []
        for number, file in enumerate(files):
            label = given.pop(0) if file in plain and labelled else None
            found += [(number, text) for text in _texts(options, file, columns, label, labelled, file in plain)]
        if plain and labelled:
            logger.info("labels: " + ", ".join(f"{f} has {n}" for f, n in zip(plain, options.file_labels, strict=True)))
        labels = tuple(text.label or "" for _, text in found) if labelled else None
        places = tuple((number, text.row) for number, text in found)
        return Examples(Items(text.text for _, text in found), labels, tuple(files), places)

    @classmethod
    def training(cls, options: ClassifyOptions, examples: Examples) -> Examples:
        """With `--phrases`, every labelled phrase of the sentences' trees."""
        if not options.phrases:
            return examples
        rows = set(examples.places)
        found = []
        for number, file in enumerate(examples.files):
            if not _holds_trees(file):
                raise OptionError(f"--phrases: {file} holds no trees in brackets, whose phrases have labels")
            found += [
                ((number, row), " ".join(tokens), label)
                for row, label, tokens in labelled_phrases(read_trees(file), phrases=True)
                if (number, row) in rows
            ]
        inputs = Items(text for _, text, _ in found)
        return Examples(inputs, tuple(label or "" for *_, label in found), examples.files, tuple(p for p, *_ in found))

    @classmethod
    def second_label(cls, options: ClassifyOptions, files: Sequence[Path], only: str) -> str | None:
        """In the first row of a table, if that was taken for a header without being called one."""
        if options.text is not None or options.label is not None or options.file_labels:
            return None
        for file in files:
            found = None if _holds_trees(file) else doubted_header(file, _columns(options, file))
            if found is None:
                continue
            row, cells, numbered = found
            label = cells[int(numbered.label or 0) - 1]
            if options.new_labels.get(label, label) != only:
                shown = ", ".join(f"'{cell[:40]}'" for cell in cells)
                return (
                    f"Row {row} ({shown}) was read as the header; if it is an example too, give the columns by number: "
                    f"--text {numbered.text} --label {numbered.label}"
                )
        return None

    @classmethod
    def learn(
        cls, options: ClassifyOptions, files: Sequence[Path], train: Examples, classes: Sequence[str]
    ) -> dict[str, Any]:
        """The columns and the vocabulary."""
        columns = _columns(options, files[0]) if not options.file_labels and not _holds_trees(files[0]) else None
        if columns is not None:
            logger.info(f"the text stands in {columns.shown}")
        texts = [prepared_text(options, text) for text in train.inputs]
        vocabulary = learn_vocabulary(texts, options.unit, size=options.vocabulary_size, min_count=options.min_count)
        inputs = {"kind": cls.name, "columns": None if columns is None else columns.to_json()}
        return {"inputs": inputs, "vocabulary": vocabulary.to_json()}

    def readers(self) -> dict[str, Callable[[Any], object]]:
        """The columns and the vocabulary."""

        def inputs(found: Any) -> None:
            if found["kind"] != self.name:
                raise ValueError(f"'kind' should be {self.name}")
            if found["columns"] is not None:
                TextColumns.from_json(found["columns"])

        return {"inputs": inputs, "vocabulary": load_vocabulary}

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokens."""
        return load_vocabulary(self.artefacts["vocabulary"])

    def encode(self, examples: Examples, training: bool) -> Encoded:
        """The token numbers of each text."""
        vocabulary, most = self.vocabulary, self.options.max_length
        numbers = [vocabulary.encode(prepared_text(self.options, text)) for text in examples.inputs]
        cut = sum(len(tokens) > most for tokens in numbers) if most is not None else 0
        if cut:
            logger.info(f"{cut:,} of {len(numbers):,} texts have more than {most} tokens and were cut off there")
        return TokenSequences([tokens[:most] for tokens in numbers])

    def build(self, classes: int, class_weights: Tensor | None) -> Classifier:
        """Embedding, recurrent layers, pooling, scores."""
        options = self.options
        return SequenceClassifier(
            classes,
            RecurrentShape.of(options),
            vocabulary_size=len(self.vocabulary),
            input_size=options.embedding_size or options.hidden_size,
            pooling=options.pooling,
            input_dropout=options.input_dropout,
            output_dropout=options.output_dropout,
            word_dropout=options.word_dropout,
            unknown=self.vocabulary.unknown,
            class_weights=class_weights,
            label_smoothing=options.label_smoothing,
        )

    def facts(self) -> dict[str, Any]:
        """The vocabulary and where the texts stand."""
        found = {"vocabulary": f"{len(self.vocabulary):,} {self.options.unit}"}
        columns = self.artefacts["inputs"]["columns"]
        return found if columns is None else found | {"text": TextColumns.from_json(columns).shown}

    def from_lines(self, lines: Sequence[str]) -> Examples:
        """A text a line."""
        kept = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
        _say_blank(STANDARD_INPUT, [number for number, _ in kept])
        return Examples(Items(line for _, line in kept), None, (Path("-"),), tuple((0, number) for number, _ in kept))

    def text(self, examples: Examples, row: int) -> str | None:
        """The text as it stood in the file."""
        return str(examples.inputs[row])

    def pieces(self, examples: Examples, row: int) -> list[str] | None:
        """The tokens."""
        text = prepared_text(self.options, examples.inputs[row])
        if self.options.unit == "words":
            found = text.split()
        elif self.options.unit == "characters":
            found = list(text)
        else:
            found = [self.vocabulary.decode([number]) for number in self.vocabulary.encode(text)]
        return found[: self.options.max_length]


def prepared_text(options: ClassifyOptions, text: str) -> str:
    """A text as the vocabulary reads it: words with one space between two."""
    text = lower_case(text) if options.lower_case else text
    if options.unit != "words":
        return text
    return " ".join(split_words(text) if options.split_punctuation else text.split())


def _refuse_ignored(options: ClassifyOptions, files: Sequence[Path]) -> None:
    """Refuses options of a training on texts that would change nothing."""
    if options.unit != "words":
        refuse_ignored(options, ("split_punctuation",), f"it is for --unit words, and the tokens are {options.unit}")
    if options.file_labels:
        refuse_ignored(options, ("text", "label"), "with --file-labels a line is a text and a file has one label")
        for file in files:
            if suffix_of(file) in _TABLES:
                raise OptionError(
                    f"--file-labels: {file} is a table, whose rows have labels of their own. Leave it out, "
                    "or give files with a text a line"
                )
    elif all(_holds_trees(file) for file in files):
        refuse_ignored(options, ("text", "label"), "trees have no columns")


def _columns(options: ClassifyOptions, file: Path) -> TextColumns:
    if suffix_of(file) not in _TABLES and "\t" not in read_text(file):
        raise DataError(
            "expected a table (.csv, .tsv) or JSON lines (.jsonl) with a text and a label",
            file=file,
            hint="Where each file holds the texts of one label, a text a line, name the labels with --file-labels",
        )
    return find_text_columns(file, options.text, options.label)


def _texts(
    options: ClassifyOptions, file: Path, columns: TextColumns | None, label: str | None, labelled: bool, plain: bool
) -> list[LabelledText]:
    """The texts of one file."""
    if plain:
        return read_plain_texts(file, label)
    if _holds_trees(file):
        return _sentences(file, labelled)
    if not labelled and suffix_of(file) not in _TABLES and "\t" not in read_text(file):
        found = read_plain_texts(file, None)
        _say_blank(file, [text.row for text in found])
        return found
    if columns is None and not labelled and options.text is None:
        columns = TextColumns("1", None, header=False)
    if columns is None or (not columns.header and suffix_of(file) in JSON_LINES):
        columns = _columns(options, file)
    return read_labelled_texts(file, columns, labelled)


def _say_blank(where: Path, rows: Sequence[int]) -> None:
    """Says how many blank lines stand between the texts, which would else be taken for one a line."""
    blank = rows[-1] - len(rows) if rows else 0
    if blank:
        left_out = "is no text and has no row" if blank == 1 else "are no texts and have no rows"
        logger.info(f"{where}: {counted(blank, 'blank line')} {left_out}; 'row' is the number of a text's line")


def _holds_trees(file: Path) -> bool:
    """Whether the first line of a file that is no table is a tree in brackets."""
    if suffix_of(file) in _TABLES:
        return False
    text = read_text(file)
    return begins_like_trees(text) and "\t" not in text.lstrip().partition("\n")[0]


def _sentences(file: Path, labelled: bool) -> list[LabelledText]:
    found = []
    for row, label, tokens in labelled_phrases(read_trees(file)):
        if labelled and label is None:
            raise DataError(
                "the tree has no label", file=file, row=row, hint="Expected a tree such as (3 (2 It) (4 works))"
            )
        found.append(LabelledText(row, " ".join(tokens), label))
    return found
