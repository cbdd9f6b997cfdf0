"""One reader of bytes stands behind tables and texts."""

import gzip
from pathlib import Path

import pytest

from steploom.data.file_bytes import read_bytes, utf8_of
from steploom.errors import DataError

EXPECTED = "Expected a poem"


def text_of(folder: Path, content: bytes) -> bytes:
    path = folder / "poem.txt"
    path.write_bytes(content)
    return utf8_of(path, read_bytes(path, EXPECTED), EXPECTED)


def test_what_is_text(tmp_path: Path) -> None:
    assert text_of(tmp_path, "\ufeffnoch ß\r\n".encode()) == "noch ß\r\n".encode()
    assert text_of(tmp_path, gzip.compress(b"\xef\xbb\xbfa")) == b"a"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty. Expected a poem"),
        (gzip.compress(b""), "the file is empty. Expected a poem"),
        ("\ufeff\u00a0\n\n".encode(), "the file is empty. Expected a poem"),
        (b"\x93NUMPY\x01\0v\0", "this is a single NumPy array; arrays are read from .npz files"),
        (b"\x89PNG\r\n", "this is a picture. Expected a poem"),
        (b"one\ntwo\r\nth\0ree", "row 3: this is no text (it holds a zero byte). Expected a poem"),
        (b"one\rtwo\rcaf\xe9\r", "row 3: byte 0xe9 is not UTF-8"),
        (b"one\r\ncaf\xe9", "row 2: byte 0xe9 is not UTF-8"),
    ],
)
def test_what_is_none(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        text_of(tmp_path, content)
    assert message in str(caught.value) and "poem.txt" in str(caught.value)
