"""Images and sequences of vectors for the task `classify`: .npz and idx files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from steploom.data.arrays import ScaledSequences, Scaler, VectorSequences, joined, sequences_of
from steploom.data.arrays_idx import is_idx, read_idx
from steploom.data.arrays_npz import NpzFile
from steploom.data.file_bytes import first_bytes
from steploom.data.labelled import Encoded, Examples
from steploom.data.name_list import names_shown
from steploom.errors import DataError, OptionError, nearest
from steploom.layers.shift import RandomShift
from steploom.models.classifier import Classifier, SequenceClassifier
from steploom.models.recurrent_shape import RecurrentShape
from steploom.tasks.classify_kind import Kind, refuse_ignored

if TYPE_CHECKING:
    from steploom.tasks.classify import ClassifyOptions

__all__ = ["VectorsKind"]

words = logging.getLogger("steploom")

_INPUTS = ("x", "data", "inputs", "input", "images", "sequences", "features")
_LABELS = ("y", "label", "labels", "target", "targets", "classes")
# What arrays have no use for.
_OF_TEXTS = (
    "text",
    "file_labels",
    "unit",
    "split_punctuation",
    "lower_case",
    "vocabulary_size",
    "min_count",
    "max_length",
    "word_dropout",
    "embedding_size",
    "phrases",
    "tree_network",
    "node_labels",
    "max_children",
)
_LENGTHS = ("lengths", "length")


class VectorsKind(Kind):
    """Sequences of vectors, images among them."""

    name: ClassVar[str] = "vectors"

    @classmethod
    def knows(cls, path: Path, head: bytes) -> bool:
        """A zip archive, as .npz is, or an idx file."""
        return head.startswith(b"PK\x03\x04") or is_idx(head)

    @classmethod
    def read(
        cls, options: ClassifyOptions, files: Sequence[Path], learnt: dict[str, Any] | None, labelled: bool
    ) -> Examples:
        """Reads .npz files, and idx files of inputs with those of their labels."""
        if learnt is None:
            refuse_ignored(options, _OF_TEXTS, "it is for texts or trees, and these are arrays")
        names = {"inputs": options.array, "label": options.label, "lengths": options.lengths}
        names |= {} if learnt is None else learnt["arrays"]
        pixels = options.steps == "pixels"
        parts: list[VectorSequences] = []
        sources: list[Path] = []
        labels: list[list[str]] = []
        idx: dict[str, list[tuple[Path, npt.NDArray[np.generic]]]] = {"inputs": [], "labels": []}
        for file in files:
            if is_idx(first_bytes(file, 8)):
                array = read_idx(file)
                idx["labels" if array.ndim == 1 else "inputs"].append((file, array))
            else:
                found = _read_npz(file, names, learnt is None, pixels, labelled)
                parts, sources = [*parts, found[0]], [*sources, file]
                labels.append(found[1])
        for file, array in idx["inputs"]:
            parts, sources = [*parts, sequences_of(array, file, "the array", None, pixels)], [*sources, file]
        if not parts:
            raise DataError("the file holds labels alone", file=files[0], hint="Name the file with the images as well")
        if labelled:
            labels += _idx_labels(idx)
        inputs = joined(parts, sources)
        if learnt is not None:
            _check_form(inputs, learnt, sources[0])
        places = tuple((number, row + 1) for number, part in enumerate(parts) for row in range(len(part)))
        named = tuple(label for part in labels for label in part) if labelled else None
        return Examples(inputs, named, tuple(sources), places)

    @classmethod
    def learn(
        cls, options: ClassifyOptions, files: Sequence[Path], train: Examples, classes: Sequence[str]
    ) -> dict[str, Any]:
        """The names of the arrays, the form of an example, and the scaling."""
        inputs: VectorSequences = train.inputs
        arrays = {"inputs": options.array, "label": options.label, "lengths": options.lengths}
        if options.shift and inputs.shape is None:
            raise OptionError("--shift: the data are no images. Leave it out")
        if options.shift and inputs.shape is not None:
            RandomShift(inputs.shape, options.shift)
        together = options.scale == "all" or (options.scale == "auto" and inputs.shape is not None)
        scaler = Scaler.none() if options.scale == "none" else Scaler.fitted(inputs, together)
        shape = None if inputs.shape is None else list(inputs.shape)
        lengths = int(inputs.lengths.min()), int(inputs.lengths.max())
        words.info(
            f"sequences of {_span(lengths)} steps of {inputs.size} {'number' if inputs.size == 1 else 'numbers'}"
        )
        described = {"kind": cls.name, "arrays": arrays, "size": inputs.size, "shape": shape}
        return {"inputs": described, "scaler": scaler.to_json()}

    def readers(self) -> dict[str, Callable[[Any], object]]:
        """The form of an example and the scaling."""

        def inputs(found: Any) -> None:
            if found["kind"] != self.name or not isinstance(found["size"], int) or found["size"] < 1:
                raise ValueError(f"'kind' should be {self.name} and 'size' a whole number of at least 1")
            if found["shape"] is not None and not all(isinstance(size, int) for size in found["shape"]):
                raise TypeError("'shape' should be whole numbers")
            for name in ("inputs", "label", "lengths"):
                if not isinstance(found["arrays"][name], (str, type(None))):
                    raise TypeError("'arrays' should be names")

        def scaler(found: Any) -> None:
            if len(Scaler.from_json(found).mean) not in (1, self.artefacts["inputs"]["size"]):
                raise ValueError("'mean' should have one number, or one a feature")

        return {"inputs": inputs, "scaler": scaler}

    def encode(self, examples: Examples, training: bool) -> Encoded:
        """The scaled vectors."""
        return ScaledSequences(examples.inputs, Scaler.from_json(self.artefacts["scaler"]))

    def build(self, classes: int, class_weights: Tensor | None) -> Classifier:
        """Recurrent layers over the vectors, pooling, scores. Inputs are dropped only where that is asked for."""
        options = self.options
        return SequenceClassifier(
            classes,
            RecurrentShape.of(options),
            input_size=self.artefacts["inputs"]["size"],
            pooling=options.pooling,
            input_dropout=options.input_dropout or 0.0,
            output_dropout=options.output_dropout,
            shift=self._shift() if options.shift else None,
            class_weights=class_weights,
            label_smoothing=options.label_smoothing,
        )

    def _shift(self) -> RandomShift:
        """What moves the images; black comes in."""
        scaler, shape = Scaler.from_json(self.artefacts["scaler"]), self.artefacts["inputs"]["shape"]
        background = [-mean / deviation for mean, deviation in zip(scaler.mean, scaler.deviation, strict=True)]
        return RandomShift(shape, self.options.shift, background)

    def facts(self) -> dict[str, Any]:
        """The form of an example."""
        inputs = self.artefacts["inputs"]
        if inputs["shape"] is None:
            return {"inputs": f"sequences of {inputs['size']} numbers a step"}
        return {"inputs": f"images of {' x '.join(map(str, inputs['shape']))}, by {self.options.steps}"}


def _span(lengths: tuple[int, int]) -> str:
    return f"{lengths[0]:,}" if lengths[0] == lengths[1] else f"{lengths[0]:,} to {lengths[1]:,}"


def _read_npz(
    file: Path, names: dict[str, str | None], first: bool, pixels: bool, labelled: bool
) -> tuple[VectorSequences, list[str]]:
    """The sequences of a file, and their labels where they are wanted."""
    archive = NpzFile(file)
    label = _named(archive, names["label"], _LABELS, "--label") if labelled or names["label"] in archive.names else None
    lengths = _named(archive, names["lengths"], _LENGTHS, "--lengths")
    others = [name for name in archive.names if name not in (label, lengths)]
    inputs = _named(archive, names["inputs"], _INPUTS, "--array")
    if inputs is None and not labelled:
        others = [name for name in others if name.lower() not in _LABELS]
    inputs = inputs or (others[0] if len(others) == 1 else None)
    if inputs is None or (label is None and labelled):
        what, option = ("inputs", "--array") if inputs is None else ("labels", "--label")
        raise DataError(
            f"which array holds the {what} is not clear; there are {names_shown(archive.names)}",
            file=file,
            hint=f"Name it with {option}",
        )
    chosen = [name for name in (inputs, label, lengths) if name is not None]
    if len(set(chosen)) < len(chosen):
        raise OptionError(
            f"--array, --label and --lengths: one array cannot be two of them, found {names_shown(chosen)}"
        )
    archive.headers(chosen)
    array = archive.read(inputs)
    found = sequences_of(
        array, file, f"the array '{inputs}'", None if lengths is None else archive.read(lengths), pixels
    )
    if label is None or not labelled:
        return found, []
    labels = _labels_of(archive.read(label), file, f"the array '{label}'")
    if len(labels) != len(found):
        raise DataError(f"there are {len(found):,} examples and {len(labels):,} labels", file=file)
    return found, labels


def _named(archive: NpzFile, asked: str | None, usual: Sequence[str], option: str) -> str | None:
    """The array that was asked for, else one with a usual name, else None."""
    if asked is not None:
        if asked in archive.names:
            return asked
        raise OptionError(
            f"{option}: {archive.path} has no array '{asked}'; it has {names_shown(archive.names)}."
            f"{nearest(asked, archive.names)}"
        )
    by_name = {name.lower(): name for name in reversed(archive.names)}
    return next((by_name[name] for name in usual if name in by_name), None)


def _labels_of(array: npt.NDArray[np.generic], file: Path, name: str) -> list[str]:
    """Labels as texts.

    Raises:
        DataError: they are no labels; the message names the row.
    """
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        shown = " x ".join(str(n) for n in array.shape)
        raise DataError(f"{name}: expected one label an example, found {shown}", file=file)
    if array.dtype.kind == "f":
        whole = np.isfinite(array) & (array == np.floor(array))
        if not whole.all():
            row = int(whole.argmin())
            raise DataError(f"{name}: expected a whole number as a label, found {array[row]}", file=file, row=row + 1)
        array = array.astype(np.int64)
    if array.dtype.kind == "S":
        labels = [label.decode("utf-8", "replace").strip() for label in array.tolist()]
    else:
        labels = [str(label).strip() for label in array.tolist()]
    if "" in labels:
        raise DataError(f"{name}: the label is empty", file=file, row=labels.index("") + 1)
    return labels


def _idx_labels(idx: dict[str, list[tuple[Path, npt.NDArray[np.generic]]]]) -> list[list[str]]:
    """The labels of each idx file of inputs; where no file of labels is given, from the one beside it."""
    inputs, labels = idx["inputs"], idx["labels"]
    if inputs and not labels:
        beside = [_sibling(file) for file, _ in inputs]
        labels = [(file, read_idx(file)) for file in beside]
    if len(inputs) != len(labels):
        listed = ", ".join(str(file) for file, _ in (*inputs, *labels))
        raise OptionError(f"there are {len(inputs)} idx files of inputs and {len(labels)} of labels: {listed}")
    found = []
    for (file, array), (source, given) in zip(inputs, labels, strict=True):
        if len(array) != len(given):
            raise DataError(f"{len(given):,} labels for the {len(array):,} examples of {file}", file=source)
        found.append(_labels_of(given, source, "the array"))
    return found


def _sibling(images: Path) -> Path:
    """The labels of MNIST's naming beside a file of images."""
    name = images.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
    beside = images.with_name(name)
    if name == images.name or not beside.exists():
        raise DataError("there is no file with its labels", file=images, hint="Name both, the images and the labels")
    words.info(f"labels from {beside}")
    return beside


def _check_form(inputs: VectorSequences, learnt: dict[str, Any], file: Path) -> None:
    """Refuses what the model was not trained on."""
    shape = None if learnt["shape"] is None else tuple(learnt["shape"])
    if shape is not None and inputs.shape != shape:
        found = "sequences" if inputs.shape is None else f"images of {' x '.join(map(str, inputs.shape))}"
        raise DataError(f"the model was trained on images of {' x '.join(map(str, shape))}, found {found}", file=file)
    if inputs.size != learnt["size"]:
        raise DataError(f"the model was trained on {learnt['size']} numbers a step, found {inputs.size}", file=file)
