"""What the task `translate` makes of pairs of lines: two vocabularies, tokens, batches."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from steploom.data.counted import counted
from steploom.data.json_values import read_text, read_texts
from steploom.data.set_aside import every_nth, every_nth_shown
from steploom.data.text.learn_vocabulary import learn_vocabulary
from steploom.data.text.parallel import Pairs, read_pairs
from steploom.data.text.parallel_batches import ParallelBatches
from steploom.data.text.parallel_columns import PairColumns, find_pair_columns
from steploom.data.text.vocabulary import Vocabulary, load_vocabulary
from steploom.data.text.words import lower_case
from steploom.errors import DataError
from steploom.tasks.overlap import overlap
from steploom.tasks.task import Prepared

if TYPE_CHECKING:
    from steploom.tasks.translate.task import Translate, TranslateOptions

__all__ = ["Languages", "check_counts", "columns_of", "prepare_pairs"]

logger = logging.getLogger("steploom")

T = TypeVar("T", bound="Translate")

_EXAMPLES = 20
_NOUNS = {"characters": "characters", "words": "words", "bpe": "byte pairs"}


@dataclass(frozen=True)
class Languages:
    """The two vocabularies, and how a line becomes the tokens of each and back.

    Args:
        source, target: the vocabularies, one and the same where they are shared.
        lower_case: whether lines are read in lower case.
    """

    source: Vocabulary
    target: Vocabulary
    lower_case: bool

    @classmethod
    def load(cls, artefacts: dict[str, Any], lower_case: bool) -> Languages:
        """The languages of a model's artefacts."""
        if "vocabulary" in artefacts:
            shared = load_vocabulary(artefacts["vocabulary"], lines=True)
            return cls(shared, shared, lower_case)
        source, target = (load_vocabulary(artefacts[f"{side}_vocabulary"], lines=True) for side in ("source", "target"))
        return cls(source, target, lower_case)

    @property
    def begin(self) -> int:
        """The mark before a target."""
        return self.target.ends[0]

    @property
    def end(self) -> int:
        """The mark behind a target."""
        return self.target.ends[1]

    def read(self, line: str) -> str:
        """A line as it is read: without blanks around it, in lower case where the training was."""
        line = line.strip()
        return lower_case(line) if self.lower_case else line

    def source_tokens(self, line: str, most: int | None = None) -> list[int]:
        """The numbers of a source line, or of its first `most` tokens, and the end mark."""
        return [*self.source.encode(_spaced(self.source, self.read(line)))[:most], self.source.ends[1]]

    def target_tokens(self, line: str) -> list[int]:
        """The numbers of a target line, without marks."""
        return self.target.encode(_spaced(self.target, self.read(line)))

    def text(self, tokens: Sequence[int]) -> str:
        """The line of target tokens."""
        return " ".join(self.target.decode(tokens).splitlines()).strip()

    def source_pieces(self, line: str, tokens: Sequence[int]) -> list[str]:
        """Each source token of a line as a person reads it; a word that is unknown stays what it is."""
        found = self._pieces(self.source, tokens)
        unit = self.source.unit
        if unit != "bpe":
            own = self.read(line).split() if unit == "words" else list(self.read(line))
            found[:-1] = [_visible(piece) for piece in own[: len(tokens) - 1]]
        return found

    def target_pieces(self, tokens: Sequence[int]) -> list[str]:
        """Each target token as a person reads it."""
        return self._pieces(self.target, tokens)

    def _pieces(self, vocabulary: Vocabulary, tokens: Sequence[int]) -> list[str]:
        return [
            vocabulary.tokens[token]
            if token in (vocabulary.begin, vocabulary.end)
            else _visible(vocabulary.decode([token]))
            for token in tokens
        ]


def check_counts(pairs: dict[str, Any]) -> None:
    """Raises an error where `pairs` is not what `prepare_pairs` wrote about the training part."""
    for name in ("count", "left_out", "source_tokens", "target_tokens"):
        if not isinstance(pairs[name], int) or isinstance(pairs[name], bool) or pairs[name] < 0:
            raise TypeError(f"'{name}' should be a whole number, found {pairs[name]!r:.40}")
    if not pairs["source_tokens"] or not pairs["target_tokens"]:
        raise ValueError("there are no tokens")
    read_texts(pairs["examples"], "examples")
    read_text(pairs["validation"], "validation")
    if not isinstance(pairs["table"], bool):
        raise TypeError(f"'table' should be true or false, found {pairs['table']!r:.40}")
    if pairs.get("columns") is not None:
        PairColumns.from_json(pairs["columns"])


def columns_of(options: TranslateOptions, pairs: dict[str, Any]) -> PairColumns | None:
    """The columns of a model's tables, from its artefact "pairs"; None where it was trained on two parallel files."""
    if not pairs["table"]:
        return None
    if pairs.get("columns") is not None:
        return PairColumns.from_json(pairs["columns"])
    return PairColumns(options.source_column or "1", options.target_column or "2")


def prepare_pairs(
    kind: type[T], options: TranslateOptions, train: Sequence[Path], valid: Sequence[Path], test: Sequence[Path]
) -> Prepared[T]:
    """Reads all files, sets validation pairs aside, learns the vocabularies, makes the batches of a task `kind`.

    Raises:
        DataError: a file cannot be used, or no pair is left to train on.
        OptionError: an option does not fit the data.
    """
    said = {"--source-column": options.source_column, "--target-column": options.target_column}
    given = [name for name, column in said.items() if column is not None]
    columns = find_pair_columns(train[0], *said.values()) if len(train) == 1 else None
    part, held_out, how = read_pairs(train, columns, "the training data", given), None, ""
    if columns is not None:
        logger.info(columns.shown + ("" if columns.header or given else "; the first row is a pair, and no header"))
    if valid:
        held_out = read_pairs(valid, columns, "--valid", given)
        how = f"{' and '.join(f'the file {path.name}' for path in valid)}, {counted(len(held_out), 'pair')}"
    else:
        kept, aside = every_nth(len(part), options.valid_every)
        how = every_nth_shown(len(part), options.valid_every, "pair")
        part, held_out = part.chosen(kept), part.chosen(aside) if aside else None
    test_pairs = read_pairs(test, columns, "--test", given) if test else None
    artefacts = _learn(part, options)
    languages = Languages.load(artefacts, options.lower_case)
    sources, targets = _encoded(part, languages)
    fits = [
        i
        for i, (source, target) in enumerate(zip(sources, targets, strict=True))
        if max(len(source) - 1, len(target)) <= options.max_length
    ]
    if not fits:
        raise DataError(
            f"every pair has more than {options.max_length} {_NOUNS[options.unit]} on a side",
            file=train[0],
            hint="Raise --max-length",
        )
    if len(fits) < len(part):
        logger.info(
            f"left out of the training: {len(part) - len(fits):,} of {counted(len(part), 'pair')} with more than "
            f"{options.max_length} {_NOUNS[options.unit]} on a side (--max-length)"
        )
    sources, targets = [sources[i] for i in fits], [targets[i] for i in fits]
    artefacts["pairs"] = {
        "count": len(fits),
        "left_out": len(part) - len(fits),
        "source_tokens": sum(len(tokens) for tokens in sources),
        "target_tokens": sum(len(tokens) + 1 for tokens in targets),
        "table": columns is not None,
        "columns": None if columns is None else columns.to_json(),
        # What a picture can be drawn of without a file.
        "examples": list((held_out or part).source[:_EXAMPLES]),
        "validation": how,
    }
    sizes = f"{len(languages.source):,} and {len(languages.target):,}"
    logger.info(
        f"{counted(len(fits), 'pair')} to train on, vocabularies of "
        f"{f'{len(languages.source):,} shared' if options.shared_vocabulary else sizes} {_NOUNS[options.unit]}; "
        f"validation: {artefacts['pairs']['validation']}"
    )
    marks = languages.begin, languages.end
    batches = ParallelBatches(sources, targets, *marks, options.batch_size, options.seed)
    valid_batches = None
    if held_out is not None:
        read = [languages.source_tokens(line, options.max_length) for line in held_out.source]
        written = [languages.target_tokens(line) for line in held_out.target]
        valid_batches = ParallelBatches(read, written, *marks, options.batch_size)
    both = overlap(
        "pair", part.both, held_out.both if valid and held_out else (), test_pairs.both if test_pairs else ()
    )
    return Prepared(kind(options, artefacts), batches, valid_batches, held_out, test_pairs, both)


def _learn(part: Pairs, options: TranslateOptions) -> dict[str, Any]:
    def learnt(lines: Sequence[str]) -> dict[str, Any]:
        read = [lower_case(line.strip()) if options.lower_case else line.strip() for line in lines]
        if options.unit == "bpe":
            read = [f" {line}" for line in read]
        size, least = options.vocabulary_size, options.min_count
        return learn_vocabulary(read, options.unit, lines=True, size=size, min_count=least).to_json()

    if options.shared_vocabulary:
        return {"vocabulary": learnt([*part.source, *part.target])}
    return {"source_vocabulary": learnt(part.source), "target_vocabulary": learnt(part.target)}


def _encoded(part: Pairs, languages: Languages) -> tuple[list[list[int]], list[list[int]]]:
    return [languages.source_tokens(s) for s in part.source], [languages.target_tokens(t) for t in part.target]


def _visible(piece: str) -> str:
    return " ".join(piece.split()) or "␣"


def _spaced(vocabulary: Vocabulary, line: str) -> str:
    # A word at the beginning of a line is then the same token as elsewhere.
    return f" {line}" if vocabulary.unit == "bpe" else line
