"""Images and sequences of vectors for the task `classify`: .npz and idx files."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from steploom.data.file_bytes import first_bytes
from steploom.data.labelled.array_scaling import ScaledSequences, Scaler
from steploom.data.labelled.arrays import VectorSequences, joined, sequences_of
from steploom.data.labelled.arrays_idx import is_idx, read_idx
from steploom.data.labelled.examples import Encoded, Examples
from steploom.errors import DataError, OptionError
from steploom.layers.shift import RandomShift
from steploom.models.classifier import Classifier, SequenceClassifier
from steploom.models.recurrent_shape import RecurrentShape
from steploom.tasks.classify.arrays import found_arrays, idx_labels, read_npz
from steploom.tasks.classify.kind import Kind, refuse_ignored

if TYPE_CHECKING:
    from steploom.tasks.classify.task import ClassifyOptions

__all__ = ["VectorsKind"]

logger = logging.getLogger("steploom")

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
            if all(is_idx(first_bytes(file, 8)) for file in files):
                refuse_ignored(options, ("array", "label", "lengths"), "the arrays of idx files have no names")
        names = {"inputs": options.array, "label": options.label, "lengths": options.lengths}
        names |= {} if learnt is None else learnt["arrays"]
        trained = {} if learnt is None else learnt.get("found", {})
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
                found = read_npz(file, names, learnt is None, pixels, labelled, trained)
                parts, sources = [*parts, found[0]], [*sources, file]
                labels.append(found[1])
        for file, array in idx["inputs"]:
            parts, sources = [*parts, sequences_of(array, file, "the array", None, pixels)], [*sources, file]
        if not parts:
            raise DataError("the file holds labels alone", file=files[0], hint="Name the file with the images as well")
        if labelled:
            labels += idx_labels(idx)
        inputs = joined(parts, sources)
        if learnt is not None:
            _check_form(inputs, learnt, sources[0])
        places = tuple((number, row + 1) for number, part in enumerate(parts) for row in range(len(part)))
        named = tuple(label for part in labels for label in part) if labelled else None
        return Examples(inputs, named, tuple(sources), places)

    @classmethod
    def contents(cls, examples: Examples) -> Iterable[int]:
        """A digest of each sequence, which takes less memory than its numbers."""
        values, starts, lengths = examples.inputs.values.numpy(), examples.inputs.starts, examples.inputs.lengths
        ends = (starts + lengths).tolist()
        return (hash(values[start:end].tobytes()) for start, end in zip(starts.tolist(), ends, strict=True))

    @classmethod
    def learn(
        cls, options: ClassifyOptions, files: Sequence[Path], train: Examples, classes: Sequence[str]
    ) -> dict[str, Any]:
        """The names of the arrays, the form of an example, and the scaling."""
        inputs: VectorSequences = train.inputs
        arrays = {"inputs": options.array, "label": options.label, "lengths": options.lengths}
        if options.shift:
            _check_shift(options.shift, inputs)
        together = options.scale == "all" or (options.scale == "auto" and inputs.shape is not None)
        scaler = Scaler.none() if options.scale == "none" else Scaler.fitted(inputs, together)
        shape = None if inputs.shape is None else list(inputs.shape)
        lengths = int(inputs.lengths.min()), int(inputs.lengths.max())
        logger.info(
            f"sequences of {_span(lengths)} steps of {inputs.size} {'number' if inputs.size == 1 else 'numbers'}"
        )
        described = {"kind": cls.name, "arrays": arrays, "size": inputs.size, "shape": shape}
        archive = next((file for file in files if not is_idx(first_bytes(file, 8))), None)
        if archive is not None:
            described["found"] = found_arrays(archive, arrays)
        return {"inputs": described, "scaler": scaler.to_json()}

    def readers(self) -> dict[str, Callable[[Any], object]]:
        """The form of an example and the scaling."""

        def inputs(found: Any) -> None:
            if found["kind"] != self.name:
                raise ValueError(f"'kind' should be {self.name}")
            self._check_sizes(found["size"], found["shape"])
            for name in ("inputs", "label", "lengths"):
                if not isinstance(found["arrays"][name], (str, type(None))):
                    raise TypeError("'arrays' should be names")
                if "found" in found and not isinstance(found["found"][name], (str, type(None))):
                    raise TypeError("'found' should be names")

        def scaler(found: Any) -> None:
            if len(Scaler.from_json(found).mean) not in (1, self.artefacts["inputs"]["size"]):
                raise ValueError("'mean' should have one number, or one a feature")

        return {"inputs": inputs, "scaler": scaler}

    def _check_sizes(self, size: Any, shape: Any) -> None:
        """Raises an error where a stored form of an example is none, or does not fit the options."""
        if not all(type(number) is int and number >= 1 for number in (size, *(shape or ()))):
            raise ValueError("'size' and 'shape' should be whole numbers of at least 1")
        if shape is None:
            if self.options.shift:
                raise ValueError("'shape' should be that of an image, for images are moved in training")
            return
        if len(shape) not in (2, 3) or size != math.prod(shape[2 if self.options.steps == "pixels" else 1 :]):
            raise ValueError("'shape' should be height, width and channels, and 'size' the numbers of a step of it")
        if self.options.shift >= min(shape[:2]):
            raise ValueError("'shape' should be larger than images are moved in training")

    def encode(self, examples: Examples, training: bool) -> Encoded:
        """The scaled vectors; whether they are in another unit than those of the training is said."""
        scaler = Scaler.from_json(self.artefacts["scaler"])
        if not training and self.options.scale != "none" and len(examples.inputs) and not scaler.fits(examples.inputs):
            logger.warning(
                f"{examples.files[0]}: the numbers are far from those in training: do not rely on these labels. "
                "Check the unit, such as 0 to 1 in the place of 0 to 255"
            )
        return ScaledSequences(examples.inputs, scaler)

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


def _check_shift(shift: int, inputs: VectorSequences) -> None:
    """Raises an error where the data are no images, or images that are not larger than they are moved."""
    if inputs.shape is None:
        raise OptionError(
            "--shift: the data are no images. Leave it out; images of other numbers than bytes are "
            "examples x height x width x channels, with 1 channel where they are grey"
        )
    height, width = inputs.shape[:2]
    if shift >= min(height, width):
        raise OptionError(f"--shift: expected a number below the size of the images, {height} x {width}, found {shift}")


def _check_form(inputs: VectorSequences, learnt: dict[str, Any], file: Path) -> None:
    """Refuses what the model was not trained on."""
    shape = None if learnt["shape"] is None else tuple(learnt["shape"])
    if shape is not None and inputs.shape != shape:
        found = "sequences" if inputs.shape is None else f"images of {' x '.join(map(str, inputs.shape))}"
        raise DataError(f"the model was trained on images of {' x '.join(map(str, shape))}, found {found}", file=file)
    if inputs.size != learnt["size"]:
        raise DataError(f"the model was trained on {learnt['size']} numbers a step, found {inputs.size}", file=file)
