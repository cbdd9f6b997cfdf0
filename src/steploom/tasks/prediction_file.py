"""How predictions are written: as JSON to a file that is called so, else as the text that a person reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["write_lines"]


def write_lines(path: Path, text: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes `rows` to a .jsonl file, an object a line, and `text` to any other, with the same line ends everywhere.

    Only one of the two is read.

    Args:
        path: the file.
        text: pieces of text with their line ends.
        rows: objects for JSON.
    """
    if path.suffix.lower() == ".jsonl":
        text = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(text)
