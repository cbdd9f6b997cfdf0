"""Labelled examples of any kind: where each stands, the parts they are split into, the classes, and batches of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import torch
from torch import Tensor

from steploom.data.bucketing import BucketedBatches
from steploom.data.name_list import names_shown
from steploom.errors import DataError, nearest

__all__ = ["Encoded", "Examples", "Inputs", "Items", "LabelledBatches", "class_numbers", "classes_of"]

T = TypeVar("T")


class Inputs(Protocol):
    """The inputs of some examples: texts, trees, sequences of vectors."""

    def __len__(self) -> int: ...

    def take(self, rows: Sequence[int]) -> Self:
        """Those of some examples, in the order of `rows`."""
        ...


class Items(tuple[T, ...]):
    """Inputs that are Python objects, one an example."""

    __slots__ = ()

    def take(self, rows: Sequence[int]) -> Self:
        """Those of some examples."""
        return type(self)(self[row] for row in rows)


@dataclass(frozen=True)
class Examples:
    """Examples as they stand in the user's files.

    Args:
        inputs: one an example.
        labels: one an example, as text; None where the files have none.
        files: the files.
        places: for each example the number of its file and its row, counted from 1: the line of a text file, or the
            place in an array.
    """

    inputs: Any
    labels: tuple[str, ...] | None
    files: tuple[Path, ...]
    places: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.places)

    def take(self, rows: Sequence[int]) -> Examples:
        """Some of the examples."""
        labels = None if self.labels is None else tuple(self.labels[row] for row in rows)
        places = tuple(self.places[row] for row in rows)
        return replace(self, inputs=self.inputs.take(rows), labels=labels, places=places)

    def file(self, row: int) -> Path:
        """The file that example `row` stands in."""
        return self.files[self.places[row][0]]

    def error(self, row: int, what: str, hint: str | None = None) -> DataError:
        """A `DataError` about example `row`."""
        return DataError(what, file=self.file(row), row=self.places[row][1], hint=hint)

    def relabelled(self, names: Mapping[str, str]) -> Examples:
        """With some labels renamed. Examples whose new label is empty are left out."""
        if not names or self.labels is None:
            return self
        labels = tuple(names.get(label, label) for label in self.labels)
        kept = [row for row, label in enumerate(labels) if label]
        renamed = replace(self, labels=labels)
        return renamed if len(kept) == len(labels) else renamed.take(kept)


class Encoded(Protocol):
    """Examples as numbers, ready to be put together into batches.

    Attributes:
        lengths: int64 (examples,): by which examples are put together, and the padding of a batch.
    """

    @property
    def lengths(self) -> Tensor: ...

    def collate(self, rows: Tensor, padded: int) -> dict[str, Tensor]:
        """The examples `rows` as one batch, padded to the length `padded`; without the key "label"."""
        ...


class LabelledBatches(BucketedBatches):
    """Batches of encoded examples of about equal length, each with "label", int64 (batch,), where there are labels.

    Args:
        encoded: the examples.
        labels: int64 (examples,), the number of each example's class; None: there are none.
        batch_size: examples a batch.
        seed: of the order, which is another one each epoch; None: always sorted by length.
    """

    def __init__(self, encoded: Encoded, labels: Tensor | None, batch_size: int, seed: int | None = None) -> None:
        super().__init__(encoded.lengths, batch_size, seed)
        self.encoded, self.labels = encoded, labels

    def collate(self, mine: Tensor, whole: Tensor) -> dict[str, Tensor]:
        """The examples `mine`."""
        batch = self.encoded.collate(mine, int(self.encoded.lengths[whole].max()))
        return batch if self.labels is None else batch | {"label": self.labels[mine]}


def classes_of(labels: Sequence[str]) -> tuple[str, ...]:
    """The different labels, in the order of their numbers where all are whole numbers, else of the alphabet."""
    found = set(labels)
    # Python turns no text of thousands of digits into a number.
    if all(label.removeprefix("-").isdecimal() and len(label) < 100 for label in found):
        return tuple(sorted(found, key=lambda label: (int(label), label)))
    return tuple(sorted(found))


def class_numbers(examples: Examples, classes: Sequence[str]) -> Tensor:
    """The number of each example's class, int64 (examples,).

    Raises:
        DataError: a label is not among the classes; the message names its file and row.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    labels = examples.labels or ()
    for row, label in enumerate(labels):
        if label not in numbers:
            raise examples.error(
                row,
                f"the label '{label[:40]}' does not occur in the training data, which has {names_shown(classes)}",
                nearest(label, classes).strip() or "Correct the label, or train with examples of it",
            )
    return torch.tensor([numbers[label] for label in labels], dtype=torch.long)
