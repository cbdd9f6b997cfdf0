"""Where a tagger differs from the tags that a file has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from steploom.data.labelled.conll import ConllFile
from steploom.data.labelled.tag_schemes import Span, is_span_tag, spans_of
from steploom.tasks.tag.facts import LABELS, TagFacts

if TYPE_CHECKING:
    from steploom.tasks.tag.task import Tag

__all__ = ["marked_spans", "matching_gold"]


def matching_gold(task: Tag, file: ConllFile) -> list[tuple[str, ...]] | None:
    """The right tags, where the file has a column of tags of which the model knows most."""
    column = task.options.target_column or file.columns
    if not 1 <= column <= file.columns or column == task.options.word_column:
        return None
    found = file.column(column, "--target-column")
    known = [_is_known(task.tags, tag) for tags in found for tag in tags]
    return found if 2 * sum(known) > len(known) else None


def marked_spans(facts: TagFacts, tags: Sequence[str], gold: Sequence[str] | None) -> list[tuple[Span, str]]:
    """The spans of a sentence, found ones and missed ones, in their order, each with its mark.

    The mark is "" where a span is right, "wrong", or "unseen" where the tag in the file is none of the model's. A span
    that was missed has the type "".

    Args:
        facts: what the model knows of tags.
        tags: those that were found, in IOB2 or as labels.
        gold: those that are right; None: not known, and no span is marked.
    """
    gold = tags if gold is None else gold
    if facts.scheme == LABELS:
        pairs = enumerate(zip(tags, gold, strict=True))
        return [
            (Span(i, i + 1, tag), "" if tag == right else "wrong" if _is_known(facts, right) else "unseen")
            for i, (tag, right) in pairs
        ]
    found, wanted = spans_of(tags), spans_of([tag if is_span_tag(tag) else "O" for tag in gold])
    unseen = {place for place, tag in enumerate(gold) if not _is_known(facts, tag)}
    strange = [Span(place, place + 1, "") for place, tag in enumerate(gold) if not is_span_tag(tag)]
    taken = {place for span in found for place in range(span.start, span.stop)}

    def mark(span: Span) -> str:
        return "unseen" if unseen & set(range(span.start, span.stop)) else "wrong"

    missed = [span for span in [*wanted, *strange] if not taken & set(range(span.start, span.stop))]
    return sorted(
        [(span, "" if span in wanted else mark(span)) for span in found]
        + [(span._replace(type=""), mark(span)) for span in missed]
    )


def _is_known(facts: TagFacts, tag: str) -> bool:
    return facts.kind(tag) in facts.known and (facts.scheme == LABELS or is_span_tag(tag))
