"""What the task `classify` asks of a kind of data: texts, vectors, trees. Each kind is one class in one file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from steploom.errors import OptionError
from steploom.training.option_errors import flag

if TYPE_CHECKING:
    from torch import Tensor

    from steploom.data.labelled.examples import Encoded, Examples
    from steploom.models.classifier import Classifier
    from steploom.tasks.classify.task import ClassifyOptions, PredictOptions

__all__ = ["KINDS", "Kind", "kind_class", "kind_of_files", "refuse_ignored"]

KINDS = {
    "text": "steploom.tasks.classify.text:TextKind",
    "vectors": "steploom.tasks.classify.vectors:VectorsKind",
    "trees": "steploom.tasks.classify.trees:TreesKind",
}
"""The kinds by name. A file is of the last kind that knows it, and a text where none does."""


class Kind(ABC):
    """A kind of data, for one model.

    Attributes:
        name: as `--kind` knows it.

    Args:
        options: of the training.
        artefacts: of the whole model; this kind's own are those that `learn` gave.
    """

    name: ClassVar[str]

    def __init__(self, options: ClassifyOptions, artefacts: dict[str, Any]) -> None:
        self.options, self.artefacts = options, artefacts

    @classmethod
    @abstractmethod
    def knows(cls, path: Path, head: bytes) -> bool:
        """Whether a file whose first bytes (unpacked) are `head` is of this kind."""

    @classmethod
    @abstractmethod
    def read(
        cls, options: ClassifyOptions, files: Sequence[Path], learnt: dict[str, Any] | None, labelled: bool
    ) -> Examples:
        """Reads and checks some files.

        Args:
            options: of the training.
            files: one part of the data.
            learnt: the artefact "inputs", which says how the training files were read; None for these themselves.
            labelled: whether labels must be there; else they are read where they are.

        Raises:
            DataError: a file cannot be used.
            OptionError: an option does not fit the files.
        """

    @classmethod
    def training(cls, options: ClassifyOptions, examples: Examples) -> Examples:
        """The examples to train on, made of those of the training part: some kinds have more of them.

        Labels are as in the files; renaming comes after this.
        """
        return examples

    @classmethod
    def contents(cls, examples: Examples) -> Iterable[Hashable]:
        """What each input holds, so that the same ones can be found."""
        return cast(Iterable[Hashable], examples.inputs)

    @classmethod
    def second_label(cls, options: ClassifyOptions, files: Sequence[Path], only: str) -> str | None:
        """Where a second label may hide in training files that seem to have only one, for a message; None: nowhere.

        Args:
            options: of the training.
            files: the training files.
            only: the label that they have, renamed.
        """
        return None

    @classmethod
    def further_labels(cls, examples: Examples) -> set[str]:
        """Labels that the examples have within them, which may be renamed too."""
        return set()

    @classmethod
    def trained_labels(cls, options: ClassifyOptions, train: Examples) -> Counter[str]:
        """How often the loss of the training sees each label; further ones that are no class may be among them.

        Args:
            options: of the training.
            train: what `training` gave, with its final labels.
        """
        return Counter(train.labels)

    @classmethod
    @abstractmethod
    def learn(
        cls, options: ClassifyOptions, files: Sequence[Path], train: Examples, classes: Sequence[str]
    ) -> dict[str, Any]:
        """What is learnt from the training part, name to JSON: "inputs", with {"kind": its name}, and others.

        Args:
            options: of the training.
            files: the training files.
            train: what `training` gave, with its final labels.
            classes: the classes, in the order of their numbers.
        """

    @abstractmethod
    def readers(self) -> dict[str, Callable[[Any], object]]:
        """For each of its artefacts what reads it, as `Task.readers`."""

    @abstractmethod
    def encode(self, examples: Examples, training: bool) -> Encoded:
        """Examples as numbers, for training or for all else.

        Raises:
            DataError: an example does not fit the model.
        """

    @abstractmethod
    def build(self, classes: int, class_weights: Tensor | None) -> Classifier:
        """The network with fresh weights."""

    def architecture(self) -> dict[str, Any] | None:
        """`Task.architecture`, where the network is not made of recurrent layers."""
        return None

    def facts(self) -> dict[str, Any]:
        """What `steploom info` shows about the inputs."""
        return {}

    def from_lines(self, lines: Sequence[str]) -> Examples:
        """Unlabelled examples from lines that were typed; blank ones do not count, and rows are their numbers from 1.

        Raises:
            DataError: a line is no example.
            OptionError: examples of this kind come from files alone.
        """
        raise OptionError(f"this model reads {self.name} from a file. Name it: steploom predict DIR DATA")

    def check_predicting(self, options: PredictOptions) -> None:
        """Refuses options of `predict` that this kind has no use for.

        Raises:
            OptionError: there is one.
        """
        if options.nodes:
            raise OptionError(f"--nodes: this model reads {self.name.rstrip('s')}s, which have none. Leave it out")

    def columns(self, network: Any, examples: Examples, options: PredictOptions) -> dict[str, list[str]]:
        """Columns that `predict` writes behind the probabilities: name to a text an example."""
        return {}

    def draw(self, network: Any, examples: Examples, path: Path) -> bool:
        """Draws a picture of its own of labelled examples; False: there is none, and the usual one is drawn."""
        return False

    def text(self, examples: Examples, row: int) -> str | None:
        """The input of an example as text, to be written beside its label; None where it is none."""
        return None

    def pieces(self, examples: Examples, row: int) -> list[str] | None:
        """The steps of an example as pieces of text, to be drawn; None where they are none."""
        return None


def refuse_ignored(options: ClassifyOptions, names: Sequence[str], why: str) -> None:
    """Refuses options that were given but have no effect.

    Args:
        options: of the training.
        names: of the options without effect.
        why: "it is for images".

    Raises:
        OptionError: one was given.
    """
    for name in names:
        if options.given(name):
            raise OptionError(f"{flag(name)}: {why}. Leave it out")


def kind_class(name: str) -> type[Kind]:
    """The class of the kind called `name`.

    Raises:
        ValueError: there is no such kind.
    """
    if name not in KINDS:
        raise ValueError(f"there is no kind of data '{name}'; the kinds are {', '.join(KINDS)}")
    module, attribute = KINDS[name].split(":")
    return cast(type[Kind], getattr(import_module(module), attribute))


def kind_of_files(files: Sequence[Path]) -> type[Kind]:
    """The kind of some files, from how they begin.

    Raises:
        DataError: a file cannot be read.
        OptionError: they are of several kinds.
    """
    found = {file: _kind_of(file) for file in files}
    names = sorted(set(found.values()))
    if len(names) > 1:
        listed = ", ".join(f"{file} ({name})" for file, name in found.items())
        raise OptionError(f"the files are of several kinds: {listed}. Give files of one kind, or say --kind")
    return kind_class(names[0])


def _kind_of(file: Path) -> str:
    from steploom.data.file_bytes import first_bytes

    head = first_bytes(file, 4096)
    return next((name for name in reversed(KINDS) if kind_class(name).knows(file, head)), "text")
