"""Tagged sentences become batches of word numbers, spellings and tag numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from steploom.data.bucketing import BucketedBatches, padded
from steploom.data.json_values import read_texts
from steploom.data.text.words import lower_case
from steploom.models.output_loss import IGNORED

__all__ = ["SentenceBatches", "WordCoder", "learn_words"]

UNKNOWN = "<unk>"

# A link or a line of dashes is not worth reading whole, and would make the batch as long as itself.
_LONGEST = 60


@dataclass(frozen=True)
class WordCoder:
    """Words and characters become numbers; what the lists lack becomes number 0.

    Args:
        words: the vocabulary in its normal form, the unknown word first.
        characters: the characters, the unknown one first; none where words are not spelt.
        lowercase: whether the normal form of a word is in lower case.
        zero_digits: whether the normal form has 0 for every digit.
    """

    words: tuple[str, ...]
    characters: tuple[str, ...]
    lowercase: bool
    zero_digits: bool

    def __post_init__(self) -> None:
        for name in ("words", "characters"):
            values = getattr(self, name)
            object.__setattr__(self, f"_{name}", {value: number for number, value in enumerate(values)})

    def normal(self, word: str) -> str:
        """The form in which a word stands in the vocabulary."""
        return _normal(word, self.lowercase, self.zero_digits)

    def number(self, word: str) -> int:
        """The number of a word."""
        found: int = self._words.get(self.normal(word), 0)  # type: ignore[attr-defined]
        return found

    def spelling(self, word: str) -> list[int]:
        """The numbers of a word's characters; of a long word its first and last 30."""
        known: dict[str, int] = self._characters  # type: ignore[attr-defined]
        half = _LONGEST // 2
        shown = word if len(word) <= _LONGEST else word[:half] + word[-half:]
        return [known.get(character, 0) for character in shown]

    def to_json(self) -> dict[str, Any]:
        """All that `from_json` needs."""
        return {
            "words": list(self.words),
            "characters": list(self.characters),
            "lowercase": self.lowercase,
            "zero_digits": self.zero_digits,
        }

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> WordCoder:
        """The coder that `to_json` described.

        Raises:
            KeyError, TypeError, ValueError: the description is not one.
        """
        words, characters = read_texts(saved["words"], "words"), read_texts(saved["characters"], "characters")
        for name, values in (("words", words), ("characters", characters)):
            if values[:1] != (UNKNOWN,) and (values or name == "words"):
                raise ValueError(f"'{name}' should begin with {UNKNOWN}")
            if len(set(values)) != len(values):
                raise ValueError(f"'{name}' holds one twice")
        for name in ("lowercase", "zero_digits"):
            if not isinstance(saved[name], bool):
                raise TypeError(f"'{name}' should be true or false, found {saved[name]!r:.40}")
        return cls(words, characters, saved["lowercase"], saved["zero_digits"])


def learn_words(
    sentences: Iterable[Sequence[str]],
    further: Iterable[str] = (),
    *,
    characters: bool = True,
    lowercase: bool = True,
    zero_digits: bool = True,
    min_count: int = 1,
) -> tuple[WordCoder, list[int]]:
    """The words and characters of some sentences, and the numbers of the words that stand there once.

    Args:
        sentences: those of the training.
        further: words, already in their normal form, that get a number though no sentence may hold them.
        characters: whether words are spelt.
        lowercase, zero_digits: the normal form of a word.
        min_count: a word that stands less often is unknown.
    """
    raw = Counter(word for sentence in sentences for word in sentence)
    counts: Counter[str] = Counter()
    spelt: Counter[str] = Counter()
    for word, count in raw.items():
        counts[_normal(word, lowercase, zero_digits)] += count
        for character in word:
            spelt[character] += count
    kept = sorted((word for word in counts if counts[word] >= min_count), key=lambda word: (-counts[word], word))
    kept = [word for word in kept if word != UNKNOWN]
    once = [number for number, word in enumerate(kept, 1) if counts[word] == 1]
    kept += sorted(set(further) - {UNKNOWN, *kept})
    alphabet = (UNKNOWN, *sorted(spelt)) if characters else ()
    return WordCoder((UNKNOWN, *kept), alphabet, lowercase, zero_digits), once


class SentenceBatches(BucketedBatches):
    """Sentences with their tags, in batches of about equal length.

    A batch is what `steploom.models.tagger.Tagger` takes: "words" and "lengths", "spelling", "characters" and
    "character_lengths" of its different words where words are spelt, and "target" where there are tags.

    Args:
        sentences: the words of each.
        coder: makes numbers of them.
        batch_size: sentences a batch.
        targets: the tag numbers of each, `IGNORED` for a tag that the model does not have; None: there are none.
        seed: of the order of the sentences, which is another one each epoch; None: always sorted by length.
    """

    def __init__(
        self,
        sentences: Sequence[Sequence[str]],
        coder: WordCoder,
        batch_size: int,
        targets: Sequence[Sequence[int]] | None = None,
        seed: int | None = None,
    ) -> None:
        different = {word: number for number, word in enumerate(dict.fromkeys(w for s in sentences for w in s))}
        self._sentences = [torch.tensor([different[word] for word in sentence]) for sentence in sentences]
        self._targets = None if targets is None else [torch.tensor(tags) for tags in targets]
        self._numbers = torch.tensor([coder.number(word) for word in different])
        self._spelt = bool(coder.characters)
        if self._spelt:
            spellings = [torch.tensor(coder.spelling(word)) for word in different]
            self._spelling_lengths = torch.tensor([len(spelling) for spelling in spellings])
            self._spellings = torch.nn.utils.rnn.pad_sequence(spellings, batch_first=True).int()
        self.lengths = torch.tensor([len(sentence) for sentence in sentences])
        super().__init__(self.lengths, batch_size, seed)

    def collate(self, mine: Tensor, whole: Tensor) -> dict[str, Tensor]:
        """The sentences `mine`."""
        time, lengths = int(self.lengths[whole].max()), self.lengths[mine]
        places = padded([self._sentences[i] for i in mine.tolist()], time, 0)
        here = torch.arange(time)[:, None] < lengths
        made = {"words": self._numbers[places].masked_fill(~here, 0), "lengths": lengths}
        if self._spelt:
            different, spelling = torch.unique(places[here], return_inverse=True)
            made["spelling"] = torch.zeros_like(places).masked_scatter_(here, spelling)
            made["character_lengths"] = self._spelling_lengths[different]
            longest = int(self._spelling_lengths[different].max()) if len(different) else 1
            made["characters"] = self._spellings[different, :longest].t().long()
        if self._targets is not None:
            made["target"] = padded([self._targets[i] for i in mine.tolist()], time, IGNORED)
        return made


def _normal(word: str, lowercase: bool, zero_digits: bool) -> str:
    word = lower_case(word) if lowercase else word
    return "".join("0" if character.isdigit() else character for character in word) if zero_digits else word
