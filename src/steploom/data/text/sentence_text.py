"""A user's text as documents of sentences, their words normalised."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

from steploom.data.text.files import read_text
from steploom.data.text.table import say_whole_lines
from steploom.data.text.words import letter_marks, lower_case
from steploom.errors import DataError

__all__ = ["NORMALISERS", "Documents", "read_documents", "split_sentences"]

Documents = tuple[tuple[str, ...], ...]
"""Documents, each its sentences in order, each its words with a space between two."""

# A number as a word of its own, which may have a currency sign before it and punctuation behind it.
_NUMBER = re.compile(r"(?<![^\s$#(\"'])[+-]?\d[\d,]*(?:\.\d+)?%?(?=[.,;:!?)\"']*(?:\s|$))")
_DROPPED = re.compile(r"[,;:!?\"()\[\]{}…“”«»]|``|''|--+")
_CLITIC = re.compile(r"n't\b|'(?:s|re|ve|ll|d|m)\b")
_NEGATION = re.compile(r"(?<=[a-z])n't\b")
# Words of Mikolov's text without a letter or digit; those with stars are its marks of footnotes.
_SIGNS = ("$", "&", "#", "'", r"\*", r"\*\*")
# fmt: off
_ABBREVIATIONS = frozenset((
    "mr.", "mrs.", "ms.", "dr.", "prof.", "gen.", "gov.", "rep.", "sen.", "st.", "jr.", "sr.", "vs.", "no.", "etc.",
    "co.", "corp.", "inc.", "ltd.", "cos.", "bros.",
    "jan.", "feb.", "mar.", "apr.", "aug.", "sept.", "oct.", "nov.", "dec.",
))
# They end many a sentence, and say nothing of where one ends. Those that are words too, as "ill.", are not here.
_STATES = frozenset((
    "ala.", "ariz.", "calif.", "colo.", "conn.", "del.", "fla.", "ga.", "ind.", "kan.", "ky.", "md.", "mich.", "minn.",
    "mo.", "mont.", "neb.", "nev.", "okla.", "pa.", "tenn.", "tex.", "va.", "vt.", "wis.", "wyo.",
))
# fmt: on
# What ends a sentence of its script and nothing else, as the danda does, with or without white space behind it: of
# Indic scripts, Arabic, Urdu, Armenian, Ethiopic, Burmese, Khmer, Chinese and Japanese.
_ENDS_ALONE = "।॥؟۔։።፧፨။។៕。！？｡"
# A full stop, an exclamation or a question mark (U+037E is that of Greek), with what closes behind it, before white
# space. The group is what comes next, which must be no small letter.
_SENTENCE_END = re.compile(
    rf"[.!?‽⁇⁈⁉‼\u037e][\"'”’“»«)\]]*(?=\s+(\S))|[{_ENDS_ALONE}][{_ENDS_ALONE}!?]*[”’»)\]」』）】》]*(?:[\"']+(?=\s|$))?"
)


def _lower(text: str) -> str:
    return lower_case(text)


def _split(text: str) -> str:
    return " ".join(_token().findall(lower_case(text)))


@cache
def _token() -> re.Pattern[str]:
    # A mark belongs to the letter before it; one behind another sign, as behind many an emoji, stands alone.
    word = rf"\w[\w{letter_marks()}]*"
    return re.compile(rf"<unk>|{word}(?:[-'’.]{word})*|[^\w\s]")


def _ptb(text: str) -> str:
    text = _NUMBER.sub(" N ", lower_case(re.sub(r"(?<!\S)N(?!\S)", "0", text)).replace("’", "'"))
    text = _DROPPED.sub(" ", text)
    text = _CLITIC.sub(lambda found: " " + found.group(), _NEGATION.sub(" n't", text))
    text = re.sub(r"(?<=[a-z])'(?=\s|$)", " '", text)
    words = [word for word in text.split() if word in _SIGNS or any(c.isalnum() for c in word)]
    if words and words[-1].endswith("."):
        last = words[-1]
        if "." not in last[:-1] and last not in _ABBREVIATIONS and last not in _STATES:
            words[-1] = last[:-1]
    return " ".join(words)


NORMALISERS: dict[str, Callable[[str], str]] = {"none": str.strip, "lower": _lower, "split": _split, "ptb": _ptb}
"""What makes a sentence's words of its text.

`none`: words stand between spaces, as they are. `lower`: the same in lower case. `split`: in lower case, punctuation
marks are words of their own. `ptb`: as Mikolov's Penn Treebank: in lower case, numbers become N, punctuation is
dropped, and "n't", "'s" and their like are words of their own.
"""


def read_documents(paths: Sequence[Path], normalise: str, split: bool) -> Documents:
    """The documents of some text files. A file's end and a blank line each end a document.

    Args:
        paths: text files in UTF-8, also gzipped.
        normalise: a name in `NORMALISERS`.
        split: whether the lines of a document are running text to be cut into sentences; else a line is a sentence.

    Raises:
        DataError: a file cannot be read, or holds no word.
    """
    hint = "--normalise ptb drops punctuation" if normalise == "ptb" else None
    documents: list[tuple[str, ...]] = []
    for path in paths:
        say_whole_lines(path)
        lines = read_text(path).split("\n")
        found = tuple(_sentences(lines, NORMALISERS[normalise], split))
        if not found:
            raise DataError("no line holds a word", file=path, hint=hint)
        documents += found
    return tuple(documents)


def split_sentences(text: str) -> list[str]:
    """The sentences of a running text: each ends with . ! or ? before white space and no small letter, or with the
    mark of another script, such as the danda.

    Abbreviations such as "Mr." end none.
    """
    pieces: list[str] = []
    found = (mark.end() for mark in _SENTENCE_END.finditer(text) if not (mark[1] or "").islower())
    ends = [0, *found, len(text)]
    for start, end in pairwise(ends):
        piece = text[start:end].strip()
        if pieces and (pieces[-1].rsplit(None, 1)[-1].lower() in _ABBREVIATIONS):
            pieces[-1] += " " + piece
        elif piece:
            pieces.append(piece)
    return pieces


def _sentences(lines: Sequence[str], normalise: Callable[[str], str], split: bool) -> list[tuple[str, ...]]:
    documents: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            documents[-1].append(line)
        elif documents[-1]:
            documents.append([])
    if split:
        documents = [split_sentences(" ".join(document)) for document in documents]
    normalised = (tuple(words for line in document if (words := normalise(line))) for document in documents)
    return [document for document in normalised if document]
