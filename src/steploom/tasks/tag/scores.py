"""How right a tagger is: spans as conlleval counts them, and single tags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from steploom.data.batches import in_order
from steploom.data.labelled.conll_batches import SentenceBatches
from steploom.data.labelled.tag_schemes import spans_of
from steploom.errors import DataError
from steploom.models.tagger import Tagger
from steploom.tasks.tag.data import Part
from steploom.tasks.task import Evaluation

if TYPE_CHECKING:
    from steploom.tasks.tag.task import Tag

__all__ = ["SpanCounts", "score", "tag_sentences"]

# Sentences tagged at a time, all of about the same length.
_SENTENCES = 64


@dataclass
class SpanCounts:
    """Spans counted over sentences, by type: how many there are, how many were found, how many of these are right.

    A span is right where its beginning, its end and its type are.
    """

    there: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)

    def add(self, gold: Sequence[str], tags: Sequence[str]) -> None:
        """Counts a sentence, by the tags that people gave it and those that were found."""
        wanted, given = spans_of(gold), spans_of(tags)
        self.there.update(span.type for span in wanted)
        self.found.update(span.type for span in given)
        self.right.update(span.type for span in set(wanted) & set(given))

    def figures(self, kind: str | None = None) -> tuple[float, float, float]:
        """Precision, recall and F1, from 0 to 1, of a type or of all; 0 where nothing was found or is there."""
        there, found, right = (
            counts.total() if kind is None else counts[kind] for counts in (self.there, self.found, self.right)
        )
        precision, recall = right / found if found else 0.0, right / there if there else 0.0
        return precision, recall, 2 * right / (there + found) if there + found else 0.0


def tag_sentences(task: Tag, network: Tagger, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
    """The tags of each sentence in the model's scheme."""
    names = task.tags.tags
    batches = SentenceBatches(sentences, task.coder, _SENTENCES)
    tags: list[list[str]] = [[] for _ in sentences]
    for index, batch in enumerate(in_order(batches, network.device)):
        for number, best in zip(batches.chosen(0, index).tolist(), network.tag(batch), strict=True):
            tags[number] = [names[tag] for tag in best]
    return tags


def score(task: Tag, network: Tagger, parts: object) -> Evaluation:
    """F1, precision and recall of the spans, the share of right tags, and the same of each word's usual tag.

    Args:
        task: the task.
        network: the model.
        parts: the sentences, a list of `Part`.

    Raises:
        DataError: `parts` is something else.
    """
    if not isinstance(parts, list) or not all(isinstance(part, Part) for part in parts):
        raise DataError(f"expected tagged sentences, found {type(parts).__name__}")
    ours, usual = [], []
    majority = task.artefacts["majority"]
    for part in parts:
        found = tag_sentences(task, network, part.sentences)
        ours.append([task.tags.converted(tags, part.scheme) for tags in found])
        guessed = ([majority["words"].get(word, majority["tag"]) for word in words] for words in part.sentences)
        usual.append([task.tags.converted(tags, part.scheme) for tags in guessed])

    def write(path: Path) -> None:
        texts = [_with_both(part, tags, task) for part, tags in zip(parts, ours, strict=True)]
        path.write_text("\n".join(texts), encoding="utf-8")

    whole = all(part.whole for part in parts)
    baselines = {"usual tag": _figures(task, parts, usual)}
    return Evaluation(_figures(task, parts, ours, full=True), baselines, write if whole else None)


def _figures(task: Tag, parts: list[Part], tags: list[list[list[str]]], full: bool = False) -> dict[str, float]:
    spans, right, count, new_right, new = SpanCounts(), 0, 0, 0, 0
    for part, found in zip(parts, tags, strict=True):
        for words, gold, given in zip(part.sentences, part.tags, found, strict=True):
            if task.tags.source != "labels":
                spans.add(gold, given)
            hits = [a == b for a, b in zip(gold, given, strict=True)]
            unknown = [task.coder.number(word) == 0 for word in words]
            right, count, new = right + sum(hits), count + len(hits), new + sum(unknown)
            new_right += sum(hit and is_new for hit, is_new in zip(hits, unknown, strict=True))
    figures: dict[str, float] = {}
    if task.tags.source != "labels":
        precision, recall, f1 = spans.figures()
        figures = {"f1": f1, "precision": precision, "recall": recall}
    figures["accuracy"] = right / max(count, 1)
    if new:
        figures["accuracy_unknown"] = new_right / new
    if task.tags.source != "labels":
        kinds = sorted(spans.there | spans.found)
        lowered = Counter(kind.lower() for kind in kinds)
        # Two types that differ in case alone keep their own letters.
        names = {kind: kind.lower() if lowered[kind.lower()] == 1 else kind for kind in kinds}
        figures |= {f"f1_{names[kind]}": spans.figures(kind)[2] for kind in kinds}
    if full:
        figures |= {"words": float(count), "unknown": float(new)}
        figures |= {"spans": float(spans.there.total())} if task.tags.source != "labels" else {}
    return figures


def _with_both(part: Part, tags: list[list[str]], task: Tag) -> str:
    """The text of a file with the right and the found tag as its last columns, as the script conlleval reads them."""
    file, between = part.file, _between(task)
    if task.options.target_column in (None, file.columns):
        return file.with_column(tags, between)
    both = [
        [f"{right}{file.separator}{found}" for right, found in zip(*rows, strict=True)]
        for rows in zip(part.tags, tags, strict=True)
    ]
    return file.with_column(both, f"{between}{file.separator}{between}")


def _between(task: Tag) -> str:
    return "-X-" if task.tags.source == "labels" else "O"
