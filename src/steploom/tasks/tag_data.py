"""What the task `tag` makes of files in columns: tags, vocabulary, batches."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from steploom.data.conll import ConllFile, read_columns
from steploom.data.conll_batches import SentenceBatches, WordCoder, learn_words
from steploom.data.json_values import read_text, read_texts
from steploom.data.tag_schemes import (
    SCHEMES,
    allowed_end,
    allowed_pair,
    allowed_start,
    find_scheme,
    first_break,
    is_span_tag,
    scheme_tags,
    spans_of,
    tags_of,
    type_of,
)
from steploom.data.word_vectors import find_vector, read_vectors
from steploom.errors import DataError, OptionError, nearest
from steploom.layers.crf import Constraints
from steploom.models.output_loss import IGNORED

if TYPE_CHECKING:
    from steploom.tasks.tag import EvaluateOptions, TagOptions

__all__ = ["Part", "TagFacts", "TagParts", "check_majority", "constraints", "prepare_tags", "read_part"]

# What a person should know about the data; the command line shows it.
words = logging.getLogger("steploom")

_LABELS = "labels"


@dataclass(frozen=True)
class Part:
    """Sentences with the tags that people gave them, from one file.

    Args:
        sentences: the words of each.
        tags: the tags of each as they stand in the file.
        scheme: how they write spans: a name of `steploom.data.tag_schemes.SCHEMES`, or "labels".
        file: where they come from.
        whole: whether these are all sentences of the file.
    """

    sentences: tuple[tuple[str, ...], ...]
    tags: tuple[tuple[str, ...], ...]
    scheme: str
    file: ConllFile
    whole: bool = True


@dataclass(frozen=True)
class TagFacts:
    """What is known of the tags, and of the data that they were learnt from.

    Args:
        tags: those that the model gives, in its scheme.
        scheme: the model's: a name of `steploom.data.tag_schemes.SCHEMES`, or "labels".
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
        if {scheme, source} - {*SCHEMES, _LABELS} or (scheme == _LABELS) != (source == _LABELS):
            raise ValueError(f"'scheme' and 'source' do not fit: {scheme!r:.40} and {source!r:.40}")
        if scheme != _LABELS and not all(is_span_tag(tag) for tag in tags):
            raise ValueError("'tags' holds some that write no spans")
        counts = (saved["embedding_size"], tuple(saved["rare"]), saved["sentences"], saved["words"])
        return cls(tags, scheme, source, *counts, read_text(saved["validation"], "validation"))

    @property
    def known(self) -> frozenset[str]:
        """The types of spans, or the labels, that the model has."""
        return frozenset(self.tags) if self.scheme == _LABELS else frozenset(type_of(tag) for tag in self.tags)

    def kind(self, tag: str) -> str:
        """What of a file's tag must be known: its type, or the label."""
        return tag if self.scheme == _LABELS else type_of(tag)

    def converted(self, tags: Sequence[str], scheme: str) -> list[str]:
        """The tags of a sentence in another scheme."""
        return list(tags) if self.scheme == _LABELS else tags_of(spans_of(tags), len(tags), scheme)


@dataclass(frozen=True)
class TagParts:
    """All that training needs.

    Args:
        artefacts: what the task keeps.
        train, valid: the batches.
        valid_part, test_part: the sentences to score.
        vectors: (words, size), the first word embeddings, NaN for a word without one.
    """

    artefacts: dict[str, Any]
    train: SentenceBatches
    valid: SentenceBatches | None
    valid_part: list[Part] | None
    test_part: list[Part] | None
    vectors: Tensor | None


def prepare_tags(options: TagOptions, train: Sequence[Path], valid: Sequence[Path], test: Sequence[Path]) -> TagParts:
    """Reads all files, finds their schemes, learns words and tags, makes the batches.

    Raises:
        DataError: a file cannot be used.
        OptionError: an option does not fit the data.
    """
    files = [_columns(path, options) for path in train]
    plain = options.scheme == _LABELS or not _are_spans([tags for _, column in files for tags in column])
    if plain and options.scheme not in ("auto", _LABELS):
        raise OptionError(
            f"--scheme {options.scheme}: the tags in {train[0]} write no spans, such as B-PER; "
            f"found '{files[0][1][0][0]}'. Name another --target-column, or leave --scheme out"
        )
    source = _LABELS if plain else find_scheme([tags for _, column in files for tags in column])
    parts = [_part(file, column, source, options.repair_tags) for file, column in files]
    held_out, how = None, ""
    if valid:
        how = f"the file {' and '.join(path.name for path in valid)}"
    else:
        parts, held_out, how = _split(parts, options.valid_every)
    scheme = _LABELS if plain else "bioes" if options.scheme == "auto" else options.scheme
    kinds = Counter(
        tag if plain else type_of(tag) for part in parts for tags in part.tags for tag in tags if plain or tag != "O"
    )
    if plain and len(kinds) < 2:
        raise DataError(
            f"every tag in the training data is '{next(iter(kinds), 'O')}': there is nothing to learn",
            file=train[0],
            hint="Name another --target-column",
        )
    names = tuple(sorted(kinds) if plain else scheme_tags(sorted(kinds), scheme))
    sentences = [sentence for part in parts for sentence in part.sentences]
    known = TagFacts(names, scheme, source, 1, (), len(sentences), sum(map(len, sentences)), how)
    if valid:
        held_out = _read(valid, options, known, options)
    test_part = _read(test, options, known, options) if test else None
    if held_out and not valid:
        # A tag so rare that chance put it into the validation part alone is nobody's mistake.
        held_out = held_out if any(part.sentences for part in held_out) else None
    further = [part for group in (held_out, test_part) for part in group or ()]
    coder, rare, vectors = _vocabulary(options, sentences, further)
    size = vectors.shape[1] if vectors is not None else options.embedding_size or 100
    facts = TagFacts(names, scheme, source, size, tuple(rare), known.sentences, known.words, how)
    words.info(
        f"{facts.sentences:,} sentences of {facts.words:,} words to train on, {len(names)} tags "
        f"({'plain labels' if plain else f'{source} in the files, {scheme} in the model'}); validation: {how}"
    )
    artefacts = {"vocabulary": coder.to_json(), "tags": asdict(facts), "majority": _majority(parts)}
    batches = _batches(parts, coder, facts, options.batch_size, options.seed)
    valid_batches = None if held_out is None else _batches(held_out, coder, facts, 2 * options.batch_size, None)
    return TagParts(artefacts, batches, valid_batches, held_out, test_part, vectors)


def read_part(paths: Sequence[Path], options: TagOptions, facts: TagFacts, how: EvaluateOptions) -> list[Part]:
    """The sentences of some files, whose tags must be those of the training.

    Raises:
        DataError: a file cannot be used.
        OptionError: a file has no such column.
    """
    return _read(paths, options, facts, how)


def constraints(facts: TagFacts) -> Constraints | None:
    """Which tags may follow each other in the model's scheme, on the CPU; None where all may."""
    if facts.scheme == _LABELS:
        return None
    tags, scheme = facts.tags, facts.scheme
    pairs = [[allowed_pair(before, after, scheme) for after in tags] for before in tags]
    ends = ([may(tag, scheme) for tag in tags] for may in (allowed_start, allowed_end))
    # These are values, even where the weights are shapes alone.
    start, transitions, end = (torch.tensor(may, device="cpu") for may in (next(ends), pairs, next(ends)))
    return Constraints(start, transitions, end)


def check_majority(saved: Any) -> None:
    """Raises an error where `saved` is not the usual tag of each word."""
    read_text(saved["tag"], "tag")
    for word, tag in saved["words"].items():
        read_text(tag, word)


def _columns(path: Path, options: TagOptions) -> tuple[ConllFile, list[tuple[str, ...]]]:
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


def _are_spans(column: Sequence[Sequence[str]]) -> bool:
    """Whether tags are meant to write spans: nearly all look so, and not all are O."""
    counts = Counter(tag for tags in column for tag in tags)
    written = sum(count for tag, count in counts.items() if is_span_tag(tag))
    return written > counts["O"] and written >= 0.9 * sum(counts.values())


def _part(file: ConllFile, column: list[tuple[str, ...]], scheme: str, repair: bool) -> Part:
    """The sentences of a file, its tags checked against a scheme."""
    for sentence, tags in zip(file.sentences, column, strict=True):
        if scheme == _LABELS:
            break
        for row, tag in zip(sentence.rows, tags, strict=True):
            if not is_span_tag(tag):
                raise DataError(
                    f"expected O or a tag such as B-PER, found '{tag:.20}'",
                    file=file.path,
                    row=row,
                    hint="Where tags are plain labels and write no spans, give --scheme labels",
                )
        broken = None if repair else first_break(tags, scheme)
        if broken:
            raise DataError(
                f"a broken sequence of tags: {broken.what}, which {scheme.upper()} does not allow",
                file=file.path,
                row=sentence.rows[broken.place],
                hint="Correct it, or give --repair-tags to have it read as conlleval does",
            )
    return Part(tuple(sentence.words for sentence in file.sentences), tuple(column), scheme, file)


def _read(paths: Sequence[Path], options: TagOptions, facts: TagFacts, how: TagOptions | EvaluateOptions) -> list[Part]:
    parts = []
    for path in paths:
        file, column = _columns(path, options)
        plain = facts.scheme == _LABELS
        marked = not plain and any(tag[0] in "BIES" for tags in column for tag in tags)
        scheme = _LABELS if plain else find_scheme(column) if marked else facts.source
        part = _part(file, column, scheme, how.repair_tags)
        if not how.allow_unseen_tags:
            _check_seen(part, facts)
        parts.append(part)
    return parts


def _check_seen(part: Part, facts: TagFacts) -> None:
    known = facts.known
    for sentence, tags in zip(part.file.sentences, part.tags, strict=True):
        for row, tag in zip(sentence.rows, tags, strict=True):
            if facts.kind(tag) not in known:
                raise DataError(
                    f"the tag '{tag:.40}' does not occur in the training data.{nearest(tag, facts.tags)}".rstrip("."),
                    file=part.file.path,
                    row=row,
                    hint="Correct it, or give --allow-unseen-tags to have it counted as missed",
                )


def _split(parts: list[Part], every: int) -> tuple[list[Part], list[Part] | None, str]:
    """The parts without every so many sentences, those sentences, and how they were chosen."""
    count = sum(len(part.sentences) for part in parts)
    if not every or count < every or every == 1:
        return parts, None, "none"
    kept: list[Part] = []
    held_out: list[Part] = []
    number = 0
    for part in parts:
        places = range(number, number + len(part.sentences))
        number += len(part.sentences)
        for chosen, group in ((False, kept), (True, held_out)):
            inside = [i for i, place in enumerate(places) if ((place + 1) % every == 0) == chosen]
            sentences, tags = (tuple(values[i] for i in inside) for values in (part.sentences, part.tags))
            group.append(Part(sentences, tags, part.scheme, part.file, whole=False))
    return kept, held_out, f"every {every}th sentence, {count // every:,} sentences"


def _vocabulary(
    options: TagOptions, sentences: list[tuple[str, ...]], further: list[Part]
) -> tuple[WordCoder, list[int], Tensor | None]:
    plan: dict[str, Any] = {"lowercase": options.in_lower_case, "zero_digits": options.zero_digits}
    plan |= {"characters": options.characters, "min_count": options.min_count}
    coder, rare = learn_words(sentences, **plan)
    if options.vectors is None:
        return coder, rare, None
    elsewhere = {coder.normal(word) for part in further for sentence in part.sentences for word in sentence}
    path = Path(options.vectors)
    vectors, size = read_vectors(path, {*coder.words, *elsewhere})
    if options.embedding_size not in (None, size):
        raise OptionError(
            f"--embedding-size: the vectors in {path} have {size} numbers, found {options.embedding_size}"
        )
    coder, rare = learn_words(sentences, [word for word in elsewhere if find_vector(vectors, word) is not None], **plan)
    first = torch.full((len(coder.words), size), torch.nan)
    for number, word in enumerate(coder.words):
        found = find_vector(vectors, word)
        if found is not None:
            first[number] = found
    count = int((~first[:, 0].isnan()).sum())
    if not count:
        raise DataError("there is no vector of any word of the data", file=path)
    words.info(f"{count:,} of {len(coder.words):,} words have a vector in {path.name}")
    return coder, rare, first


def _majority(parts: list[Part]) -> dict[str, Any]:
    """The most frequent tag, and that of each word where it is another one, as the files write them."""
    of_word: dict[str, Counter[str]] = {}
    overall: Counter[str] = Counter()
    for part in parts:
        for sentence, tags in zip(part.sentences, part.tags, strict=True):
            overall.update(tags)
            for word, tag in zip(sentence, tags, strict=True):
                of_word.setdefault(word, Counter())[tag] += 1
    usual = _most(overall)
    chosen = {word: _most(counts) for word, counts in sorted(of_word.items())}
    return {"tag": usual, "words": {word: tag for word, tag in chosen.items() if tag != usual}}


def _most(counts: Counter[str]) -> str:
    return min(counts, key=lambda tag: (-counts[tag], tag))


def _batches(
    parts: list[Part], coder: WordCoder, facts: TagFacts, batch_size: int, seed: int | None
) -> SentenceBatches:
    numbers = {tag: number for number, tag in enumerate(facts.tags)}
    targets = [
        [numbers.get(tag, IGNORED) for tag in facts.converted(tags, facts.scheme)]
        for part in parts
        for tags in part.tags
    ]
    sentences = [sentence for part in parts for sentence in part.sentences]
    return SentenceBatches(sentences, coder, batch_size, targets, seed)
