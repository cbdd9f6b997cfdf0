"""Sequences of vectors: one tensor of all steps, and the sequences that are cut out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from steploom.data.labelled.sequences import padded_places
from steploom.errors import DataError

__all__ = ["VectorSequences", "joined", "sequences_of"]


@dataclass(frozen=True)
class VectorSequences:
    """Sequences of vectors (`steploom.data.labelled.examples.Inputs`); taking some of them copies nothing.

    Attributes:
        values: all steps (steps, size), in the type of the file.
        starts, lengths: int64 (examples,): where each sequence begins, and its steps.
        shape: the sizes of an image, height and width first; None where the sequences are no images.
    """

    values: Tensor
    starts: Tensor
    lengths: Tensor
    shape: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def size(self) -> int:
        """Numbers a step."""
        return self.values.shape[1]

    def take(self, rows: Sequence[int]) -> Self:
        """Some of the sequences."""
        chosen = torch.as_tensor(rows, dtype=torch.long)
        return replace(self, starts=self.starts[chosen], lengths=self.lengths[chosen])

    def padded(self, rows: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """Some sequences as (steps, batch, size), and where that is padding, bool (steps, batch)."""
        places, padding = padded_places(self.starts[rows], self.lengths[rows], steps)
        return self.values[places.flatten()].view(*places.shape, self.size), padding


def sequences_of(
    array: npt.NDArray[np.generic], path: Path, name: str, lengths: npt.NDArray[np.generic] | None, by_pixel: bool
) -> VectorSequences:
    """The sequences that an array holds.

    (examples, steps) are single numbers, (examples, steps, size) vectors, (examples, height, width, channels) images,
    and so is any array of bytes. With lengths, (all steps, size) or (all steps,) are sequences one behind the other;
    or an array of examples is padded.

    Args:
        array: the numbers.
        path, name: where it comes from, for messages.
        lengths: of each sequence.
        by_pixel: whether each pixel of an image is a step, rather than each row.

    Raises:
        DataError: the array has another form, holds nothing, or a number is not finite.
    """
    shown = " x ".join(str(n) for n in array.shape) or "one number"
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name}: expected numbers, found the type {array.dtype}", file=path)
    if array.size == 0:
        raise DataError(f"{name} is empty ({shown})", file=path)
    if lengths is not None:
        found = _with_lengths(array, lengths, path, name)
    elif array.ndim not in (2, 3, 4):
        raise DataError(
            f"{name} is {shown}; expected examples x steps, examples x steps x size, or images",
            file=path,
            hint="Sequences one behind the other need an array of their lengths",
        )
    else:
        count, image = len(array), array.ndim == 4 or (array.ndim == 3 and array.dtype == np.uint8)
        steps = array.shape[1] * (array.shape[2] if by_pixel and array.ndim > 2 else 1)
        flat = _tensor(array).reshape(count * steps, -1)
        starts = torch.arange(count) * steps
        shape = tuple(array.shape[1:]) if image else None
        found = VectorSequences(flat, starts, torch.full((count,), steps), shape)
    _refuse_not_finite(found, path, name)
    return found


def joined(parts: Sequence[VectorSequences], files: Sequence[Path]) -> VectorSequences:
    """The sequences of several files as one.

    Raises:
        DataError: their steps, or their images, differ in size.
    """
    first = parts[0]
    for part, file in zip(parts, files, strict=True):
        if part.shape != first.shape:
            raise DataError(f"expected {_form(first)} as in {files[0]}, found {_form(part)}", file=file)
        if part.size != first.size:
            raise DataError(f"expected {first.size} numbers a step as in {files[0]}, found {part.size}", file=file)
    if len(parts) == 1:
        return first
    offsets = np.cumsum([0, *(len(part.values) for part in parts[:-1])]).tolist()
    starts = torch.cat([part.starts + offset for part, offset in zip(parts, offsets, strict=True)])
    # As NumPy has it: PyTorch would put whole numbers into a float16 beside them, which has not half of them.
    kind = np.result_type(*(part.values.numpy().dtype for part in parts))
    values = torch.cat([part.values.to(torch.from_numpy(np.empty(0, kind)).dtype) for part in parts])
    return VectorSequences(values, starts, torch.cat([part.lengths for part in parts]), first.shape)


def _form(part: VectorSequences) -> str:
    return "sequences" if part.shape is None else f"images of {' x '.join(str(n) for n in part.shape)}"


def _with_lengths(
    array: npt.NDArray[np.generic], lengths: npt.NDArray[np.generic], path: Path, name: str
) -> VectorSequences:
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu":
        shown = f"{' x '.join(str(n) for n in lengths.shape)} of {lengths.dtype}"
        raise DataError(f"the lengths should be one whole number an example, found {shown}", file=path)
    # Before they become int64 and are added up, for what claims more could wrap around.
    longest = max(array.shape[:2], default=1)
    if len(lengths) and int(lengths.max()) > longest:
        beyond, row = int(lengths.max()), int(lengths.argmax()) + 1
        raise DataError(f"the length {beyond} is more than the {longest} steps of {name}", file=path, row=row)
    wanted = torch.from_numpy(lengths.astype(np.int64))
    if not len(wanted) or int(wanted.min()) < 1:
        empty = int(wanted.argmin()) + 1 if len(wanted) else None
        raise DataError("a sequence has no step; each length should be at least 1", file=path, row=empty)
    total = int(wanted.sum())
    if array.ndim in (1, 2) and len(array) == total:
        flat = _tensor(array).reshape(total, -1)
        return VectorSequences(flat, wanted.cumsum(0) - wanted, wanted)
    if array.ndim in (2, 3) and len(array) == len(wanted):
        steps = array.shape[1]
        if int(wanted.max()) > steps:
            row = int(wanted.argmax()) + 1
            raise DataError(
                f"the length {int(wanted.max())} is more than the {steps} steps of {name}", file=path, row=row
            )
        flat = _tensor(array).reshape(len(array) * steps, -1)
        return VectorSequences(flat, torch.arange(len(array)) * steps, wanted)
    shown = " x ".join(str(n) for n in array.shape) or "one number"
    raise DataError(
        f"{name} is {shown}, and the {len(wanted):,} lengths add up to {total:,}",
        file=path,
        hint="Expected all steps one behind the other, or padded examples x steps x size",
    )


def _refuse_not_finite(sequences: VectorSequences, path: Path, name: str) -> None:
    if not sequences.values.is_floating_point():
        return
    bad = torch.cat([~torch.isfinite(part).all(1) for part in torch.split(sequences.values, 1 << 20)])
    if not bool(bad.any()):
        return
    # What stands in the padding is nobody's.
    seen = torch.cat([torch.zeros(1, dtype=torch.long), bad.cumsum(0)])
    within = seen[sequences.starts + sequences.lengths] > seen[sequences.starts]
    if not bool(within.any()):
        return
    row = int(within.int().argmax())
    start = int(sequences.starts[row])
    step = int(bad[start:].int().argmax())
    feature = int((~torch.isfinite(sequences.values[start + step])).int().argmax())
    found = float(sequences.values[start + step, feature])
    raise DataError(
        f"step {step + 1}, number {feature + 1} of {name} is {found}; expected finite numbers",
        file=path,
        row=row + 1,
        hint="Fill the gap, or leave the example out",
    )


def _tensor(array: npt.NDArray[np.generic]) -> Tensor:
    """The array as a tensor, in a type that torch can count with."""
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    elif array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64 if array.dtype.itemsize < 8 else np.float64)
    elif array.dtype == np.longdouble and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    array = np.ascontiguousarray(array)
    return torch.from_numpy(array if array.flags.writeable else array.copy())
