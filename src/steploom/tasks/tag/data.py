"""What the task `tag` makes of files in columns: tags, vocabulary, batches."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from steploom.data.counted import counted
from steploom.data.labelled.conll_batches import SentenceBatches, WordCoder, learn_words
from steploom.data.labelled.tag_schemes import find_scheme, scheme_tags, type_of
from steploom.data.text.word_vectors import find_vector, read_vectors
from steploom.errors import DataError, OptionError
from steploom.models.output_loss import IGNORED
from steploom.tasks.overlap import overlap
from steploom.tasks.tag.facts import LABELS, TagFacts
from steploom.tasks.tag.files import Part, are_spans, columns_of, foreign_span_tag, part_of, read_part, split_parts
from steploom.tasks.task import Prepared, named_files

if TYPE_CHECKING:
    from steploom.tasks.tag.task import Tag, TagOptions

__all__ = ["Part", "prepare_tags"]

# What a person should know about the data; the command line shows it.
logger = logging.getLogger("steploom")

T = TypeVar("T", bound="Tag")

# Of a word's vector, where neither the option nor pretrained vectors say it.
_EMBEDDING_SIZE = 100


def prepare_tags(
    kind: type[T], options: TagOptions, train: Sequence[Path], valid: Sequence[Path], test: Sequence[Path]
) -> Prepared[T]:
    """Reads all files, finds their schemes, learns words and tags, makes the batches of a task `kind`.

    Raises:
        DataError: a file cannot be used.
        OptionError: an option does not fit the data.
    """
    files = [columns_of(path, options) for path in train]
    plain = options.scheme == LABELS or not are_spans([tags for _, column in files for tags in column])
    if plain and options.scheme not in ("auto", LABELS):
        raise OptionError(
            f"--scheme {options.scheme}: the tags in {train[0]} write no spans, such as B-PER; "
            f"found '{files[0][1][0][0]}'. Name another --target-column, or leave --scheme out"
        )
    foreign = foreign_span_tag([tags for _, column in files for tags in column])
    if plain and options.scheme == "auto" and foreign:
        logger.info(
            f"the tags, such as '{foreign:.20}', are taken for plain labels. If they write spans: these are counted in "
            "IOB1, IOB2 and BIOES alone, with tags such as B-PER; of BILOU, write L as E and U as S"
        )
    # Each file has its own scheme; predictions are written in that of the first.
    schemes = [LABELS if plain else find_scheme(column) for _, column in files]
    parts = [part_of(*file, scheme, options.repair_tags) for file, scheme in zip(files, schemes, strict=True)]
    source = schemes[0]
    held_out, how = None, ""
    if valid:
        how = named_files(valid)
    else:
        parts, held_out, how = split_parts(parts, options.valid_every)
    scheme = LABELS if plain else "bioes" if options.scheme == "auto" else options.scheme
    kinds = Counter(
        tag if plain else type_of(tag) for part in parts for tags in part.tags for tag in tags if plain or tag != "O"
    )
    if len(kinds) < 1 + plain:
        raise DataError(
            f"every tag in the training data is '{next(iter(kinds), 'O')}': there is nothing to learn",
            file=train[0],
            hint="Name another --target-column",
        )
    names = tuple(sorted(kinds) if plain else scheme_tags(sorted(kinds), scheme))
    sentences = [sentence for part in parts for sentence in part.sentences]
    known = TagFacts(names, scheme, source, 1, (), len(sentences), sum(map(len, sentences)), how)
    if valid:
        held_out = read_part(valid, options, known, options)
    test_part = read_part(test, options, known, options) if test else None
    coder, rare, vectors = _vocabulary(options, sentences)
    size = vectors.shape[1] if vectors is not None else options.embedding_size or _EMBEDDING_SIZE
    facts = TagFacts(names, scheme, source, size, tuple(rare), known.sentences, known.words, how)
    logger.info(
        f"{counted(facts.sentences, 'sentence')} of {counted(facts.words, 'word')} to train on, "
        f"{counted(len(names), 'tag')} "
        f"({'plain labels' if plain else f'{source} in the files, {scheme} in the model'}); validation: {how}"
    )
    artefacts = {"vocabulary": coder.to_json(), "tags": asdict(facts), "majority": _majority(parts)}
    batches = _batches(parts, coder, facts, options.batch_size, options.seed)
    valid_batches = None if held_out is None else _batches(held_out, coder, facts, 2 * options.batch_size, None)
    named = _tagged(held_out if valid else None), _tagged(test_part)
    both = overlap("sentence", _tagged(parts), *named)
    return Prepared(kind(options, artefacts, vectors), batches, valid_batches, held_out, test_part, both)


def _tagged(parts: Sequence[Part] | None) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Each sentence with its tags."""
    return chain.from_iterable(zip(part.sentences, part.tags, strict=True) for part in parts or ())


def _vocabulary(options: TagOptions, sentences: list[tuple[str, ...]]) -> tuple[WordCoder, list[int], Tensor | None]:
    plan: dict[str, Any] = {"lowercase": options.in_lower_case, "zero_digits": options.zero_digits}
    plan |= {"characters": options.characters, "min_count": options.min_count}
    coder, rare = learn_words(sentences, **plan)
    if options.vectors is None:
        return coder, rare, None
    path = Path(options.vectors)
    raw = Counter(word for sentence in sentences for word in sentence if coder.number(word))
    vectors, size = read_vectors(path, [*coder.words, *raw], options.vector_words)
    if options.embedding_size not in (None, size):
        raise OptionError(
            f"--embedding-size: the vectors in {path} have {size} numbers, found {options.embedding_size}"
        )
    found = _of_normal_forms(coder, raw, vectors)
    if not any(word in found for word in coder.words):
        raise DataError("there is no vector of any word of the data", file=path)
    coder, rare = learn_words(sentences, found, **plan)
    first = torch.full((len(coder.words), size), torch.nan)
    for number, word in enumerate(coder.words):
        if word in found:
            first[number] = found[word]
    count = int((~first[:, 0].isnan()).sum())
    logger.info(f"{count:,} of {len(coder.words):,} words have a vector in {path.name}")
    return coder, rare, first


def _of_normal_forms(coder: WordCoder, raw: Counter[str], vectors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The vector of each normal form: its own, else that of its most frequent word, else that of the file's first."""
    own = [word for word in vectors if coder.normal(word) == word]
    frequent = sorted(raw, key=lambda word: (-raw[word], word))
    found: dict[str, Tensor] = {}
    for word in (*own, *coder.words, *frequent, *vectors):
        vector = find_vector(vectors, word)
        if vector is not None:
            found.setdefault(coder.normal(word), vector)
    return found


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
