"""Text becomes token numbers and back: characters, words, or byte-pair encoding; saved as JSON."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

from steploom.data.json_values import read_texts
from steploom.errors import ModelDirectoryError

__all__ = [
    "BEGIN",
    "END",
    "UNKNOWN",
    "BPEVocabulary",
    "CharacterVocabulary",
    "Vocabulary",
    "WordVocabulary",
    "load_vocabulary",
]

UNKNOWN, BEGIN, END = "<unk>", "<bos>", "<eos>"


class Vocabulary(ABC):
    """A list of tokens and the rule that cuts a text into them. The number of a token is its place in the list.

    Attributes:
        unit: "characters", "words" or "bpe".
        unknown: number of the token for what the list lacks; None where nothing can be lacking.
        begin, end: numbers of the tokens at the two ends of a line, or None where lines are not kept apart.
    """

    unit: ClassVar[str]

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = tuple(tokens)
        self.numbers = {token: number for number, token in enumerate(self.tokens)}
        self.unknown = self.numbers.get(UNKNOWN)
        self.begin = self.numbers.get(BEGIN)
        self.end = self.numbers.get(END)

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def start(self) -> int:
        """The token that a running text is taken to follow: its first token is predicted from this one."""
        return next(n for n in (self.begin, self.end, self.numbers.get("\n"), self.unknown, 0) if n is not None)

    @property
    def ends(self) -> tuple[int, int]:
        """The tokens before and behind a line.

        Raises:
            ModelDirectoryError: there are none, since lines are not kept apart.
        """
        if self.begin is None or self.end is None:
            raise ModelDirectoryError("the vocabulary has no tokens for the two ends of a line")
        return self.begin, self.end

    @property
    def marks(self) -> tuple[int, ...]:
        """Tokens that stand for nothing in a text and must not be generated: unknown and beginning."""
        return tuple(number for number in (self.unknown, self.begin) if number is not None)

    @property
    def line_ends(self) -> tuple[int, ...]:
        """Tokens that no line has, since its end would stand within it; the mark <eos> is none."""
        return ()

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The numbers of the tokens of `text`; what the list lacks becomes `unknown`."""

    @abstractmethod
    def decode(self, numbers: Sequence[int]) -> str:
        """The text of token numbers."""

    def count_unknown(self, text: str) -> int:
        """How many tokens of `text` the list lacks. A literal <unk> in the text is a word that the list has."""
        return 0

    def to_json(self) -> dict[str, Any]:
        """All that `load_vocabulary` needs."""
        return {"unit": self.unit, "tokens": list(self.tokens)}


class CharacterVocabulary(Vocabulary):
    """Each Unicode code point is a token."""

    unit = "characters"

    def encode(self, text: str) -> list[int]:
        """The numbers of the code points."""
        unknown = self.numbers[UNKNOWN]
        return [self.numbers.get(character, unknown) for character in text]

    def decode(self, numbers: Sequence[int]) -> str:
        """The code points; an unknown one becomes U+FFFD, the two ends of a line nothing."""
        marks = {self.unknown: "�", self.begin: "", self.end: ""}
        return "".join(marks[n] if n in marks else self.tokens[n] for n in numbers)

    def count_unknown(self, text: str) -> int:
        """How many code points of `text` the list lacks."""
        return sum(count for character, count in Counter(text).items() if character not in self.numbers)


class WordVocabulary(Vocabulary):
    """Words stand between spaces; each line end is the token <eos>, as in Mikolov's Penn Treebank.

    Of the marks that stand in a text itself, <unk> is the unknown word, and in a running text <eos> is a line end.
    Where lines are kept apart, <bos> and <eos> are words that the list lacks: a line has no end within it.
    """

    unit = "words"

    def __init__(self, tokens: Sequence[str]) -> None:
        super().__init__(tokens)
        ends = (BEGIN, END) if self.begin is not None else ()
        self._words = {word: number for word, number in self.numbers.items() if word not in ends}

    def encode(self, text: str) -> list[int]:
        """The numbers of the words, with <eos> for each line end."""
        unknown, end = self.numbers[UNKNOWN], self.numbers[END]
        numbers: list[int] = []
        lines = text.split("\n")
        for i, line in enumerate(lines):
            numbers += [self._words.get(word, unknown) for word in line.split()]
            if i < len(lines) - 1:
                numbers.append(end)
        return numbers

    def decode(self, numbers: Sequence[int]) -> str:
        """The words with a space between two of a line, and each <eos> as a line end."""
        text = " ".join("\n" if n == self.end else self.tokens[n] for n in numbers if n != self.begin)
        return text.replace(" \n ", "\n").replace(" \n", "\n").replace("\n ", "\n")

    def count_unknown(self, text: str) -> int:
        """How many words of `text` the list lacks."""
        return sum(count for word, count in Counter(text.split()).items() if word not in self._words)


class BPEVocabulary(Vocabulary):
    """Byte-pair encoding over bytes (Sennrich et al. 2016; Radford et al. 2019), by the library `tokenizers`.

    Every text has a code, so nothing is unknown, and nothing of a text becomes a mark. Lines are encoded one by one,
    with their ends.
    """

    unit = "bpe"

    def __init__(self, tokenizer: dict[str, Any]) -> None:
        from tokenizers import Tokenizer

        self.rules = tokenizer
        self.tokenizer = Tokenizer.from_str(json.dumps(tokenizer))
        # "<eos>" in a text is five characters. The library does not save this.
        self.tokenizer.encode_special_tokens = True
        by_number = sorted(self.tokenizer.get_vocab(with_added_tokens=True).items(), key=lambda item: item[1])
        super().__init__([token for token, _ in by_number])

    @property
    def start(self) -> int:
        """The beginning of a line where lines are kept apart, else the token of a line end."""
        return self.begin if self.begin is not None else self.numbers["Ċ"]

    @property
    def line_ends(self) -> tuple[int, ...]:
        """The tokens with the bytes of a line feed or a carriage return: all bytes are tokens, whatever is learnt."""
        return tuple(n for n, token in enumerate(self.tokens) if "Ċ" in token or "č" in token)

    def encode(self, text: str) -> list[int]:
        """The numbers of the pieces."""
        lines = text.splitlines(keepends=True)
        return [number for piece in self.tokenizer.encode_batch_fast(lines) for number in piece.ids]

    def decode(self, numbers: Sequence[int]) -> str:
        """The text of the pieces; bytes that make no character become U+FFFD."""
        return str(self.tokenizer.decode(list(numbers), skip_special_tokens=True))

    def to_json(self) -> dict[str, Any]:
        """The unit and the tokenizer's own JSON."""
        return {"unit": self.unit, "tokenizer": self.rules}


def load_vocabulary(saved: dict[str, Any], lines: bool = False) -> Vocabulary:
    """The vocabulary that `Vocabulary.to_json` described.

    Args:
        saved: the description.
        lines: whether it has to have tokens for the two ends of a line.

    Raises:
        ModelDirectoryError: the description is not one, or has no such tokens.
    """
    vocabulary = _loaded(saved)
    if lines:
        # Looked for here, so that the message can name the file.
        _ = vocabulary.ends
    return vocabulary


def _loaded(saved: dict[str, Any]) -> Vocabulary:
    try:
        if saved["unit"] == "bpe":
            return _load_bpe(saved["tokenizer"])
        kinds = {"characters": CharacterVocabulary, "words": WordVocabulary}
        tokens = read_texts(saved["tokens"], "tokens")
        for mark in (UNKNOWN, *([END] if saved["unit"] == "words" else [])):
            if mark not in tokens:
                raise KeyError(mark)
        return kinds[saved["unit"]](tokens)
    except (KeyError, TypeError) as error:
        raise ModelDirectoryError(f"no vocabulary: {error} is missing or wrong") from None


def _load_bpe(rules: dict[str, Any]) -> BPEVocabulary:
    try:
        return BPEVocabulary(rules)
    except Exception as error:
        # The library `tokenizers` has no exception of its own.
        raise ModelDirectoryError(f"no vocabulary: {error}") from error
