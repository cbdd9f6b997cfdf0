"""A map of how similar sentences are to each other."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from steploom.errors import OptionError
from steploom.models.skip_thought import SkipThought
from steploom.tasks.embed.vectors import read_sentences, vectors_of
from steploom.tasks.picture import fonts_for, new_figure, shortened, write_picture

if TYPE_CHECKING:
    from steploom.tasks.embed.task import Embed

__all__ = ["plot_similarity"]

_SENTENCES, _CHARACTERS = 16, 60
_AVERAGED = 2000
_LETTERS = 4
# Characters of the title in a line, at least, and for each inch of the figure's height.
_TITLE, _TITLE_INCH = 22, 8.5


def plot_similarity(task: Embed, network: SkipThought, data: Path | None, path: Path) -> None:
    """Draws the cosine of each two of a file's first sentences, less the mean vector of its first 2,000 sentences.

    All vectors of a model have a large part in common, so that their plain cosines lie close together; without their
    mean, the differences show. One or two sentences, which less their mean would say nothing, are drawn as they are.

    Args:
        task: the task.
        network: the model.
        data: a file with a sentence a line; None: the most frequent longer words of the vocabulary, each a sentence.
        path: the PNG to write.

    Raises:
        OptionError: there is no file, and the vocabulary has no words of letters.
    """
    if data is None:
        sentences = [token for token in task.vocabulary.tokens if sum(map(str.isalpha, token)) >= _LETTERS]
    else:
        sentences = [" ".join(line.split()) for line in read_sentences(data) if line.strip()]
    if not sentences:
        raise OptionError("plot: the model knows no word to draw. Give a file with a sentence a line")
    vectors = vectors_of(task, network, sentences[:_AVERAGED]).double()
    title = f"{data.name if data else 'frequent words'}: cosine of their vectors"
    if len(vectors) > 2:
        vectors = vectors - vectors.mean(0)
        title += ", less the mean vector"
    shown = sentences[:_SENTENCES]
    unit = torch.nn.functional.normalize(vectors[: len(shown)])
    _draw((unit @ unit.t()).tolist(), [shortened(sentence, _CHARACTERS) for sentence in shown], path, title)


def _draw(cosines: list[list[float]], labels: list[str], path: Path, title: str) -> None:
    count = len(labels)
    side = 0.42 * count + 1.2
    # The labels need no place in it: what is written is as large as all that is drawn.
    figure = new_figure(side + 1, side, constrained=False)
    axes = figure.add_subplot()
    image = axes.imshow(cosines, cmap="RdBu_r", vmin=-1, vmax=1)
    fonts = fonts_for("DejaVu Sans")
    numbered = [f"{label}  {number}" for number, label in enumerate(labels, start=1)]
    axes.set_yticks(range(count), numbered, family=fonts, fontsize=9, parse_math=False)
    axes.set_xticks(range(count), [str(number) for number in range(1, count + 1)], fontsize=9)
    for row, values in enumerate(cosines):
        for column, value in enumerate(values):
            ink = "white" if abs(value) > 0.65 else "black"
            axes.text(
                column, row, f"{value:.1f}".replace("-0.0", "0.0"), color=ink, ha="center", va="center", fontsize=7
            )
    # As wide as the matrix, over which it stands.
    title = textwrap.fill(title, max(_TITLE, int(_TITLE_INCH * side)), break_on_hyphens=False)
    axes.set_title(title, family=fonts, fontsize=11, parse_math=False)
    figure.colorbar(image, ax=axes, shrink=0.8, label="cosine")
    write_picture(figure, path, 130)
