"""The bytes of a user's file: gzipped or not, and whether they are text in UTF-8."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from steploom.errors import DataError, nearest

__all__ = ["check_rereadable", "first_bytes", "lines_of", "read_bytes", "utf8_of"]

_KINDS = {
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\x89PNG": "a picture",
    b"%PDF": "a PDF",
    b"\x80\x04": "a pickle",
    b"\x93NUMPY": "a single NumPy array; arrays are read from .npz files, as numpy.savez writes them",
}


def read_bytes(path: Path, expected: str) -> bytes:
    """The bytes of a file, unpacked where they are gzipped.

    Args:
        path: the file.
        expected: a sentence for the message that says which files can be read.

    Raises:
        DataError: it is missing, a folder, unreadable, a damaged gzip file, or empty.
    """
    with _opened(path, expected) as file:
        raw = file.read()
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error):
            raise DataError("the gzip file is damaged or cut off", file=path) from None
    if not raw:
        raise DataError("the file is empty", file=path, hint=expected)
    return raw


def first_bytes(path: Path, count: int) -> bytes:
    """The first bytes of a file, at most `count`, unpacked where it is gzipped.

    Raises:
        DataError: it is missing, a folder, unreadable or a damaged gzip file.
    """
    with _opened(path, "") as file:
        head = file.read(count)
        if head[:2] != b"\x1f\x8b":
            return head
        file.seek(0)
        try:
            return gzip.GzipFile(fileobj=file).read(count)
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise DataError("the gzip file is damaged or cut off", file=path) from None


def lines_of(path: Path, expected: str) -> Iterator[str]:
    """The lines of a text in UTF-8, gzipped or not, without their ends: one at a time, however large the file is.

    Args:
        path: the file.
        expected: a sentence for the message that says which files can be read.

    Raises:
        DataError: it is missing, a folder, unreadable, a damaged gzip file, empty, or not UTF-8.
    """
    with _opened(path, expected) as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        row = 0
        try:
            for row, raw in enumerate(gzip.GzipFile(fileobj=file) if packed else file, 1):
                line = raw.removeprefix(b"\xef\xbb\xbf") if row == 1 else raw
                yield line.decode("utf-8").rstrip("\r\n")
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise DataError("the gzip file is damaged or cut off", file=path) from None
        except UnicodeDecodeError as error:
            raise DataError(f"byte 0x{raw[error.start]:02x} is not UTF-8", file=path, row=row, hint=expected) from None
        if not row:
            raise DataError("the file is empty", file=path, hint=expected)


def check_rereadable(path: Path) -> None:
    """Refuses a pipe or a device where a file is read more than once: the second time it is empty, or waits for ever.

    Raises:
        DataError: it is one.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise DataError(
            "this is a pipe or a device, and the file is read more than once",
            file=path,
            hint="Write it to a file first",
        )


@contextmanager
def _opened(path: Path, expected: str) -> Iterator[BinaryIO]:
    """The file, open to be read."""
    if path.is_dir():
        raise DataError("this is a folder; expected a file", file=path, hint=f"Name a file in it. {expected}".strip())
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        near = nearest(path.name, [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else [])
        raise DataError("there is no such file", file=path, hint=near.strip() or None) from None
    except OSError as error:
        raise DataError(f"the file cannot be read ({error.strerror})", file=path) from None


def utf8_of(path: Path, raw: bytes, expected: str) -> bytes:
    """The text that `read_bytes` gave, without a byte order mark.

    Raises:
        DataError: the bytes are no text in UTF-8, where the message names the row; or only white space.
    """
    for magic, kind in _KINDS.items():
        if raw.startswith(magic):
            raise DataError(f"this is {kind}", file=path, hint=expected)
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError("the text is UTF-16; expected UTF-8", file=path, hint="Save it again as UTF-8")
    if b"\0" in raw:
        row = _row_of(raw, raw.index(b"\0"))
        raise DataError("this is no text (it holds a zero byte)", file=path, row=row, hint=expected)
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"byte 0x{raw[error.start]:02x} is not UTF-8 (Latin-1, perhaps)",
            file=path,
            row=_row_of(raw, error.start),
            hint="Save the file as UTF-8, for example with: iconv -f latin1 -t utf-8",
        ) from None
    if not text.strip():
        raise DataError("the file is empty", file=path, hint=expected)
    return raw


def _row_of(raw: bytes, position: int) -> int:
    """The line number, counted from 1, of a byte; lines end in \\n, \\r\\n or \\r."""
    return 1 + raw.count(b"\n", 0, position) + raw.count(b"\r", 0, position) - raw.count(b"\r\n", 0, position)
