"""Arrays in idx files, the format of MNIST (LeCun, Cortes & Burges): a header of sizes, then the numbers."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np
import numpy.typing as npt

from steploom.data.labelled.array_header import ArrayHeader, check_memory, largest_unpacked
from steploom.errors import DataError

__all__ = ["is_idx", "read_idx"]

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def is_idx(head: bytes) -> bool:
    """Whether a file whose first bytes (unpacked) are `head` is an idx file."""
    return len(head) >= 8 and head[:2] == b"\0\0" and head[2] in _TYPES and 1 <= head[3] <= 8


def read_idx(path: Path) -> npt.NDArray[np.generic]:
    """The array of an idx file, gzipped or not, in the machine's own byte order.

    Raises:
        DataError: it is no idx file, or its size is not what its header says.
    """
    with path.open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
    try:
        with cast("IO[bytes]", gzip.open(path) if packed else path.open("rb")) as file:
            return _read(path, file, packed)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise DataError("the gzip file is damaged or cut off", file=path) from None
    except OSError as error:
        raise DataError(f"the file cannot be read ({error.strerror})", file=path) from None


def _read(path: Path, file: IO[bytes], packed: bool) -> npt.NDArray[np.generic]:
    head = file.read(8)
    if not is_idx(head):
        raise DataError("this is no idx file", file=path, hint="Expected the format of MNIST, also gzipped")
    sizes = head[4:] + file.read(4 * (head[3] - 1))
    if len(sizes) < 4 * head[3]:
        raise DataError("the file is cut off within its header", file=path)
    header = ArrayHeader(struct.unpack(f">{head[3]}I", sizes), np.dtype(_TYPES[head[2]]))
    size = path.stat().st_size
    there = largest_unpacked(size) if packed else size - 4 - len(sizes)
    shape = " x ".join(str(n) for n in header.shape)
    if header.bytes > there:
        raise DataError(
            f"the header says {shape} numbers, {header.bytes:,} bytes, and the file is too small for that", file=path
        )
    if 0 in header.shape:
        raise DataError(f"the header says {shape} numbers: there are none", file=path)
    check_memory(path, [header])
    content = file.read(header.bytes + 1)
    if len(content) != header.bytes:
        found = "more" if len(content) > header.bytes else f"{len(content):,}"
        raise DataError(f"the header says {shape} numbers, {header.bytes:,} bytes, found {found}", file=path)
    array = np.frombuffer(content, header.dtype).reshape(header.shape)
    return array.astype(header.dtype.newbyteorder("="), copy=False)
