"""The arrays of .npz and idx files as the task `classify` needs them: sequences of vectors, and labels as texts."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from steploom.data.counted import counted
from steploom.data.labelled.arrays import VectorSequences, sequences_of
from steploom.data.labelled.arrays_idx import read_idx
from steploom.data.labelled.arrays_npz import NpzFile
from steploom.data.name_list import names_shown
from steploom.errors import DataError, OptionError, nearest

__all__ = ["found_arrays", "idx_labels", "read_npz"]

logger = logging.getLogger("steploom")

_INPUTS = ("x", "data", "inputs", "input", "images", "sequences", "features")
_LABELS = ("y", "label", "labels", "target", "targets", "classes")
_LENGTHS = ("lengths", "length")


def found_arrays(file: Path, names: Mapping[str, str | None]) -> dict[str, str | None]:
    """The names of the arrays "inputs", "label" and "lengths" in a training file, None for one that is not there.

    Args:
        file: an .npz file.
        names: those that were given; None: by a usual name.

    Raises:
        DataError, OptionError: as for `read_npz`.
    """
    return dict(zip(("inputs", "label", "lengths"), _chosen(NpzFile(file), names, {}, labelled=True), strict=True))


def read_npz(
    file: Path,
    names: Mapping[str, str | None],
    first: bool,
    pixels: bool,
    labelled: bool,
    trained: Mapping[str, str | None] | None = None,
) -> tuple[VectorSequences, list[str]]:
    """The sequences of an .npz file, and their labels where they are wanted.

    Args:
        file: the file.
        names: of the arrays "inputs", "label" and "lengths"; None: by a usual name.
        first: whether the file is one to train on, whose form options must fit.
        pixels: whether images are read pixel by pixel.
        labelled: whether labels must be there.
        trained: what `found_arrays` found in training, and is taken where the file has it.

    Raises:
        DataError: the file cannot be used.
        OptionError: an option does not fit it.
    """
    archive, trained = NpzFile(file), trained or {}
    inputs, label, lengths = _chosen(archive, names, trained, labelled)
    chosen = [name for name in (inputs, label, lengths) if name is not None]
    archive.headers(chosen)
    array = archive.read(inputs)
    if first and pixels and (array.ndim < 3 or lengths is not None):
        raise OptionError("--steps: pixels are of images, and these are sequences. Leave it out")
    found = sequences_of(
        array, file, f"the array '{inputs}'", None if lengths is None else archive.read(lengths), pixels
    )
    if lengths is None and trained.get("lengths") is not None:
        steps = int(found.lengths[0])
        said = f"there is no array '{trained['lengths']}', which the training had"
        logger.info(f"{file}: {said}: all {counted(steps, 'step')} of each example are read")
    if label is None or not labelled:
        return found, []
    labels = _labels_of(archive.read(label), file, f"the array '{label}'")
    if len(labels) != len(found):
        raise DataError(f"there are {counted(len(found), 'example')} and {counted(len(labels), 'label')}", file=file)
    return found, labels


def _chosen(
    archive: NpzFile, names: Mapping[str, str | None], trained: Mapping[str, str | None], labelled: bool
) -> tuple[str, str | None, str | None]:
    """The names of the inputs, the labels and the lengths."""
    label = None
    if labelled or names["label"] in archive.names:
        label = _named(archive, names["label"], trained.get("label"), _LABELS, "--label")
    lengths = _named(archive, names["lengths"], trained.get("lengths"), _LENGTHS, "--lengths")
    others = [name for name in archive.names if name not in (label, lengths)]
    inputs = _named(archive, names["inputs"], trained.get("inputs"), _INPUTS, "--array")
    if inputs is None and not labelled:
        others = [name for name in others if name.lower() not in _LABELS]
    inputs = inputs or (others[0] if len(others) == 1 else None)
    if inputs is None or (label is None and labelled):
        what, option = ("inputs", "--array") if inputs is None else ("labels", "--label")
        raise DataError(
            f"which array holds the {what} is not clear; there are {names_shown(archive.names)}",
            file=archive.path,
            hint=f"Name it with {option}",
        )
    chosen = [name for name in (inputs, label, lengths) if name is not None]
    if len(set(chosen)) < len(chosen):
        raise OptionError(
            f"--array, --label and --lengths: one array cannot be two of them, found {names_shown(chosen)}"
        )
    return inputs, label, lengths


def _named(archive: NpzFile, asked: str | None, trained: str | None, usual: Sequence[str], option: str) -> str | None:
    """The array that was asked for, else that of the training, else one with a usual name, else None."""
    if asked is not None:
        if asked in archive.names:
            return asked
        raise OptionError(
            f"{option}: {archive.path} has no array '{asked}'; it has {names_shown(archive.names)}."
            f"{nearest(asked, archive.names)}"
        )
    if trained in archive.names:
        return trained
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
        # float16 has no such number.
        large = np.abs(array.astype(np.promote_types(array.dtype, np.float64))) >= 2**53
        if large.any():
            row = int(large.argmax())
            raise DataError(
                f"{name}: expected a label, found {array[row]}, too large to be told from its neighbours",
                file=file,
                row=row + 1,
            )
        array = array.astype(np.int64)
    if array.dtype.kind == "S":
        labels = [label.decode("utf-8", "replace").strip() for label in array.tolist()]
    else:
        labels = [str(label).strip() for label in array.tolist()]
    if "" in labels:
        raise DataError(f"{name}: the label is empty", file=file, row=labels.index("") + 1)
    return labels


def idx_labels(idx: dict[str, list[tuple[Path, npt.NDArray[np.generic]]]]) -> list[list[str]]:
    """The labels of each idx file of inputs; where no file of labels is given, from the one beside it.

    Args:
        idx: the files of "inputs" and of "labels" with their arrays.

    Raises:
        DataError: labels are lacking, or are none.
        OptionError: there are more files of the one than of the other.
    """
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
            raise DataError(
                f"{counted(len(given), 'label')} for the {counted(len(array), 'example')} of {file}", file=source
            )
        found.append(_labels_of(given, source, "the array"))
    return found


def _sibling(images: Path) -> Path:
    """The labels of MNIST's naming beside a file of images."""
    name = images.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
    beside = images.with_name(name)
    if name == images.name or not beside.exists():
        raise DataError("there is no file with its labels", file=images, hint="Name both, the images and the labels")
    logger.info(f"labels from {beside}")
    return beside
