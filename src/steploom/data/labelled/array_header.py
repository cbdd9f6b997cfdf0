"""The shape and the type that a file claims, checked against its size and the machine's memory before any is taken."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from steploom.errors import DataError

__all__ = ["ArrayHeader", "check_memory", "largest_unpacked"]

# What deflate can gain at most, by its format; one block more for small files.
_DEFLATE, _BLOCK = 1032, 1 << 16


@dataclass(frozen=True)
class ArrayHeader:
    """What a file says of an array that it holds.

    Attributes:
        shape, dtype: of the array.
        fortran: whether its first dimension runs fastest.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    fortran: bool = False

    @property
    def bytes(self) -> int:
        """The memory that it needs, as an exact number of any size."""
        return math.prod(self.shape) * self.dtype.itemsize


def largest_unpacked(packed: int) -> int:
    """The most bytes that so many bytes of a zip or gzip file can become."""
    return _DEFLATE * packed + _BLOCK


def check_memory(path: Path, headers: Sequence[ArrayHeader]) -> None:
    """Refuses arrays that this machine cannot hold.

    Raises:
        DataError: they need more than its memory.
    """
    needed = sum(header.bytes for header in headers)
    try:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return
    if 0 < there < needed:
        raise DataError(
            f"the arrays need {needed / 2**30:,.1f} GiB, and this machine has {there / 2**30:,.1f} GiB of memory",
            file=path,
            hint="Split the data into smaller files, or use a narrower type, such as float32 or uint8",
        )
