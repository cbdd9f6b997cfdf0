"""What the task `tag` keeps of the tags: their names, their scheme, which may follow which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from steploom.data.json_values import read_text, read_texts
from steploom.data.labelled.tag_schemes import (
    SCHEMES,
    allowed_end,
    allowed_pair,
    allowed_start,
    is_span_tag,
    spans_of,
    tags_of,
    type_of,
)
from steploom.layers.crf import Constraints

__all__ = ["LABELS", "TagFacts", "check_majority", "constraints"]

LABELS = "labels"
"""The scheme of tags that write no spans."""


@dataclass(frozen=True)
class TagFacts:
    """What is known of the tags, and of the data that they were learnt from.

    Args:
        tags: those that the model gives, in its scheme.
        scheme: the model's: a name of `steploom.data.labelled.tag_schemes.SCHEMES`, or "labels".
        source: the scheme of the training files, in which predictions are written.
        embedding_size: of a word's vector.
        rare: numbers of the words that stand once in the training data.
        sentences, words: how many there were to train on.
        validation: how the validation part was chosen.
    """

    tags: tuple[str, ...]
    scheme: str
    source: str
    embedding_size: int
    rare: tuple[int, ...]
    sentences: int
    words: int
    validation: str

    @classmethod
    def from_json(cls, saved: Any) -> TagFacts:
        """The facts that `dataclasses.asdict` described.

        Raises:
            KeyError, TypeError, ValueError: the description is not one.
        """
        for name in ("embedding_size", "sentences", "words"):
            if not isinstance(saved[name], int) or saved[name] < 1:
                raise ValueError(f"'{name}' should be a whole number of at least 1, found {saved[name]!r:.40}")
        if not all(isinstance(number, int) and number >= 0 for number in saved["rare"]):
            raise TypeError("'rare' should be whole numbers")
        scheme, source, tags = saved["scheme"], saved["source"], read_texts(saved["tags"], "tags")
        if not tags or len(set(tags)) != len(tags):
            raise ValueError("'tags' is empty, or holds one twice")
        if {scheme, source} - {*SCHEMES, LABELS} or (scheme == LABELS) != (source == LABELS):
            raise ValueError(f"'scheme' and 'source' do not fit: {scheme!r:.40} and {source!r:.40}")
        if scheme != LABELS and not all(is_span_tag(tag) for tag in tags):
            raise ValueError("'tags' holds some that write no spans")
        counts = (saved["embedding_size"], tuple(saved["rare"]), saved["sentences"], saved["words"])
        return cls(tags, scheme, source, *counts, read_text(saved["validation"], "validation"))

    @property
    def known(self) -> frozenset[str]:
        """The types of spans, or the labels, that the model has."""
        return frozenset(self.tags) if self.scheme == LABELS else frozenset(type_of(tag) for tag in self.tags)

    def kind(self, tag: str) -> str:
        """What of a file's tag must be known: its type, or the label."""
        return tag if self.scheme == LABELS else type_of(tag)

    def converted(self, tags: Sequence[str], scheme: str) -> list[str]:
        """The tags of a sentence in another scheme."""
        return list(tags) if self.scheme == LABELS else tags_of(spans_of(tags), len(tags), scheme)


def constraints(facts: TagFacts) -> Constraints | None:
    """Which tags may follow each other in the model's scheme, on the CPU; None where all may."""
    if facts.scheme == LABELS:
        return None
    tags, scheme = facts.tags, facts.scheme
    pairs = [[allowed_pair(before, after, scheme) for after in tags] for before in tags]
    ends = ([may(tag, scheme) for tag in tags] for may in (allowed_start, allowed_end))
    # These are values, even where the weights are shapes alone.
    start, transitions, end = (torch.tensor(may, device="cpu") for may in (next(ends), pairs, next(ends)))
    return Constraints(start, transitions, end)


def check_majority(saved: Any, spans: bool) -> None:
    """Raises an error where `saved` is not the usual tag of each word; `spans` says whether tags write spans."""
    for word, tag in [("tag", saved["tag"]), *saved["words"].items()]:
        if not read_text(tag, word) or (spans and not is_span_tag(tag)):
            raise ValueError(f"'{word:.40}' should be a tag, found {tag!r:.40}")
