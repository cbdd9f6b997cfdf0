"""Tags for a user's file, a sentence, or standard input."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steploom.data.counted import counted
from steploom.data.labelled.conll import ConllFile, parse_columns, parse_sentences
from steploom.data.labelled.tag_schemes import spans_of
from steploom.data.text.files import read_text
from steploom.data.text.standard_input import STANDARD_INPUT, read_standard_input
from steploom.errors import DataError, OptionError
from steploom.models.tagger import Tagger
from steploom.tasks.prediction_file import write_lines
from steploom.tasks.tag.scores import tag_sentences
from steploom.tasks.task import Prediction

if TYPE_CHECKING:
    from steploom.tasks.tag.task import PredictOptions, Tag

__all__ = ["predict_tags", "read_words"]

logger = logging.getLogger("steploom")

_PLAIN = "For plain sentences, one a line, give --lines"


def predict_tags(task: Tag, network: Tagger, data: Path | None, options: PredictOptions) -> Prediction:
    """The data's columns with the tags behind them, blank lines and all; of plain sentences a word and its tag a line.

    Tags are written in the scheme of the training files. The value is a list of sentences, each a list of pairs of word
    and tag. Written to a .jsonl file, a line is a sentence with "words", "tags" and, where tags write spans, "spans".

    Raises:
        DataError: the data cannot be read.
        OptionError: two options contradict each other.
    """
    file = read_words(task, data, options)
    facts = task.tags
    sentences = [sentence.words for sentence in file.sentences]
    found = tag_sentences(task, network, sentences)
    tags = [facts.converted(of_sentence, facts.source) for of_sentence in found]
    text = file.with_column(tags, "-X-" if facts.source == "labels" else "O")

    def rows() -> Iterator[dict[str, Any]]:
        for words, given in zip(sentences, tags, strict=True):
            row: dict[str, Any] = {"words": list(words), "tags": given}
            if facts.source != "labels":
                row["spans"] = [
                    {"start": span.start, "stop": span.stop, "type": span.type, "words": words[span.start : span.stop]}
                    for span in spans_of(given)
                ]
            yield row

    value = [list(zip(words, given, strict=True)) for words, given in zip(sentences, tags, strict=True)]
    return Prediction(text, lambda path: write_lines(path, [text], rows()), value)


def read_words(task: Tag, data: Path | None, options: PredictOptions) -> ConllFile:
    """The sentences to be tagged: of a file, of `options.text`, or of standard input."""
    if options.text is not None:
        if data is not None:
            raise OptionError(f"--text: the sentences come from {data} already. Give one or the other")
        if not options.text.strip():
            raise OptionError("--text: expected a sentence, found no word")
        return parse_sentences(options.text.splitlines())
    path = data or STANDARD_INPUT
    text = read_text(data) if data is not None else read_standard_input("name a file, or give --text 'A sentence .'")
    if options.lines:
        return parse_sentences(text.split("\n"))
    column = task.options.word_column
    alone = all(len(line.split()) == 1 for line in text.split("\n") if line.strip())
    try:
        file = parse_columns(text, 1 if alone else column, path)
    except DataError as error:
        if " as in row " not in str(error):
            raise
        raise DataError(f"{error}. {_PLAIN}") from None
    if file.columns > 1 and file.separator == " ":
        # Lines of equally many words look like columns, and all words but one of each would be left without a tag.
        words = counted(sum(len(sentence.words) for sentence in file.sentences), "word")
        read = f"{words} in {counted(len(file.sentences), 'sentence')}"
        logger.info(f"{path}: {read}, read from column {column} of {file.columns}, a word a line. {_PLAIN}")
    return file
