"""The picture of a classifier: which labels it takes for which, and what its attention looks at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from steploom.data.labelled.examples import Examples
from steploom.errors import DataError
from steploom.models.classifier import Classifier, SequenceClassifier
from steploom.tasks.classify.scores import batches_for, confusion, figures, probabilities_of
from steploom.tasks.classify.task import MOST_DRAWN
from steploom.tasks.picture import fonts_for, new_figure, shortened, write_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from steploom.tasks.classify.task import Classify

__all__ = ["attended_tokens", "confusion_figure", "plot_confusion"]

_EXAMPLES, _WIDTH = 8, 66
# Characters of a label.
_NAME = 16
# Beyond so many classes, numbers in the cells cannot be read.
_WRITTEN = 25
# Beyond so many classes, labels at a slant would lie over each other; and below so many points, none can be read.
_SLANTED, _SMALLEST = 20, 6.0
# Of the size of a font: the width of a letter, and its inverse with the space to the next line.
_WIDEST, _HEIGHT = 0.7, 0.75


def plot_confusion(task: Classify, network: Classifier, data: Sequence[Path], path: Path) -> None:
    """Draws the confusion matrix, each row coloured by its shares and with its counts written in.

    With attention pooling over a text and with data, the weights of the words of some examples stand below.

    Args:
        task: the task.
        network: the model.
        data: labelled files; none: the validation part of the training.
        path: the PNG to write.

    Raises:
        DataError: without data, nothing was set aside for validation.
    """
    attended: list[tuple[list[str], Tensor, str]] = []
    if not data:
        _refuse_too_many(task.classes)
        if "confusion" not in task.artefacts["labels"]:
            raise DataError(
                "the model had no validation part to be drawn. Name a labelled file: steploom plot DIR DATA"
            )
        matrix, title = torch.tensor(task.artefacts["labels"]["confusion"]), "validation part"
    else:
        examples = task.read(data, labelled=True)
        if task.kind.draw(network, examples, path):
            return
        _refuse_too_many(task.classes)
        found = probabilities_of(task, network, examples)
        matrix, title = confusion(task, examples, found), _named(data)
        attended = attended_tokens(task, network, examples, found)
    write_picture(confusion_figure(matrix, task.classes, title, attended), path, 130)


def confusion_figure(
    matrix: Tensor, classes: Sequence[str], title: str, attended: Sequence[tuple[list[str], Tensor, str]] = ()
) -> Figure:
    """A confusion matrix, and below it what the attention looks at.

    Args:
        matrix: how often each class (row) was taken for each one (column), int64 (classes, classes).
        classes: the names.
        title: what the examples are called.
        attended: what `attended_tokens` gives.
    """
    side = _side(len(matrix))
    below = 0.9 + 0.3 * len(attended) if attended else 0.0
    figure = new_figure(max(side + 0.8, 9.0 if attended else 0.0), side + below)
    if attended:
        upper, lower = figure.subplots(2, 1, height_ratios=[side, below])
        _draw_attention(lower, attended)
    else:
        upper = figure.add_subplot()
    scores = figures(matrix.diagonal(), matrix.sum(1), matrix.sum(0))
    _draw_matrix(figure, upper, matrix, classes)
    upper.set_title(f"{title}: accuracy {scores['accuracy']:.1%}, macro F1 {scores['f1']:.1%}")
    return figure


def _named(files: Sequence[Path]) -> str:
    names = [file.name for file in files]
    return ", ".join(names) if len(names) <= 3 else f"{names[0]} and {len(names) - 1} others"


def _refuse_too_many(classes: Sequence[str]) -> None:
    if len(classes) > MOST_DRAWN:
        raise DataError(
            f"{len(classes):,} classes are too many for a confusion matrix, of which at most {MOST_DRAWN} can be drawn",
            hint="See each prediction with: steploom evaluate DIR DATA -o FILE",
        )


def _draw_matrix(figure: Figure, axes: Axes, matrix: Tensor, classes: Sequence[str]) -> None:
    from matplotlib.colors import PowerNorm

    fonts = fonts_for("DejaVu Sans")
    shares = matrix.double() / matrix.sum(1, keepdim=True).clamp(min=1)
    # By the square root, so that a share of a percent can be seen beside one of 99.
    drawn = axes.imshow(shares.numpy(), cmap="Blues", norm=PowerNorm(0.5, 0, 1))
    places, names = range(len(classes)), [shortened(name, _NAME) for name in classes]
    every, size = _labels_of(len(classes))
    shown = range(0, len(classes), every)
    text: dict[str, Any] = {"family": fonts, "fontsize": size}
    wide = _WIDEST * size * max(len(name) for name in names) > _cell(len(classes)) * every
    rotation = 90 if len(classes) > _SLANTED else 45 if wide else 0
    axes.set_xticks(shown, names[::every], rotation=rotation, ha="right" if rotation == 45 else "center", **text)
    axes.set_yticks(shown, names[::every], **text)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)
    axes.set(xlabel="label given", ylabel="true label")
    if len(classes) <= _WRITTEN:
        for row in places:
            for column in places:
                count = int(matrix[row, column])
                ink = "white" if shares[row, column] > 0.3 else "black" if count else "0.75"
                axes.text(column, row, f"{count:,}", ha="center", va="center", color=ink, fontsize=8)
    bar = figure.colorbar(drawn, ax=axes, label="share of the true label (by its square root)", shrink=0.8)
    bar.set_ticks([0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1])


def _side(classes: int) -> float:
    """The height of the matrix with its labels, in inches."""
    return min(12.0, max(4.2, 2.4 + 0.55 * classes))


def _cell(classes: int) -> float:
    """The side of a cell of the matrix in points, or somewhat less."""
    return 72 * (_side(classes) - 2.4) / classes


def _labels_of(classes: int) -> tuple[int, float]:
    """Every which label is written so that none lies over another one, and its size in points."""
    cell = _HEIGHT * _cell(classes)
    every = max(1, math.ceil(_SMALLEST / cell))
    return every, min(10.0, cell * every)


def attended_tokens(
    task: Classify, network: Classifier, examples: Examples, probabilities: Tensor
) -> list[tuple[list[str], Tensor, str]]:
    """Tokens, weights and a caption of the first examples, where the model attends to tokens."""
    if not isinstance(network, SequenceClassifier) or not len(examples) or task.kind.pieces(examples, 0) is None:
        return []
    some = examples.take(range(min(_EXAMPLES, len(examples))))
    shown = {}
    for rows, batch in batches_for(task, network, some, 1):
        weights = network.attention(batch)
        if weights is None:
            return []
        row = int(rows[0])
        given = task.classes[int(probabilities[row].argmax())]
        true = (some.labels or ())[row]
        caption = shortened(given, _NAME) + ("" if given == true else f" (true: {shortened(true, _NAME)})")
        shown[row] = (task.kind.pieces(some, row) or [], weights[:, 0].cpu(), caption)
    return [shown[row] for row in sorted(shown)]


def _draw_attention(axes: Axes, attended: Sequence[tuple[list[str], Tensor, str]]) -> None:
    """A line an example: each word on a colour that says its weight, from the line's smallest to its largest."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    fonts, colours = fonts_for("DejaVu Sans Mono"), colormaps["Oranges"]
    widest = 0
    for row, (pieces, weights, _) in enumerate(attended):
        column = 0
        spread = (weights - weights.min()) / (weights.max() - weights.min()).clamp(min=1e-6)
        for piece, weight in zip(pieces, spread.tolist(), strict=True):
            piece = piece.replace("\n", " ")
            if column + len(piece) > _WIDTH:
                axes.text(column, row + 0.5, "…", va="center", family=fonts, fontsize=9)
                break
            axes.add_patch(
                Rectangle((column, row + 0.08), len(piece), 0.84, color=colours(0.05 + 0.6 * weight), linewidth=0)
            )
            axes.text(
                column + len(piece) / 2,
                row + 0.5,
                piece,
                ha="center",
                va="center",
                family=fonts,
                fontsize=9,
                parse_math=False,
            )
            column += len(piece) + 1
        widest = max(widest, column)
    for row, (_, _, caption) in enumerate(attended):
        axes.text(widest + 3, row + 0.5, caption, va="center", family=fonts, fontsize=9, parse_math=False)
    axes.set(xlim=(0, _WIDTH + 22), ylim=(len(attended), 0))
    axes.set_title("what the attention looks at, and the label given", fontsize=10)
    axes.axis("off")
