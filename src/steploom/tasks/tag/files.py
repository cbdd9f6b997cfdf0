"""The files of the task `tag`: sentences with the tags that people gave them, checked."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from steploom.data.labelled.conll import ConllFile, read_columns
from steploom.data.labelled.tag_schemes import find_scheme, first_break, is_span_tag, spans_of, tags_of
from steploom.data.set_aside import every_nth, every_nth_shown
from steploom.errors import DataError, OptionError, nearest
from steploom.tasks.tag.facts import LABELS, TagFacts

if TYPE_CHECKING:
    from steploom.tasks.tag.task import EvaluateOptions, TagOptions

__all__ = ["Part", "are_spans", "columns_of", "foreign_span_tag", "part_of", "read_part", "split_parts"]

logger = logging.getLogger("steploom")

_HINT = (
    "Spans are written in IOB1, IOB2 or BIOES (of BILOU, write L as E and U as S). Where tags are plain labels "
    "and write no spans, give --scheme labels"
)
# With the letters of BILOU and BMES, in lower case, or with another sign between.
_FOREIGN = re.compile(r"[BIELUMSbielums][-_].+")


@dataclass(frozen=True)
class Part:
    """Sentences with the tags that people gave them, from one file.

    Args:
        sentences: the words of each.
        tags: the tags of each as they stand in the file; of a broken sequence that was repaired, as it was read.
        scheme: how they write spans: a name of `steploom.data.labelled.tag_schemes.SCHEMES`, or "labels".
        file: where they come from.
        whole: whether these are all sentences of the file.
    """

    sentences: tuple[tuple[str, ...], ...]
    tags: tuple[tuple[str, ...], ...]
    scheme: str
    file: ConllFile
    whole: bool = True


def columns_of(path: Path, options: TagOptions) -> tuple[ConllFile, list[tuple[str, ...]]]:
    """A file, and its column of tags a sentence.

    Raises:
        DataError: the file cannot be used.
        OptionError: it has no such column.
    """
    file = read_columns(path, options.word_column)
    if file.columns == 1:
        row = file.sentences[0].rows[0]
        raise DataError(
            f"expected a word and its tag, found one column ('{file.sentences[0].words[0]:.20}')",
            file=path,
            row=row,
            hint="Columns are separated by spaces or tabs",
        )
    column = options.target_column or file.columns
    if column == options.word_column:
        raise OptionError(
            f"--word-column {column}: this is the last column of {path}, and without --target-column that of the tags"
        )
    found = file.column(column, "--target-column")
    for sentence, tags in zip(file.sentences, found, strict=True):
        for row, tag in zip(sentence.rows, tags, strict=True):
            if not tag:
                raise DataError(f"the tag in column {column} is empty", file=path, row=row)
    return file, found


def are_spans(column: Sequence[Sequence[str]]) -> bool:
    """Whether tags are meant to write spans: nearly all look so, and not all are O."""
    counts = Counter(tag for tags in column for tag in tags)
    written = sum(count for tag, count in counts.items() if is_span_tag(tag))
    return written > counts["O"] and written >= 0.9 * sum(counts.values())


def foreign_span_tag(column: Sequence[Sequence[str]]) -> str | None:
    """One of the tags, where they look like spans in a scheme or a spelling that is none of ours; None where not."""
    tags = sorted({tag for tags in column for tag in tags if tag.upper() != "O"})
    foreign = [tag for tag in tags if not is_span_tag(tag)]
    return foreign[0] if foreign and all(_FOREIGN.fullmatch(tag) for tag in foreign) else None


def part_of(file: ConllFile, column: list[tuple[str, ...]], scheme: str, repair: bool) -> Part:
    """The sentences of a file; where `repair` says so, broken sequences of tags become what conlleval reads in them.

    Raises:
        DataError: a tag does not write spans though the scheme does, or, unless `repair`, a sequence breaks it.
    """
    read, repaired = [], []
    for sentence, tags in zip(file.sentences, column, strict=True):
        read.append(tags)
        if scheme == LABELS:
            continue
        for row, tag in zip(sentence.rows, tags, strict=True):
            if not is_span_tag(tag):
                raise DataError(
                    f"expected O or a tag such as B-PER, found '{tag:.20}'",
                    file=file.path,
                    row=row,
                    hint=_HINT,
                )
        broken = first_break(tags, scheme)
        if broken and repair:
            repaired.append(sentence.rows[broken.place])
            read[-1] = tuple(tags_of(spans_of(tags), len(tags), scheme))
        elif broken:
            raise DataError(
                f"a broken sequence of tags: {broken.what}, which {scheme.upper()} does not allow",
                file=file.path,
                row=sentence.rows[broken.place],
                hint="Correct it, or give --repair-tags to have it read as conlleval does",
            )
    if repaired:
        count = f"{len(repaired):,} sentence{'' if len(repaired) == 1 else 's'}"
        logger.info(
            f"{file.path}: the tags of {count} break {scheme.upper()}, the first in row {repaired[0]}; they are read "
            "as conlleval reads them, and scored so"
        )
    return Part(tuple(sentence.words for sentence in file.sentences), tuple(read), scheme, file)


def read_part(
    paths: Sequence[Path], options: TagOptions, facts: TagFacts, how: TagOptions | EvaluateOptions
) -> list[Part]:
    """The sentences of some files, each in its own scheme, whose tags must be those of the training.

    Raises:
        DataError: a file cannot be used.
        OptionError: a file has no such column.
    """
    parts = []
    for path in paths:
        file, column = columns_of(path, options)
        plain = facts.scheme == LABELS
        marked = not plain and any(tag[0] in "BIES" for tags in column for tag in tags)
        scheme = LABELS if plain else find_scheme(column) if marked else facts.source
        part = part_of(file, column, scheme, how.repair_tags)
        if not how.allow_unseen_tags:
            _check_seen(part, facts)
        parts.append(part)
    return parts


def _check_seen(part: Part, facts: TagFacts) -> None:
    known = facts.known
    for sentence, tags in zip(part.file.sentences, part.tags, strict=True):
        for row, tag in zip(sentence.rows, tags, strict=True):
            if facts.kind(tag) not in known:
                near = f"{nearest(tag, facts.tags)} ".lstrip()
                raise DataError(
                    f"the tag '{tag:.40}' does not occur in the training data",
                    file=part.file.path,
                    row=row,
                    hint=f"{near}Correct it, or give --allow-unseen-tags to have it counted as missed",
                )


def split_parts(parts: list[Part], every: int) -> tuple[list[Part], list[Part] | None, str]:
    """The parts without one of every so many sentences, those sentences, and how they were chosen."""
    count = sum(len(part.sentences) for part in parts)
    aside = set(every_nth(count, every)[1])
    if not aside:
        return parts, None, "none"
    kept: list[Part] = []
    held_out: list[Part] = []
    number = 0
    for part in parts:
        places = range(number, number + len(part.sentences))
        number += len(part.sentences)
        for chosen, group in ((False, kept), (True, held_out)):
            inside = [i for i, place in enumerate(places) if (place in aside) == chosen]
            sentences, tags = (tuple(values[i] for i in inside) for values in (part.sentences, part.tags))
            group.append(Part(sentences, tags, part.scheme, part.file, whole=False))
    return kept, held_out, every_nth_shown(count, every, "sentence")
