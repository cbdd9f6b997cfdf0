"""What the task `classify` makes of a user's files: parts, classes and their weights."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from steploom.data.counted import counted
from steploom.data.labelled.examples import Examples, class_numbers, classes_of
from steploom.data.name_list import names_shown
from steploom.data.set_aside import share_of_each
from steploom.errors import DataError, OptionError, nearest
from steploom.tasks.classify.kind import Kind, kind_class, kind_of_files
from steploom.tasks.overlap import overlap
from steploom.tasks.task import named_files

if TYPE_CHECKING:
    from steploom.tasks.classify.task import ClassifyOptions

__all__ = ["Parts", "check_labels_kept", "class_weights", "prepare_examples"]

# So many classes may have an example each.
_FEW_CLASSES = 50
# What a person should know about the data; the command line shows it.
logger = logging.getLogger("steploom")


@dataclass(frozen=True)
class Parts:
    """The parts of the data; None for one that is not there. `overlap`: as in `Prepared`."""

    train: Examples
    valid: Examples | None
    test: Examples | None
    overlap: dict[str, str]


def prepare_examples(
    options: ClassifyOptions, train: Sequence[Path], valid: Sequence[Path], test: Sequence[Path]
) -> tuple[dict[str, Any], Parts]:
    """Reads all files, sets parts aside, learns from the training part; returns the artefacts and the parts.

    Raises:
        DataError: a file cannot be used, or a label is not known from training.
        OptionError: an option does not fit the data.
    """
    kind = kind_of_files(train) if options.kind == "auto" else kind_class(options.kind)
    names = options.new_labels
    whole = kind.read(options, train, None, labelled=True)
    _check_names(options, whole, kind.further_labels(whole))
    kept, parts, how = _split(whole, options, bool(valid), bool(test))
    chosen = kind.training(options, kept).relabelled(names)
    classes = classes_of(chosen.labels or ())
    _check_shares(options, Counter(whole.relabelled(names).labels), classes)
    check_labels_kept(chosen, train)
    if len(classes) < 2:
        hidden = kind.second_label(options, train, classes[0])
        raise DataError(
            f"the training data have one label only, '{classes[0]}'",
            file=train[0],
            hint=hidden or "Give examples of two labels at least",
        )
    _refuse_no_labels(chosen, classes, train[0])
    seen, given = kind.trained_labels(options, chosen), Counter(kept.relabelled(names).labels)
    trained, counts = ([labels[name] for name in classes] for labels in (seen, given))
    artefacts = kind.learn(options, train, chosen, classes)
    for part, files in (("valid", valid), ("test", test)):
        if files:
            parts[part] = kind.read(options, files, artefacts["inputs"], labelled=True)
    read = {part: found.relabelled(names) for part, found in parts.items()}
    for part, found in read.items():
        check_labels_kept(found, (valid if part == "valid" else test) or train)
        class_numbers(found, classes)
    validation = named_files(valid) if valid else how
    artefacts["labels"] = {
        "classes": list(classes),
        "counts": counts,
        "validation": validation,
    }
    if trained != counts:
        artefacts["labels"]["trained"] = trained
    class_weights(options, artefacts["labels"])
    logger.info(f"{counted(len(chosen), 'example')} of {len(classes):,} classes to train on; validation: {validation}")
    named = {part: _rows(kind, read[part]) for part, files in (("valid", valid), ("test", test)) if files}
    both = overlap("example", _rows(kind, kept.relabelled(names)), **named)
    return artefacts, Parts(chosen, read.get("valid"), read.get("test"), both)


def _rows(kind: type[Kind], examples: Examples) -> Iterable[Hashable]:
    """What each example says, its label with it."""
    return zip(kind.contents(examples), examples.labels or (), strict=True)


def _check_shares(options: ClassifyOptions, counts: Counter[str], classes: Sequence[str]) -> None:
    """Refuses shares that leave a label of the data, which occurs so often, no example to train on.

    One alone, at most a half, always leaves some; a second one may be nearly all of that half.
    """
    lost = next((label for label in counts if label not in classes), None)
    if lost is not None:
        raise OptionError(
            f"--test-share {options.test_share} and --valid-share {options.valid_share} leave none of the "
            f"{counts[lost]:,} examples of the label '{lost[:40]}' to train on. Set less aside"
        )


def _refuse_no_labels(examples: Examples, classes: Sequence[str], file: Path) -> None:
    """Refuses what was named as the label and is none, such as numbers of rows, before memory is taken for it."""
    if len(classes) > max(_FEW_CLASSES, len(examples) / 2):
        raise DataError(
            f"there are {len(classes):,} different labels for {len(examples):,} examples to train on, such as "
            f"{names_shown(classes[:3])}",
            file=file,
            hint="Were they meant? Name the column, the key or the array of the labels with --label",
        )


def check_labels_kept(examples: Examples, files: Sequence[Path]) -> None:
    """Refuses a part of which nothing is left.

    Raises:
        DataError: there is no example.
    """
    if not len(examples):
        raise DataError("there is no example left", file=files[0], hint="See what --relabel leaves out")


def class_weights(options: ClassifyOptions, labels: dict[str, Any]) -> Tensor | None:
    """What each class counts in the loss (classes,); None where all count the same.

    "balanced" weighs a class by the terms of all classes in the training loss over its own, so that their mean weight
    is 1.

    Raises:
        OptionError: a weight is given to a label that does not exist, or no class has any.
    """
    given, classes = options.given_weights, labels["classes"]
    if given == "none":
        return None
    if given == "balanced":
        counts = torch.tensor(labels.get("trained", labels["counts"]), dtype=torch.float32).clamp(min=1)
        return counts.sum() / (len(counts) * counts)
    for name in given:
        if name not in classes:
            raise OptionError(
                f"--class-weights: there is no label '{name}'; there are {names_shown(classes)}."
                f"{nearest(name, classes)}"
            )
    weights = [given.get(name, 1.0) for name in classes]
    if not any(weights):
        raise OptionError("--class-weights: one class at least must have a weight above 0")
    return torch.tensor(weights)


def _check_names(options: ClassifyOptions, examples: Examples, further: set[str]) -> None:
    """Refuses to rename what does not occur."""
    found = sorted(set(examples.labels or ()) | further)
    for old in options.new_labels:
        if old not in found:
            raise OptionError(
                f"--relabel: there is no label '{old}'; there are {names_shown(found)}.{nearest(old, found)}"
            )


def _split(
    whole: Examples, options: ClassifyOptions, has_valid: bool, has_test: bool
) -> tuple[Examples, dict[str, Examples], str]:
    """What is left for training, the parts that were set aside, and how the validation part was."""
    parts: dict[str, Examples] = {}
    how, left = "none", 1.0
    for part, share, given, seed in (
        ("test", options.test_share, has_test, [options.seed, 1]),
        ("valid", options.valid_share, has_valid, [options.seed, 0]),
    ):
        if given or not share:
            continue
        if share >= left:
            raise OptionError(
                f"--valid-share {share} and --test-share {options.test_share} leave nothing to train on: "
                "together they must be less than 1"
            )
        named = [options.new_labels.get(label, label) for label in whole.labels or ()]
        # What is left out under its new name is scored nowhere; phrases below it may still be trained on.
        scored = [row for row, label in enumerate(named) if label]
        aside = [scored[row] for row in share_of_each([named[row] for row in scored], share / left, seed)[1]]
        left -= share
        if aside:
            kept = sorted(set(range(len(named))).difference(aside))
            whole, parts[part] = whole.take(kept), whole.take(aside)
            how = f"{share:.0%} of the examples of each label, {len(aside):,} of them" if part == "valid" else how
    return whole, parts, how
