"""Pretrained vectors of words from a text file, as word2vec, GloVe and fastText write them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from steploom.data.file_bytes import lines_of
from steploom.data.text.words import lower_case
from steploom.errors import DataError

__all__ = ["find_vector", "read_vectors"]

_EXPECTED = "Expected a word and its numbers a line, as in the text files of word2vec, GloVe and fastText"


def read_vectors(path: Path, wanted: Iterable[str], first: int = 0) -> tuple[dict[str, Tensor], int]:
    """The vectors of the words that are wanted, and how many numbers each has.

    A line is a word and its numbers, separated by spaces or tabs. The first line may hold the number of words and of
    numbers instead (word2vec, fastText). Of a word that stands there twice, the first counts.

    Args:
        path: a text file in UTF-8, gzipped or not.
        wanted: words; a vector written in lower case alone is kept for them too.
        first: so many words at the beginning of the file are kept whether wanted or not: the frequent ones stand there.

    Raises:
        DataError: the file cannot be read, a line has another size than the first, or something is no finite number.
    """
    kept = {form for word in wanted for form in (word, lower_case(word))}
    header: tuple[int, int] | None = None
    vectors: dict[str, Tensor] = {}
    size = words = 0
    for row, line in enumerate(lines_of(path, _EXPECTED), 1):
        if row == 1 and (header := _header(line)):
            size = header[1]
            continue
        if not line.strip():
            continue
        words += 1
        cells = line.rstrip().replace("\t", " ").split(" ")
        size = size or len(cells) - 1
        # A word of GloVe may hold spaces: the numbers are the last ones.
        word = " ".join(cells[:-size])
        if len(cells) - 1 < size or size < 1 or (" " in word and _is_number(cells[-size - 1])):
            raise DataError(
                f"expected a word and {size} numbers, found {len(cells) - 1}"
                if size
                else "expected a word and its numbers, found a single word",
                file=path,
                row=row,
                hint=_EXPECTED,
            )
        if (words <= first or word in kept) and word not in vectors:
            vectors[word] = _numbers(cells[-size:], path, row)
    if not words:
        raise DataError("the file is empty", file=path, hint=_EXPECTED)
    if header and words != header[0]:
        raise DataError(
            f"the first line announces {header[0]} words, found {words}", file=path, hint="Is the file cut off?"
        )
    return vectors, size


def find_vector(vectors: dict[str, Tensor], word: str) -> Tensor | None:
    """The vector of a word, else that of its lower-case form, else None."""
    return vectors.get(word, vectors.get(lower_case(word)))


def _header(line: str) -> tuple[int, int] | None:
    cells = line.split()
    return (int(cells[0]), int(cells[1])) if len(cells) == 2 and all(cell.isdecimal() for cell in cells) else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(cells: list[str], path: Path, row: int) -> Tensor:
    numbers = []
    for cell in cells:
        if not _is_number(cell) or not math.isfinite(float(cell)):
            raise DataError(f"expected a finite number, found '{cell:.20}'", file=path, row=row, hint=_EXPECTED)
        numbers.append(float(cell))
    return torch.tensor(numbers)
