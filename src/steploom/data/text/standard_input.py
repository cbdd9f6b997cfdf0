"""Text that a user pipes in, read as the same text in a file would be."""

from __future__ import annotations

import sys
from pathlib import Path

from steploom.data.file_bytes import utf8_of
from steploom.errors import DataError, OptionError

__all__ = ["STANDARD_INPUT", "read_standard_input"]

STANDARD_INPUT = Path("standard input")
"""What messages call it, in the place of a file."""


def read_standard_input(instead: str) -> str:
    """All of standard input, without a byte order mark, its line ends "\\n".

    Args:
        instead: what the user may give in its place, for the messages: "name a file, or give --text".

    Raises:
        OptionError: it is a terminal, and nobody is asked for what was not announced.
        DataError: it is empty or no text in UTF-8.
    """
    if sys.stdin.isatty():
        raise OptionError(f"there is nothing to read: {instead}, or pipe something in")
    raw = sys.stdin.buffer.read()
    if not raw.strip():
        raise DataError(f"standard input is empty: {instead}")
    text = utf8_of(STANDARD_INPUT, raw, "Expected text in UTF-8").decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")
