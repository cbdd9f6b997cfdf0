"""Sentences in columns: a word a line with its tags, a blank line between two sentences (the CoNLL formats)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steploom.data.counted import counted
from steploom.data.text.files import read_text
from steploom.errors import DataError, OptionError

__all__ = ["ConllFile", "Sentence", "parse_columns", "parse_sentences", "read_columns"]

_DOCUMENT = "-DOCSTART-"
_CONLL_U_COLUMNS = 10
# Not what Python calls white space: a word may hold a space that must not break.
_SPACES = re.compile(r"[ \t]+")
# A word that is two (French "du"), or one that is not written: they stand between the words and are none.
_NO_WORD = re.compile(r"\d+[-.]\d+")


@dataclass(frozen=True)
class Sentence:
    """The words of a sentence.

    Args:
        words: what is tagged.
        rows: the line of each word in the file, counted from 1.
        cells: all columns of each word.
    """

    words: tuple[str, ...]
    rows: tuple[int, ...]
    cells: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ConllFile:
    """A file of columns.

    Args:
        path: where it was read from; None for a text that was typed.
        lines: all its lines, those between the sentences too.
        sentences: in the file's order.
        columns: how many each word has.
        separator: what stands between two columns.
        documents: the rows of the lines that open a document and have all columns.
    """

    path: Path | None
    lines: tuple[str, ...]
    sentences: tuple[Sentence, ...]
    columns: int
    separator: str
    documents: tuple[int, ...] = ()

    def column(self, number: int, name: str) -> list[tuple[str, ...]]:
        """The cells of a column of each sentence.

        Args:
            number: of the column, counted from 1.
            name: the option that asked for it, for the message.

        Raises:
            OptionError: there is no such column.
        """
        self.check_column(number, name)
        return [tuple(cells[number - 1] for cells in sentence.cells) for sentence in self.sentences]

    def check_column(self, number: int, name: str) -> None:
        """Raises an OptionError where there is no column `number`, asked for by the option `name`."""
        if not 1 <= number <= self.columns:
            columns = f"the columns 1 to {self.columns}" if self.columns > 1 else "one column"
            raise OptionError(f"{name}: {self.path} has {columns}, found {number}")

    def with_column(self, tags: Sequence[Sequence[str]], between: str) -> str:
        """The text of the file with one more column behind the others.

        Args:
            tags: the new cells of each sentence.
            between: the new cell of a line that opens a document.
        """
        lines = list(self.lines)
        for sentence, cells in zip(self.sentences, tags, strict=True):
            for row, cell in zip(sentence.rows, cells, strict=True):
                lines[row - 1] = self._extended(row, cell)
        for row in self.documents:
            lines[row - 1] = self._extended(row, between)
        return "\n".join(lines) + "\n"

    def _extended(self, row: int, cell: str) -> str:
        line = self.lines[row - 1]
        # An empty last cell is a cell.
        return f"{line if self.separator != ' ' else line.rstrip()}{self.separator}{cell}"


def read_columns(path: Path, word_column: int = 1) -> ConllFile:
    """The sentences of a file, UTF-8, gzipped or not; see `parse_columns`.

    Raises:
        DataError: the file cannot be read or a row has another number of columns than the first.
        OptionError: there is no such column.
    """
    return parse_columns(read_text(path), word_column, path)


def parse_columns(text: str, word_column: int = 1, path: Path | None = None) -> ConllFile:
    """The sentences of a text in columns.

    Columns are separated by tabs where every line has some, and may then hold spaces; else by white space. Lines that
    begin with -DOCSTART- open a document. In a text with tabs, a line without one that begins with # is a comment, and
    of CoNLL-U's ten columns the ranges (1-2) and empty nodes (1.1) are no words; words may have more columns than they,
    as `with_column` writes them.

    Args:
        text: with line ends as a newline.
        word_column: the column of the words, counted from 1.
        path: the file, for messages.

    Raises:
        DataError: a row has another number of columns than the first, or no line holds a word.
        OptionError: there is no such column.
    """
    lines = text.removesuffix("\n").split("\n")
    held = [line for line in lines if line.strip() and not line.startswith(_DOCUMENT)]
    tabs = all("\t" in line for line in held if not line.startswith("#")) and any("\t" in line for line in held)
    columns, first_row = 0, 0
    sentences: list[Sentence] = []
    words: list[tuple[int, tuple[str, ...]]] = []
    documents: list[tuple[int, int]] = []

    def end() -> None:
        if words:
            cells = tuple(cells for _, cells in words)
            rows = tuple(row for row, _ in words)
            sentences.append(Sentence(tuple(cell[word_column - 1] for cell in cells), rows, cells))
            words.clear()

    for row, line in enumerate(lines, 1):
        cells = tuple(cell.strip() for cell in line.split("\t")) if tabs else tuple(_SPACES.split(line.strip(" \t")))
        if not line.strip():
            end()
        elif line.startswith(_DOCUMENT):
            end()
            documents.append((row, len(cells)))
        elif not (tabs and line.startswith("#") and "\t" not in line):
            if len(cells) >= _CONLL_U_COLUMNS and word_column > 1 and _NO_WORD.fullmatch(cells[0]):
                continue
            if not columns:
                columns, first_row = len(cells), row
                ConllFile(path, (), (), columns, "").check_column(word_column, "--word-column")
            if len(cells) != columns:
                raise DataError(
                    f"expected {counted(columns, 'column')} as in row {first_row}, found {len(cells)}",
                    file=path,
                    row=row,
                    hint="A blank line ends a sentence; every other line is a word with all its columns",
                )
            if not cells[word_column - 1]:
                raise DataError(f"the word in column {word_column} is empty", file=path, row=row)
            words.append((row, cells))
    end()
    if not sentences:
        raise DataError("there is no word in this file", file=path, hint="Expected a word a line, with its tags behind")
    whole = tuple(row for row, count in documents if count == columns)
    return ConllFile(path, tuple(lines), tuple(sentences), columns, "\t" if tabs else " ", whole)


def parse_sentences(lines: Sequence[str]) -> ConllFile:
    """Plain sentences, one a line, their words between spaces; a word each line of the result."""
    texts = [line.split() for line in lines]
    return parse_columns("\n\n".join("\n".join(words) for words in texts if words) + "\n")
