"""Trees drawn with the label that a model gives to each node."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from steploom.data.labelled.tree import Tree
from steploom.tasks.picture import fonts_for, new_figure, shortened, write_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_trees", "drawable"]

# What can be read on a page: three trees beside each other, a word a line.
_TREES, _LEAVES, _NODES = 3, 45, 140
# Characters of a label, and of a word.
_NAME, _WORD = 20, 22


def drawable(trees: Sequence[Tree]) -> list[int]:
    """The rows of the first trees that have a place in a picture; of trees that are all too large, the smallest."""
    small = [
        row
        for row, tree in enumerate(trees)
        if len(tree) <= _NODES and sum(w is not None for w in tree.words) <= _LEAVES
    ]
    return small[:_TREES] or [min(range(len(trees)), key=lambda row: len(trees[row]))]


def draw_trees(
    trees: Sequence[Tree],
    probabilities: Sequence[Tensor],
    true: Sequence[Sequence[int | None]],
    classes: Sequence[str],
    path: Path,
) -> None:
    """Draws trees from left (the root) to right (the words), each node in the colour of the label given to it.

    A ring around a node has the colour of the label in the file. Two classes, and classes that are numbers, share a
    scale of colours from the first to the last, so that a node between two is seen to be so.

    Args:
        trees: the trees.
        probabilities: for each tree those of its nodes, (nodes, classes).
        true: for each tree the class of each node in the file, None where it has none.
        classes: the classes.
        path: the PNG to write.
    """
    ordered = len(classes) == 2 or all(name.removeprefix("-").isdecimal() for name in classes)
    lines = max(len(tree.sentence) for tree in trees)
    figure = new_figure(1.2 + 4.3 * len(trees), min(40.0, 1.7 + 0.21 * lines))
    columns = figure.subplots(1, len(trees), squeeze=False)[0]
    colour = _scale(len(classes)) if ordered else _palette(len(classes))
    for axes, tree, found, given in zip(columns, trees, probabilities, true, strict=True):
        fills = [colour(shares) for shares in found]
        rings = [None if number is None else colour(_certain(number, len(classes))) for number in given]
        _draw(axes, tree, fills, rings, lines)
        best = int(found[-1].argmax())
        title = f"{shortened(classes[best], _NAME)}, {float(found[-1, best]):.0%}"
        root = given[-1]
        if root is not None and root != best:
            title += f" (in the file: {shortened(classes[root], _NAME)})"
        axes.set_title(title, fontsize=10, family=fonts_for("DejaVu Sans"), parse_math=False)
    _legend(figure, classes, [colour(_certain(number, len(classes))) for number in range(len(classes))])
    write_picture(figure, path, 130)


def _draw(axes: Axes, tree: Tree, fills: Sequence[Any], rings: Sequence[Any], lines: int) -> None:
    fonts = fonts_for("DejaVu Sans")
    heights, spans = tree.heights(), tree.spans()
    highest = max(heights[-1], 1)
    # A line of words down the page; a node stands at the middle of its own.
    y = _middles(tree, spans)
    x = [-height / highest for height in heights]
    for node, parent in enumerate(tree.parents):
        if parent >= 0:
            axes.plot([x[parent], x[parent], x[node]], [y[parent], y[node], y[node]], color="0.75", lw=0.9, zorder=1)
    # Around a node the label in the file, and a thin line around that, as pale colours are lost on white.
    outer = [fill if ring is None else ring for fill, ring in zip(fills, rings, strict=True)]
    axes.scatter(x, y, s=92, c=outer, edgecolors="0.45", linewidths=0.5, zorder=2)
    ringed = [node for node, ring in enumerate(rings) if ring is not None]
    for size, colours in ((58, "white"), (40, [fills[node] for node in ringed])):
        axes.scatter([x[n] for n in ringed], [y[n] for n in ringed], s=size, c=colours, linewidths=0, zorder=3)
    for (begin, _), node_x, word in zip(spans, x, tree.words, strict=True):
        if word is not None:
            axes.text(
                node_x + 0.045, begin, shortened(word, _WORD), va="center", fontsize=9, family=fonts, parse_math=False
            )
    axes.set(xlim=(-1.05, 0.62), ylim=(lines - 0.4, -0.6))
    axes.axis("off")


def _middles(tree: Tree, spans: Sequence[tuple[int, int]]) -> list[float]:
    """The height on the page of each node: the mean of its first and its last child."""
    first: dict[int, float] = {}
    last: dict[int, float] = {}
    places: list[float] = []
    for node, parent in enumerate(tree.parents):
        place = float(spans[node][0]) if tree.words[node] is not None else (first[node] + last[node]) / 2
        places.append(place)
        first.setdefault(parent, place)
        last[parent] = place
    return places


def _scale(classes: int) -> Any:
    """Colours from the first class to the last, by the expected number of the class."""
    from matplotlib import colormaps

    colours = colormaps["coolwarm_r"]
    steps = torch.linspace(0, 1, classes)
    return lambda shares: colours(float((shares * steps).sum()))


def _palette(classes: int) -> Any:
    """A colour a class, paler the less probable it is."""
    from matplotlib import colormaps

    few = classes <= 10
    colours = colormaps["tab10" if few else "turbo"](range(10) if few else torch.linspace(0, 1, classes).numpy())

    def colour(shares: Tensor) -> Any:
        best = int(shares.argmax())
        strength = 0.35 + 0.65 * float(shares[best])
        return tuple(1 - strength * (1 - part) for part in colours[best][:3])

    return colour


def _legend(figure: Any, classes: Sequence[str], colours: Sequence[Any]) -> None:
    from matplotlib.lines import Line2D

    shown = list(zip(classes, colours, strict=True))[:12]
    marks = [Line2D([], [], marker="o", ls="", color=colour, label=shortened(name, _NAME)) for name, colour in shown]
    legend = figure.legend(
        handles=marks,
        loc="outside lower center",
        ncols=min(6, len(marks)),
        frameon=False,
        title="inside: the label given; ring: the label in the file",
        prop={"family": fonts_for("DejaVu Sans"), "size": 9},
        title_fontsize=9,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _certain(number: int, classes: int) -> Tensor:
    return torch.nn.functional.one_hot(torch.tensor(number), classes).float()
