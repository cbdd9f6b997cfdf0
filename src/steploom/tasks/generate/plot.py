"""A text with the surprise of each token behind it."""

from __future__ import annotations

import math
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from steploom.models.language_model import LanguageModel
from steploom.tasks.generate.scores import log_probs_of_text
from steploom.tasks.generate.text import Part, read_part
from steploom.tasks.picture import fonts_for, new_figure, write_picture

if TYPE_CHECKING:
    from steploom.tasks.generate.task import Generate

__all__ = ["plot_surprise"]

_WIDTH, _ROWS = 72, 24


def plot_surprise(task: Generate, network: LanguageModel, data: Path | None, path: Path) -> None:
    """Draws the beginning of a text, each token on a colour that says its surprise in bits: pale expected, red not.

    Args:
        task: the task.
        network: the model.
        data: the text; None: one that the model writes.
        path: the PNG to write.
    """
    if data is None:
        options = {"num_samples": 8} if task.options.by_line else {"max_new_tokens": _WIDTH * _ROWS // 2}
        value = task.predict(network, None, task.PredictOptions.checked(options)).value
        part = Part(lines=tuple(value)) if task.options.by_line else Part(value[0])
    else:
        part = read_part(data, task.options)
    _draw(_cells(_pieces(task, network, part)), path, "A text of the model" if data is None else data.name)


def _pieces(task: Generate, network: LanguageModel, part: Part) -> list[tuple[str, float]]:
    """Pieces of text with their surprise in bits; NaN for what is no token."""
    vocabulary = task.vocabulary
    pieces: list[tuple[str, float]] = []
    for text in part.pieces[:_ROWS]:
        numbers = vocabulary.encode(text)[: _WIDTH * _ROWS]
        bits = -log_probs_of_text(network, vocabulary, numbers).double() / math.log(2)
        for number, value in zip(numbers, bits.tolist(), strict=True):
            piece = vocabulary.decode([number])
            pieces.append((piece, value))
            if vocabulary.unit == "words" and piece != "\n":
                pieces.append((" ", math.nan))
        if part.lines is not None:
            pieces.append(("\n", math.nan))
    return pieces


def _cells(pieces: list[tuple[str, float]]) -> list[tuple[int, int, str, int, float]]:
    """Row, column, character, width in columns and surprise of each character that has a place."""
    row = column = 0
    cells: list[tuple[int, int, str, int, float]] = []
    for piece, bits in pieces:
        for character in piece:
            if character == "\n":
                row, column = row + 1, 0
                continue
            width = 2 if unicodedata.east_asian_width(character) in "WF" else 1
            if column + width > _WIDTH:
                row, column = row + 1, 0
            if row >= _ROWS:
                return cells
            # Of what has no shape, such as a tab or a joiner, the colour alone is seen.
            cells.append((row, column, character if character.isprintable() else " ", width, bits))
            column += width
    return cells


def _draw(cells: list[tuple[int, int, str, int, float]], path: Path, title: str) -> None:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle

    fonts = fonts_for("DejaVu Sans Mono")
    rows = max((cell[0] for cell in cells), default=0) + 1
    figure = new_figure(11, 1.2 + 0.26 * rows)
    axes = figure.add_subplot()
    colours, scale = colormaps["YlOrRd"], Normalize(0, 12)
    for row, column, character, width, bits in cells:
        if not math.isnan(bits):
            axes.add_patch(Rectangle((column, row), width, 1, color=colours(scale(bits)), linewidth=0))
        ink = "white" if bits > 9 else "black"
        label = axes.text(column + width / 2, row + 0.5, character, color=ink, family=fonts, parse_math=False)
        label.set(ha="center", va="center", fontsize=9)
    axes.set(xlim=(0, _WIDTH), ylim=(rows, 0), title=title)
    axes.axis("off")
    figure.colorbar(ScalarMappable(scale, colours), ax=axes, label="surprise (bits)", shrink=min(1.0, 4 / rows + 0.3))
    write_picture(figure, path, 130)
