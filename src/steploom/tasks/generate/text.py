"""What the task `generate` makes of text files: parts, vocabulary, batches."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from steploom.data.batches import Batches
from steploom.data.set_aside import every_nth, every_nth_shown
from steploom.data.text.files import read_lines, read_text
from steploom.data.text.learn_vocabulary import learn_vocabulary
from steploom.data.text.streams import LineBatches, StreamBatches
from steploom.data.text.table import TABLES, say_whole_lines, suffix_of
from steploom.data.text.vocabulary import Vocabulary
from steploom.errors import DataError
from steploom.tasks.overlap import overlap
from steploom.tasks.task import Prepared, named_files

if TYPE_CHECKING:
    from steploom.tasks.generate.task import Generate, GenerateOptions

__all__ = ["Part", "prepare_text", "read_part", "read_parts"]

# What a person should know about the text; the command line shows it.
logger = logging.getLogger("steploom")

G = TypeVar("G", bound="Generate")

# Columns of the validation stream: enough to be quick, few enough that their cold starts do not show.
_VALID_COLUMNS = 8
_NOUNS = {"characters": "characters", "words": "words", "bpe": "byte pairs"}


@dataclass(frozen=True)
class Part:
    """A text, or some lines.

    Args:
        text: the running text, "" where there are lines.
        lines: the lines, None for a running text.
    """

    text: str = ""
    lines: tuple[str, ...] | None = None

    def encode(self, vocabulary: Vocabulary) -> list[list[int]]:
        """The token numbers: one list a line, without <bos> and <eos>, or a single list for the text."""
        return [vocabulary.encode(piece) for piece in self.pieces]

    @property
    def pieces(self) -> tuple[str, ...]:
        """The lines, or the text."""
        return (self.text,) if self.lines is None else self.lines


def read_part(path: Path, options: GenerateOptions) -> Part:
    """The text or the lines of one file."""
    if options.column is None:
        say_whole_lines(path, "; --column reads a column of it" if suffix_of(path) in TABLES else "")
    if options.by_line:
        return Part(lines=tuple(read_lines(path, options.column)))
    text = read_text(path)
    # Of words, the last line ends like all others; of characters, a file is what it is.
    return Part(text + "\n" if options.unit == "words" and not text.endswith("\n") else text)


def read_parts(paths: Sequence[Path], options: GenerateOptions) -> Part:
    """The text or the lines of some files, one after the other."""
    return _joined([read_part(path, options) for path in paths])


def prepare_text(
    kind: type[G], options: GenerateOptions, train: Sequence[Path], valid: Sequence[Path], test: Sequence[Path]
) -> Prepared[G]:
    """Reads all files, splits off the validation part, learns the vocabulary, makes the batches of a task `kind`.

    Raises:
        DataError: a file cannot be used, or is too short.
        OptionError: an option does not fit the text.
    """
    part, held_out, how = read_parts(train, options), None, ""
    if not valid:
        part, held_out, how = _split(part, options)
    else:
        held_out, how = read_parts(valid, options), named_files(valid)
    test_part = read_parts(test, options) if test else None
    vocabulary = learn_vocabulary(
        part.pieces, options.unit, lines=options.by_line, size=options.vocabulary_size, min_count=options.min_count
    )
    numbers = part.encode(vocabulary)
    counts = torch.bincount(torch.tensor([n for piece in numbers for n in piece]), minlength=len(vocabulary))
    if options.by_line:
        counts[vocabulary.ends[1]] += len(numbers)
    if int(counts.sum()) < 2:
        raise DataError(
            "the training part of the text has fewer than 2 tokens",
            file=train[0],
            hint="Give a longer text, or several files",
        )
    facts: dict[str, Any] = {
        "counts": counts.tolist(),
        "tokens": int(counts.sum()),
        "longest_line": max(len(piece) for piece in numbers) if options.by_line else None,
        "validation": how,
    }
    logger.info(
        f"{facts['tokens']:,} tokens to train on, a vocabulary of {len(vocabulary):,} {_NOUNS[options.unit]}; "
        f"validation: {how}"
    )
    batches = _batches(numbers, vocabulary, options, training=True)
    valid_batches = None
    if held_out is not None:
        valid_batches = _batches(held_out.encode(vocabulary), vocabulary, options, training=False)
    task = kind(options, {"vocabulary": vocabulary.to_json(), "text": facts})
    named = (held_out if valid else None, test_part)
    both = overlap("line", part.lines or (), *(other.lines or () if other else () for other in named))
    return Prepared(task, batches, valid_batches, held_out, test_part, both)


def _batches(numbers: list[list[int]], vocabulary: Vocabulary, options: GenerateOptions, training: bool) -> Batches:
    if not options.by_line:
        columns = options.batch_size if training else _VALID_COLUMNS
        return StreamBatches(numbers[0], vocabulary.start, columns, options.bptt if training else 4 * options.bptt)
    return LineBatches(numbers, *vocabulary.ends, options.batch_size, options.seed if training else None)


def _joined(parts: list[Part]) -> Part:
    if parts[0].lines is not None:
        return Part(lines=tuple(line for part in parts for line in part.lines or ()))
    ended = [a.text if a.text.endswith("\n") else a.text + "\n" for a, _ in pairwise(parts)]
    return Part("".join(ended) + parts[-1].text)


def _split(whole: Part, options: GenerateOptions) -> tuple[Part, Part | None, str]:
    """The training part, the validation part and how it was chosen."""
    every, share = options.valid_every, options.valid_share
    if whole.lines is not None:
        count = len(whole.lines)
        kept, aside = (tuple(whole.lines[row] for row in rows) for rows in every_nth(count, every))
        how = every_nth_shown(count, every, "line")
        return Part(lines=kept), Part(lines=aside) if aside else None, how
    cut = len(whole.text) - round(len(whole.text) * share)
    if options.unit != "characters":
        # A word is not cut in two: on to the end of the line, or of the word where nothing stands behind that line.
        end = whole.text.find("\n", cut - 1)
        if end < 0 or not whole.text[end + 1 :].strip():
            end = whole.text.find(" ", cut - 1)
        cut = end + 1 if end >= 0 else len(whole.text)
    if not whole.text[cut:].strip() or not whole.text[:cut].strip():
        return whole, None, "none"
    how = f"the last {share:.0%} of the text, {len(whole.text) - cut:,} characters"
    return Part(whole.text[:cut]), Part(whole.text[cut:]), how
