"""Sentences with their spans in colour, and the transitions of the CRF."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from steploom.errors import OptionError
from steploom.models.tagger import Tagger
from steploom.tasks.picture import fonts_for, new_figure, write_picture
from steploom.tasks.tag.marks import marked_spans, matching_gold
from steploom.tasks.tag.prediction import read_words
from steploom.tasks.tag.scores import tag_sentences

if TYPE_CHECKING:
    from steploom.tasks.tag.task import Tag

__all__ = ["plot_tags"]

_WIDTH, _ROWS = 96, 22
_RED = "#d62728"
# A word that is drawn: its column, the word, the type of its span ("" of one that was missed, None without), the mark
# of the span as `marked_spans` has it, whether the word is the last one of it.
_Word: TypeAlias = tuple[int, str, str | None, str, bool]
_PALETTE = ("#9ecae1", "#fdae6b", "#a1d99b", "#bcbddc", "#fc9fb5", "#ffe08a", "#c7b299", "#8fd9d1")


def plot_tags(task: Tag, network: Tagger, data: Path | None, path: Path) -> None:
    """Draws the beginning of a file with its spans, or labels, in colour; without one, the transitions of the CRF.

    Where the file holds tags that the model knows, what it missed or got wrong is underlined in red; dashed where the
    file has a tag there that the training lacked.

    Raises:
        OptionError: there is neither a file nor a CRF.
    """
    if data is None:
        if network.crf is None:
            raise OptionError("expected DATA: without a CRF there is nothing to draw but tagged sentences. Name a file")
        _draw_transitions(task, network, path)
        return
    from steploom.tasks.tag.task import PredictOptions

    file = read_words(task, data, PredictOptions())
    words = [sentence.words for sentence in file.sentences][: 2 * _ROWS]
    tags = [task.tags.converted(found, "iob2") for found in tag_sentences(task, network, words)]
    _draw_sentences(task, words, tags, matching_gold(task, file), path, data.name)


def _draw_sentences(
    task: Tag,
    sentences: Sequence[Sequence[str]],
    tags: Sequence[Sequence[str]],
    gold: Sequence[Sequence[str]] | None,
    path: Path,
    title: str,
) -> None:
    facts = task.tags
    kinds = sorted(kind for kind in facts.known if kind)
    colours = {kind: _PALETTE[number % len(_PALETTE)] for number, kind in enumerate(kinds)} | {"": "#ffffff"}
    rows: list[list[_Word]] = []
    for number, words in enumerate(sentences):
        pieces = {
            place: (span, mark)
            for span, mark in marked_spans(facts, tags[number], gold[number] if gold else None)
            for place in range(span.start, span.stop)
        }
        if number:
            rows.append([])
        line: list[_Word] = []
        column = 0
        for place, word in enumerate(words):
            span, mark = pieces.get(place, (None, ""))
            width = _width(word)
            if column and column + width > _WIDTH:
                rows.append(line)
                line, column = [], 0
            last = span is not None and place == span.stop - 1
            line.append((column, word, None if span is None else span.type, mark, last))
            column += width + 1
            if last and span is not None and span.type:
                column += 1 + round(0.75 * len(span.type))
        rows.append(line)
        if len(rows) >= _ROWS:
            break
    rows = rows[:_ROWS]
    note = "; in red what differs from the file's own tags" if gold else ""
    if any(mark == "unseen" for line in rows for *_, mark, _ in line):
        note += ", dashed where the training lacked those"
    # As wide as the longest line, and as the title.
    wide = 2 + max(column + _width(word) + len(kind or "") for line in rows for column, word, kind, *_ in line)
    wide = max(wide, round(0.75 * len(title + note)))
    figure = new_figure(11 * wide / (_WIDTH + 8), 0.7 + 0.3 * len(rows))
    axes = figure.add_subplot()
    for row, line in enumerate(rows):
        _draw_row(axes, row, line, colours)
    axes.set(xlim=(-0.5, wide), ylim=(len(rows), -0.3))
    axes.set_title(f"{title}{note}", fontsize=10, loc="left", parse_math=False)
    axes.axis("off")
    write_picture(figure, path, 130)


def _draw_row(axes: Any, row: int, line: Sequence[_Word], colours: dict[str, str]) -> None:
    from matplotlib.patches import Rectangle

    fonts = fonts_for("DejaVu Sans Mono")
    for number, (column, word, kind, mark, last) in enumerate(line):
        width = _width(word)
        if kind is not None:
            # One bar for the whole span: on to the next word of it, or over its name.
            label = 1 + round(0.75 * len(kind)) if last and kind else 0
            end = column + width + label if last or number + 1 == len(line) else line[number + 1][0]
            corner, width_of_bar = (column - 0.3, row + 0.06), end - column + 0.6
            axes.add_patch(Rectangle(corner, width_of_bar, 0.84, linewidth=0, color=colours[kind]))
            if mark:
                edges, style = [column - 0.3, end + 0.3], "-" if mark == "wrong" else (0, (1.5, 1))
                axes.plot(edges, [row + 0.93] * 2, color=_RED, linewidth=2, linestyle=style, solid_capstyle="butt")
            if label:
                name = axes.text(column + width + 0.7, row + 0.52, kind, fontsize=7, weight="bold", family=fonts)
                name.set(va="center", color=_RED if mark else "#333333", parse_math=False)
        for place, character in _places(word):
            text = axes.text(column + place, row + 0.5, character, family=fonts, fontsize=10.5, parse_math=False)
            text.set(va="center", ha="left")


def _places(word: str) -> list[tuple[int, str]]:
    places, at = [], 0
    for character in word:
        places.append((at, character))
        at += _width(character)
    return places


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _draw_transitions(task: Tag, network: Tagger, path: Path) -> None:
    import torch

    crf, names = network.crf, task.tags.tags
    if crf is None:
        return
    table = torch.full((len(names) + 1, len(names) + 1), torch.nan)
    table[0, :-1], table[1:, :-1], table[1:, -1] = (
        part.detach().cpu() for part in (crf.start, crf.transitions, crf.end)
    )
    forbidden = torch.zeros_like(table, dtype=torch.bool)
    forbidden[0, :-1], forbidden[1:, :-1], forbidden[1:, -1] = (
        part.cpu() < 0 for part in (crf.start_penalty, crf.transitions_penalty, crf.end_penalty)
    )
    shown = table.masked_fill(forbidden, torch.nan)
    bound = max(float(shown[~shown.isnan()].abs().max()), 1e-3)
    size = 2.5 + 0.33 * len(names)
    figure = new_figure(size + 1, size)
    axes = figure.add_subplot()
    picture = axes.imshow(shown.numpy(), cmap="RdBu_r", vmin=-bound, vmax=bound)
    axes.set_facecolor("#dddddd")
    fonts = fonts_for("DejaVu Sans")
    labels: dict[str, Any] = {"family": fonts, "fontsize": 8}
    axes.set_xticks(range(len(names) + 1), [*names, "end"], rotation=90, **labels)
    axes.set_yticks(range(len(names) + 1), ["start", *names], **labels)
    axes.set(xlabel="tag", ylabel="tag before it")
    axes.set_title("Scores of one tag behind another (grey: forbidden)", fontsize=10)
    figure.colorbar(picture, ax=axes, shrink=0.7)
    write_picture(figure, path, 130)
