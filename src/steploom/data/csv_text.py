"""The text of a CSV file: its encoding, its separator and the lines its rows stand on."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from steploom.errors import DataError

__all__ = ["FORMATS", "as_utf8", "find_separator", "header", "numbered_rows"]

_SEPARATORS = (",", ";", "\t", "|")
_KINDS = {
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\x89PNG": "a picture",
    b"%PDF": "a PDF",
    b"\x80\x04": "a pickle",
}
FORMATS = "Expected CSV (UTF-8, also gzipped) or Parquet"


def as_utf8(path: Path, raw: bytes) -> bytes:
    """The text without a byte order mark.

    Raises:
        DataError: the bytes are no text in UTF-8; the message names the row.
    """
    for magic, kind in _KINDS.items():
        if raw.startswith(magic):
            raise DataError(f"this is {kind}", file=path, hint=FORMATS)
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError("the text is UTF-16; expected UTF-8", file=path, hint="Save it again as 'CSV UTF-8'")
    if b"\0" in raw:
        raise DataError("this is no text file (it holds zero bytes)", file=path, hint=FORMATS)
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"byte 0x{raw[error.start]:02x} is not UTF-8 (Latin-1, perhaps)",
            file=path,
            row=raw.count(b"\n", 0, error.start) + 1,
            hint="Save the file as UTF-8, for example with: iconv -f latin1 -t utf-8",
        ) from None
    return raw


def find_separator(text: bytes) -> str:
    """The separator that splits every one of the first lines into the same number of cells; comma where none does."""
    rows = text[:65_536].split(b"\n")
    sample = b"\n".join(rows[:100] if len(rows) > 100 or len(text) <= 65_536 else rows[:-1])
    counts = {}
    for separator in _SEPARATORS:
        sizes = [len(row) for _, row in numbered_rows(sample, separator)]
        if sizes and sizes[0] > 1:
            counts[separator] = (len(set(sizes)) == 1, sizes[0])
    return max(counts, key=lambda s: counts[s]) if counts else ","


def header(text: bytes, separator: str) -> list[str]:
    """The names in the first row; an empty one becomes "column" and its number. Empty where csv cannot read it."""
    _, names = next(numbered_rows(text, separator), (1, []))
    return [name.strip() or f"column {i + 1}" for i, name in enumerate(names)]


def numbered_rows(text: bytes, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The line number, counted from 1, and the cells of each row that is not blank."""
    # An undecodable tail can only come from a sample cut inside a character.
    stream = io.StringIO(text.decode("utf-8", "ignore"), newline="")
    reader = csv.reader(stream, delimiter=separator)
    line = 1
    try:
        for row in reader:
            if row:
                yield line, row
            line = reader.line_num + 1
    except csv.Error:
        return
