"""Which tokens a vocabulary has: learnt from texts, the most frequent first."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from steploom.data.text.vocabulary import (
    BEGIN,
    END,
    UNKNOWN,
    BPEVocabulary,
    CharacterVocabulary,
    Vocabulary,
    WordVocabulary,
)
from steploom.errors import OptionError

__all__ = ["counted_vocabulary", "learn_vocabulary"]

# The time that BPE learns from a word, such as a genome in one line, grows with the square of its length.
_LONG_RUN = re.compile(r"\S{5000}(?=\S)")


def learn_vocabulary(
    texts: Iterable[str], unit: str, *, lines: bool = False, size: int | None = None, min_count: int = 1
) -> Vocabulary:
    """The vocabulary of some texts, the most frequent token first.

    Args:
        texts: running texts, or lines without their ends.
        unit: "characters", "words" or "bpe".
        lines: whether each text is a line to be kept apart, with <bos> before and <eos> behind.
        size: most tokens; the rarest become unknown. For BPE the number of tokens (at least 257), default 8,000.
        min_count: a token seen less often is unknown. BPE takes it for its merges.

    Raises:
        OptionError: the size is too small for the unit.
    """
    if unit == "bpe":
        return _learn_bpe(texts, lines, 8000 if size is None else size, min_count)
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text if unit == "characters" else text.split())
    return counted_vocabulary(counts, unit, lines=lines, size=size, min_count=min_count)


def counted_vocabulary(
    counts: Counter[str], unit: str, *, lines: bool = False, size: int | None = None, min_count: int = 1
) -> Vocabulary:
    """The vocabulary of tokens that were counted, which may be words that hold a space.

    Args:
        counts: how often each token stands in the training text.
        unit: "characters" or "words".
        lines, size, min_count: as for `learn_vocabulary`.

    Raises:
        OptionError: the size is too small for the unit.
    """
    marks = [UNKNOWN, *([BEGIN, END] if lines else [END] if unit == "words" else [])]
    # <bos> and <eos> in the text itself are no words: a list with <bos> in it is one of lines.
    ordered = sorted(
        (token for token in counts if token not in (UNKNOWN, BEGIN, END)), key=lambda token: (-counts[token], token)
    )
    kept = [token for token in ordered if counts[token] >= min_count]
    if size is not None:
        if size <= len(marks):
            raise OptionError(f"--vocabulary-size: expected more than {len(marks)}, found {size}")
        kept = kept[: size - len(marks)]
    if not kept:
        raise OptionError(f"--min-count: no token stands {min_count} times in the training text")
    return (CharacterVocabulary if unit == "characters" else WordVocabulary)([*marks, *kept])


def _learn_bpe(texts: Iterable[str], lines: bool, size: int, min_count: int) -> BPEVocabulary:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    marks = [BEGIN, END] if lines else []
    if size < 257 + len(marks):
        raise OptionError(f"--vocabulary-size: expected 257 or more for bpe (256 bytes first), found {size}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=min_count,
        special_tokens=marks,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    pieces = (piece for text in texts for line in text.splitlines(keepends=True) for piece in _cut(line))
    tokenizer.train_from_iterator(pieces, trainer)
    return BPEVocabulary(json.loads(tokenizer.to_str()))


def _cut(line: str) -> Iterator[str]:
    """A line in pieces: whole, but for what stands together without any white space beyond all words of a language."""
    start = 0
    for run in _LONG_RUN.finditer(line):
        yield line[start : run.end()]
        start = run.end()
    yield line[start:]
