"""Translations of a user's lines: of a file, of one line, or of standard input as its lines come."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steploom.data.text.parallel import read_sources
from steploom.errors import DataError, OptionError
from steploom.models.encoder_decoder import EncoderDecoder
from steploom.tasks.prediction_file import write_lines
from steploom.tasks.task import Prediction
from steploom.tasks.translate.decode import Translated, settings_of, translate_lines
from steploom.tasks.translate.text import columns_of

if TYPE_CHECKING:
    from steploom.tasks.translate.task import PredictOptions, Translate

__all__ = ["read_lines_of", "translate"]

_STDIN = "standard input"


@dataclass(frozen=True)
class _Lines:
    """Lines and their translations.

    Args:
        task: with its vocabularies.
        lines: what was read.
        found: what became of each.
        returned: translations of each line.
    """

    task: Translate
    lines: Sequence[str]
    found: Sequence[Translated]
    returned: int

    def texts(self) -> list[list[str]]:
        """The translations of each line, best first; where there are fewer, as of a blank line, blank ones behind."""
        texts = ([self.task.languages.text(h.tokens) for h in line.hypotheses] for line in self.found)
        return [(found + [""] * self.returned)[: self.returned] for found in texts]

    def whole(self) -> str:
        """A line out a line in, or as many as were asked for."""
        return "".join(f"{text}\n" for texts in self.texts() for text in texts)

    def value(self) -> list[str] | list[list[str]]:
        """For Python: a text a line, or a list of texts where several were asked for."""
        texts = self.texts()
        return [line[0] for line in texts] if self.returned == 1 else texts

    def rows(self) -> Iterator[dict[str, Any]]:
        """For a .jsonl file: an object a line."""
        languages = self.task.languages
        for line, found in zip(self.lines, self.found, strict=True):
            made = []
            for hypothesis in found.hypotheses:
                one: dict[str, Any] = {
                    "text": languages.text(hypothesis.tokens),
                    "score": hypothesis.score,
                    "log_prob": hypothesis.log_prob,
                    "ended": hypothesis.ended,
                }
                if hypothesis.attention is not None:
                    tokens = [*hypothesis.tokens, *([languages.end] if hypothesis.ended else [])]
                    one["tokens"] = languages.target_pieces(tokens)
                    one["attention"] = [[round(weight, 4) for weight in step] for step in hypothesis.attention.tolist()]
                made.append(one)
            row: dict[str, Any] = {"source": line}
            if any("attention" in one for one in made):
                row["tokens"] = languages.source_pieces(line, found.source)
            yield {**row, "translations": made}


def translate(task: Translate, network: EncoderDecoder, data: Path | None, options: PredictOptions) -> Prediction:
    """A line out a line in, in order; a blank line in gives a blank line out.

    The value is a list of texts, or of lists of texts where `num_return_sequences` is more than 1. Written to a .jsonl
    file, each line is an object with its translations, their scores and, with `attention`, where each token looked.

    Raises:
        DataError: the file cannot be read.
        OptionError: two options contradict each other.
    """
    settings = settings_of(task, options)
    if options.attention and task.options.attention == "none":
        raise OptionError("--attention: this model was trained with --attention none. Leave it out")
    if data is not None and options.text is not None:
        raise OptionError(f"--text: the lines come from {data} already. Give one or the other")

    def made(lines: Sequence[str], where: str, said: set[str] | None = None) -> _Lines:
        found = translate_lines(task, network, lines, settings, options.batch_size, where, said)
        return _Lines(task, lines, found, settings.num_return_sequences)

    if data is None and options.text is None:
        return _from_stdin(made)
    if data is not None:
        lines, where = read_lines_of(task, data), str(data)
    else:
        lines, where = (options.text or "").split("\n"), "--text"
    all_lines = made(lines, where)
    return Prediction(all_lines.whole(), lambda path: _write([all_lines], path), all_lines.value())


def read_lines_of(task: Translate, path: Path) -> list[str]:
    """The source lines of a file; of a model of a table, the source column of a .tsv or .csv file."""
    return read_sources(path, columns_of(task.options, task.artefacts["pairs"]))


def _write(parts: Iterable[_Lines], path: Path) -> None:
    write_lines(path, (part.whole() for part in parts), (row for part in parts for row in part.rows()))


def _from_stdin(made: Callable[[Sequence[str], str, set[str] | None], _Lines]) -> Prediction:
    """Each line is translated as it comes, and nothing is read before the result is asked for."""
    said: set[str] = set()
    parts = (made([line], _STDIN, said) for line in _stdin_lines())
    shown = iter(parts)
    texts = (text for part in shown for text in part.value())
    return Prediction("", lambda path: _write(shown, path), texts, (part.whole() for part in shown))


def _stdin_lines() -> Iterator[str]:
    row = 0
    while True:
        if sys.stdin.isatty():
            print("> ", end="", file=sys.stderr, flush=True)  # noqa: T201 the prompt
        raw = sys.stdin.buffer.readline()
        if not raw:
            break
        row += 1
        try:
            yield raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise DataError(f"byte 0x{error.object[error.start]:02x} is not UTF-8", file=_STDIN, row=row) from None
    if not row:
        raise DataError("there was no line to translate", file=_STDIN, hint="Give a file, --text, or lines to read")
