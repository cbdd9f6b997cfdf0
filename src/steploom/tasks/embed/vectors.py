"""Vectors of sentences, and what they are for: the nearest sentences of a corpus, the similarity of pairs."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from steploom.data.counted import counted
from steploom.data.text.files import read_text
from steploom.data.text.neighbours import sentence_columns
from steploom.data.text.sentence_pairs import SentenceColumns, read_sentence_pairs
from steploom.data.text.sentence_text import NORMALISERS
from steploom.data.text.standard_input import STANDARD_INPUT, read_standard_input
from steploom.data.text.table import say_whole_lines
from steploom.errors import OptionError
from steploom.models.skip_thought import SkipThought
from steploom.tasks.prediction_file import write_lines
from steploom.tasks.task import Prediction

if TYPE_CHECKING:
    from steploom.tasks.embed.task import Embed, PredictOptions

__all__ = [
    "bags_of",
    "cosine",
    "predict_nearest",
    "predict_similarity",
    "predict_vectors",
    "read_sentences",
    "table_of",
    "titles",
    "unknown_share",
    "vectors_of",
]

logger = logging.getLogger("steploom")

# Words of a batch, padding included: what the outputs of all its steps need stays below some hundred megabytes.
_WORDS = 1 << 14
_DIGITS = 6
# Beside a column of the user's that has the short one.
_LONG_TITLES = {"cosine": "cosine of the vectors", "predicted": "predicted by the regression"}


def read_sentences(path: Path) -> list[str]:
    """The lines of a file as they stand there, blank ones included, so that rows and lines correspond.

    Raises:
        DataError: the file cannot be read, or every line is blank.
    """
    say_whole_lines(path, "; --pairs reads a table of pairs")
    return read_text(path).removesuffix("\n").split("\n")


@torch.no_grad()
def vectors_of(task: Embed, network: SkipThought, sentences: Sequence[str]) -> Tensor:
    """The vectors (sentences, size) of sentences as they stand in a file; one without words is that of <eos>."""
    device, (_, end) = network.device, task.vocabulary.ends
    made = torch.empty(len(sentences), network.vector_size)
    for chosen, tokens in _batches(_encoded(task, sentences)):
        batch, lengths = sentence_columns(tokens, end)
        made[chosen] = network.vectors(batch.to(device), lengths.to(device)).float().cpu()
    return made


@torch.no_grad()
def bags_of(task: Embed, network: SkipThought, sentences: Sequence[str]) -> Tensor:
    """The mean of each sentence's word vectors (sentences, embedding size), the network's own; 0 without words."""
    weight = network.embedding.weight.detach().float().cpu()
    nothing = weight.new_zeros(weight.shape[1])
    return torch.stack([weight[tokens].mean(0) if tokens else nothing for tokens in _encoded(task, sentences)])


def unknown_share(task: Embed, sentences: Sequence[str]) -> float:
    """The share of the sentences' words that the vocabulary lacks."""
    normalised = [NORMALISERS[task.options.normalise](sentence) for sentence in sentences]
    unknown = sum(task.vocabulary.count_unknown(sentence) for sentence in normalised)
    return unknown / max(1, sum(len(sentence.split()) for sentence in normalised))


def cosine(first: Tensor, second: Tensor) -> Tensor:
    """The cosine (pairs,) of the angle between vectors (pairs, size); 0 beside a vector of length 0."""
    return torch.nn.functional.cosine_similarity(first.double(), second.double(), dim=-1)


def predict_vectors(task: Embed, network: SkipThought, data: Path | None, options: PredictOptions) -> Prediction:
    """A vector for each line of a file or of standard input, or of the one sentence of the options.

    The value is a float32 array (lines, size), and so is a .npy file; .jsonl and .csv hold the sentence too, other
    files the numbers alone, tabs between them.

    Raises:
        DataError: the file or standard input cannot be read.
        OptionError: there is neither a file nor a sentence nor standard input, or two of them.
    """
    sentences = _sentences(data, options)
    vectors = vectors_of(task, network, sentences).numpy()
    _say_unknown(task, sentences)

    def write(path: Path) -> None:
        kind = path.suffix.lower()
        if kind == ".npy":
            with path.open("wb") as file:
                np.save(file, vectors, allow_pickle=False)
            return
        rows = ((s, [_rounded(x) for x in v]) for s, v in zip(sentences, vectors, strict=True))
        text = _numbers(vectors)
        if kind == ".csv":
            head = ["sentence", *(f"v{number}" for number in range(vectors.shape[1]))]
            text = _csv([head, *([sentence, *vector] for sentence, vector in rows)])
        write_lines(path, text, ({"sentence": sentence, "vector": vector} for sentence, vector in rows))

    return Prediction("".join(_numbers(vectors)), write, vectors)


def predict_nearest(task: Embed, network: SkipThought, data: Path | None, options: PredictOptions) -> Prediction:
    """For each line of a file the nearest lines of a corpus by the cosine of their vectors.

    The value is a list of dicts: sentence, rank (from 1), neighbour, line (of the corpus, from 1), cosine. Written to a
    .jsonl file they are its lines; else a table with these columns, commas in a .csv file and tabs in others.
    """
    sentences = _sentences(data, options)
    corpus = read_sentences(options.corpus or Path())
    kept = [number for number, line in enumerate(corpus) if line.strip()]
    _say_unknown(task, sentences)
    asked = torch.nn.functional.normalize(vectors_of(task, network, sentences))
    known = torch.nn.functional.normalize(vectors_of(task, network, [corpus[number] for number in kept]))
    rows = []
    for part, vector in zip(sentences, asked, strict=True):
        found = torch.topk(known @ vector, min(options.nearest, len(kept)))
        for rank, (value, place) in enumerate(zip(found.values.tolist(), found.indices.tolist(), strict=True), start=1):
            line = kept[place]
            row = {"sentence": part, "rank": rank, "neighbour": corpus[line], "line": line + 1}
            rows.append(row | {"cosine": round(value, _DIGITS)})
    return table_of(rows)


def predict_similarity(task: Embed, network: SkipThought, data: Path | None, options: PredictOptions) -> Prediction:
    """The cosine of the two sentences of each row of a table.

    The value is a list of dicts: the two columns by the names that the options give them, and cosine.

    Raises:
        OptionError: there is no file.
    """
    if data is None:
        raise OptionError("--pairs: which pairs? Give a table with two sentences a row")
    pairs = read_sentence_pairs(data, SentenceColumns(options.first, options.second))
    _say_unknown(task, [*pairs.first, *pairs.second])
    both = [vectors_of(task, network, side) for side in (pairs.first, pairs.second)]
    names = titles((options.first, options.second), ["cosine"])
    values = (round(value, _DIGITS) for value in cosine(*both).tolist())
    rows = zip(pairs.first, pairs.second, values, strict=True)
    return table_of([dict(zip(names, row, strict=True)) for row in rows])


def titles(columns: Sequence[str], found: Iterable[str]) -> list[str]:
    """The names of the columns of a table that is written.

    Args:
        columns: those of the user's table, by name or by number.
        found: what stands beside them, "cosine" and "predicted".
    """
    own = [f"column {name}" if name.isdecimal() else name for name in columns]
    return own + [_LONG_TITLES[name] if name in own else name for name in found]


def _sentences(data: Path | None, options: PredictOptions) -> list[str]:
    if data is not None and options.sentence is not None:
        raise OptionError(f"--sentence: the sentences come from {data} already. Give one or the other")
    if options.sentence is not None:
        if not options.sentence.strip():
            raise OptionError("--sentence: expected a sentence, found no word")
        return [" ".join(options.sentence.split())]
    if data is None:
        text = read_standard_input("name a file with a sentence a line, or give --sentence")
        sentences = text.removesuffix("\n").split("\n")
    else:
        sentences = read_sentences(data)
    blank = sum(not sentence.strip() for sentence in sentences)
    if blank:
        where = data or STANDARD_INPUT
        row = "it has a row" if blank == 1 else "each has a row"
        logger.info(f"{where}: {counted(blank, 'blank line')}; {row} nevertheless, the vector of no word")
    return sentences


def _say_unknown(task: Embed, sentences: Sequence[str]) -> None:
    """Says what the model cannot read: words that it does not know, and sentences in which it finds none."""
    normalise = task.options.normalise
    wordless = sum(bool(sentence.strip()) and not NORMALISERS[normalise](sentence) for sentence in sentences)
    if wordless:
        have = "which has" if wordless == 1 else "which all have"
        logger.info(
            f"no word for --normalise {normalise}: {counted(wordless, 'sentence')}, {have} the vector of no word"
        )
    share = unknown_share(task, sentences)
    if share:
        logger.info(f"unknown to the model, which reads <unk> instead: {share:.1%} of the words")


def _encoded(task: Embed, sentences: Sequence[str]) -> list[list[int]]:
    normalise = NORMALISERS[task.options.normalise]
    return [task.vocabulary.encode(normalise(sentence)) for sentence in sentences]


def _batches(tokens: Sequence[list[int]]) -> Iterator[tuple[list[int], list[list[int]]]]:
    """Sentences of about one length together: their places, and their tokens."""
    order = sorted(range(len(tokens)), key=lambda place: len(tokens[place]))
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and (stop + 1 - start) * len(tokens[order[stop]]) <= _WORDS:
            stop += 1
        yield order[start:stop], [tokens[place] for place in order[start:stop]]
        start = stop


def table_of(rows: list[dict[str, Any]]) -> Prediction:
    """Rows with the same keys as a table: commas in a .csv file, an object a line in a .jsonl file, else tabs."""
    names = list(rows[0])
    text = [[str(row[name]) for name in names] for row in rows]
    # A tab within a sentence would make a cell of its own.
    tabs = ["\t".join(cell.replace("\t", " ") for cell in cells) + "\n" for cells in [names, *text]]

    def write(path: Path) -> None:
        write_lines(path, _csv([names, *text]) if path.suffix.lower() == ".csv" else tabs, rows)

    return Prediction("".join(tabs), write, rows)


def _csv(rows: Sequence[Sequence[Any]]) -> Iterable[str]:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return [text.getvalue()]


def _numbers(vectors: np.ndarray[Any, Any]) -> Iterable[str]:
    return ("\t".join(str(_rounded(value)) for value in vector) + "\n" for vector in vectors)


def _rounded(value: Any) -> float:
    return float(f"{value:.{_DIGITS}g}")
