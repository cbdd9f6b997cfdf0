"""How tags write spans: IOB1, IOB2, BIOES, and plain labels that write none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = [
    "SCHEMES",
    "Broken",
    "Span",
    "allowed_end",
    "allowed_pair",
    "allowed_start",
    "find_scheme",
    "first_break",
    "is_span_tag",
    "scheme_tags",
    "spans_of",
    "tags_of",
    "type_of",
]

SCHEMES = {"iob1": "BI", "iob2": "BI", "bioes": "BIES"}
"""The letters of each scheme; O stands outside of any span in all of them.

In IOB1 a span begins with I, and with B only right behind another one of the same type (Ramshaw & Marcus 1995); in IOB2
each begins with B. In BIOES the last tag is E and a span of one is S.
"""

_SPAN_TAG = re.compile(r"[BIES]-.+")


class Span(NamedTuple):
    """Tags `start` to `stop` (exclusive) of a sentence, which are one thing of the type `type`."""

    start: int
    stop: int
    type: str


class Broken(NamedTuple):
    """Where a sentence breaks its scheme: the place of the tag in it, and what is wrong."""

    place: int
    what: str


def is_span_tag(tag: str) -> bool:
    """Whether a tag is O, or one of B, I, E, S with a hyphen and a type behind it."""
    return tag == "O" or _SPAN_TAG.fullmatch(tag) is not None


def type_of(tag: str) -> str:
    """The type of the span that a tag belongs to: PER of I-PER; "" of O."""
    return tag[2:]


def spans_of(tags: Sequence[str]) -> list[Span]:
    """The spans of a sentence as conlleval counts them, whichever scheme its tags have.

    A span begins with B or S, and with I or E where none is open or the one that is has another type. It ends behind
    E or S, and before O or the next. So a broken sequence, such as I-PER behind O in IOB2, is read as well.
    """
    spans, start, open_type = [], 0, None
    for place, tag in enumerate(tags):
        letter, kind = tag[0], type_of(tag)
        if open_type is not None and (letter in "BSO" or kind != open_type):
            spans.append(Span(start, place, open_type))
            open_type = None
        if letter == "O":
            continue
        if open_type is None:
            start, open_type = place, kind
        if letter in "ES":
            spans.append(Span(start, place + 1, kind))
            open_type = None
    if open_type is not None:
        spans.append(Span(start, len(tags), open_type))
    return spans


def tags_of(spans: Iterable[Span], length: int, scheme: str) -> list[str]:
    """The tags of a sentence of `length` words in `scheme`; the spans in their order, none within another."""
    tags = ["O"] * length
    before: Span | None = None
    for span in spans:
        size = span.stop - span.start
        letters = ["B", *"I" * (size - 1)]
        if scheme == "bioes":
            letters = ["S"] if size == 1 else ["B", *"I" * (size - 2), "E"]
        elif scheme == "iob1" and not (before and before.stop == span.start and before.type == span.type):
            letters[0] = "I"
        tags[span.start : span.stop] = [f"{letter}-{span.type}" for letter in letters]
        before = span
    return tags


def scheme_tags(types: Iterable[str], scheme: str) -> list[str]:
    """All tags of a scheme: O first, then those of each type."""
    return ["O", *(f"{letter}-{kind}" for kind in types for letter in SCHEMES[scheme])]


def find_scheme(sentences: Iterable[Sequence[str]]) -> str:
    """The scheme in which these tags of sentences were written.

    It is "bioes" where there is an E or S. Else each span that begins with I speaks for IOB1, each B behind another
    thing than its own type for IOB2, and the majority has it.
    """
    ones = twos = 0
    for tags in sentences:
        before = "O"
        for tag in tags:
            letter = tag[0]
            if letter in "ES":
                return "bioes"
            if letter == "I":
                ones += type_of(before) != type_of(tag)
            elif letter == "B":
                twos += type_of(before) != type_of(tag)
            before = tag
    return "iob1" if ones > twos else "iob2"


def first_break(tags: Sequence[str], scheme: str) -> Broken | None:
    """The first place where a sentence is not as its scheme would write it; None where it is.

    IOB1 is never broken: a B where I would do, of which CoNLL-2003 has two, leaves no doubt.
    """
    if scheme == "iob1":
        return None
    before = "O"
    for place, tag in enumerate(tags):
        if place == 0 and not allowed_start(tag, scheme):
            return Broken(place, f"{tag} opens the sentence")
        if place and not allowed_pair(before, tag, scheme):
            return Broken(place, f"{tag} stands behind {before}")
        before = tag
    if tags and not allowed_end(before, scheme):
        return Broken(len(tags) - 1, f"{before} ends the sentence")
    return None


def allowed_start(tag: str, scheme: str) -> bool:
    """Whether a tag may come first in a sentence."""
    return allowed_pair("O", tag, scheme)


def allowed_end(tag: str, scheme: str) -> bool:
    """Whether a tag may come last in a sentence."""
    return allowed_pair(tag, "O", scheme)


def allowed_pair(before: str, after: str, scheme: str) -> bool:
    """Whether tag `after` may stand right behind tag `before`. Plain labels may follow each other as they like."""
    if scheme not in SCHEMES:
        return True
    same = type_of(before) == type_of(after)
    if scheme == "bioes":
        inside = before[0] in "BI"
        return inside == (after[0] in "IE") and (same or not inside)
    if scheme == "iob1":
        return after[0] != "B" or same
    return after[0] != "I" or same
