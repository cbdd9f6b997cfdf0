"""Where a model looks while it writes; of a model without attention, how sure it is of what it writes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from steploom.data.text.parallel_batches import ParallelBatches
from steploom.errors import DataError
from steploom.models.encoder_decoder import EncoderDecoder
from steploom.tasks.picture import fonts_for, new_figure, write_picture
from steploom.tasks.translate.decode import Translated, settings_of, translate_lines
from steploom.tasks.translate.lines import read_lines_of

if TYPE_CHECKING:
    from steploom.tasks.translate.task import Translate

__all__ = ["plot_lines"]

# Lines in a picture, and the most tokens of one: what can still be read.
_LINES, _MOST = 6, 40


def plot_lines(task: Translate, network: EncoderDecoder, data: Path | None, path: Path) -> None:
    """Draws the first lines of a file and their translations.

    With attention, a grid a line: a row for each token written, a column for each token read, the darker the more it
    was looked at. Without, the tokens written, each on a colour that says its surprise in bits: pale expected, red not.

    Args:
        task: the task.
        network: the model.
        data: lines to translate; None: those kept from the training data.
        path: the picture to write.

    Raises:
        DataError: no line is short enough to be drawn.
    """
    languages = task.languages
    lines = task.artefacts["pairs"]["examples"] if data is None else read_lines_of(task, data)
    fits = [n for n, line in enumerate(lines) if 0 < len(languages.source_tokens(line)) - 1 <= _MOST and line.strip()]
    short = [lines[number] for number in fits[:_LINES]]
    if not short:
        raise DataError(f"no line of at most {_MOST} tokens to draw", file=data)
    looks = task.options.attention != "none"
    part = "training" if task.artefacts["pairs"]["validation"] == "none" else "validation"
    title = data.name if data is not None else f"{part} part"
    options = task.PredictOptions.checked({"attention": looks, "max_new_tokens": _MOST})
    found = translate_lines(task, network, short, settings_of(task, options))
    sources = [languages.source_pieces(text, line.source) for text, line in zip(short, found, strict=True)]
    written = [languages.target_pieces(_tokens(task, line)) for line in found]
    if looks:
        weights = [line.hypotheses[0].attention for line in found]
        names = [f"example {number + 1}" for number in fits[:_LINES]]
        _draw_attention(sources, written, [w for w in weights if w is not None], names, title, path)
    else:
        _draw_surprise(short, written, _surprise(task, network, found), title, path)


def _tokens(task: Translate, line: Translated) -> list[int]:
    """What was written, with the end mark where it was."""
    best = line.hypotheses[0]
    return [*best.tokens, *([task.languages.end] if best.ended else [])]


def _draw_attention(
    sources: Sequence[Sequence[str]],
    written: Sequence[Sequence[str]],
    weights: Sequence[Tensor],
    names: Sequence[str],
    title: str,
    path: Path,
) -> None:
    fonts = fonts_for("DejaVu Sans")
    columns = 1 if len(sources) == 1 else 2
    rows = -(-len(sources) // columns)
    # A cell is as large as its label, so that all labels can be read.
    widest = max(len(pieces) for pieces in sources)
    heights = [max(len(pieces) for pieces in written[r * columns : (r + 1) * columns]) for r in range(rows)]
    longest = max(len(piece) for pieces in (*sources, *written) for piece in pieces)
    margin = 0.09 * min(longest, 24) + 0.4
    size = (columns * (0.27 * max(widest, 8) + margin), sum(0.27 * max(h, 6) + margin for h in heights) + 0.3)
    figure = new_figure(size[0] + 1.0, size[1] + 0.6)
    grids = []
    for place, (source, target, weight) in enumerate(zip(sources, written, weights, strict=True)):
        axes: Any = figure.add_subplot(rows, columns, place + 1)
        grids.append(axes)
        drawn = axes.imshow(weight.cpu().numpy(), cmap="Blues", vmin=0, vmax=1, aspect="equal", interpolation="nearest")
        axes.xaxis.tick_top()
        axes.set_xticks(range(len(source)), source, rotation=60, ha="left", rotation_mode="anchor")
        axes.set_yticks(range(len(target)), target)
        for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            label.set(family=fonts, fontsize=9, parse_math=False)
        axes.tick_params(length=0)
        axes.set_xticks([i - 0.5 for i in range(1, len(source))], minor=True)
        axes.set_yticks([i - 0.5 for i in range(1, len(target))], minor=True)
        axes.grid(which="minor", color="0.9", linewidth=0.5)
        axes.tick_params(which="minor", length=0)
        axes.spines[:].set_color("0.7")
        axes.set_title(names[place], fontsize=9, loc="left", color="0.4")
    figure.suptitle(f"{title}: where the model looks while it writes", fontsize=11, parse_math=False)
    figure.supxlabel("token read", fontsize=10)
    figure.supylabel("token written", fontsize=10)
    bar: dict[str, Any] = {"shrink": min(1.0, 3.0 / size[1]), "anchor": (0.0, 1.0), "aspect": 15}
    figure.colorbar(drawn, ax=grids, label="share of the attention (all grids alike)", **bar)
    write_picture(figure, path, 120)


def _draw_surprise(
    lines: Sequence[str], written: Sequence[Sequence[str]], bits: Sequence[Sequence[float]], title: str, path: Path
) -> None:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle

    fonts = fonts_for("DejaVu Sans Mono")
    colours, scale = colormaps["YlOrRd"], Normalize(0, 8)
    width = max(max(len(line) for line in lines), *(sum(len(p) + 1 for p in pieces) for pieces in written))
    figure = new_figure(min(0.085 * width + 1.5, 30), 0.75 * len(lines) + 0.8)
    axes = figure.add_subplot()
    text = {"family": fonts, "fontsize": 9, "va": "center", "parse_math": False}
    for row, (line, pieces, surprises) in enumerate(zip(lines, written, bits, strict=True)):
        axes.text(0, 3 * row + 0.5, line, color="0.4", **text)  # type: ignore[arg-type]
        column = 0
        for piece, value in zip(pieces, surprises, strict=True):
            axes.add_patch(
                Rectangle((column, 3 * row + 1), len(piece) + 1, 1, color=colours(scale(value)), linewidth=0)
            )
            ink = "white" if value > 6 else "black"
            axes.text(column + 0.5, 3 * row + 1.5, piece, color=ink, **text)  # type: ignore[arg-type]
            column += len(piece) + 1
    axes.set(xlim=(0, width), ylim=(3 * len(lines), 0))
    named = f"{title}: what the model reads (grey) and what it writes"
    axes.set_title(named, fontsize=10, loc="left", parse_math=False)
    axes.axis("off")
    figure.colorbar(ScalarMappable(scale, colours), ax=axes, label="surprise (bits)")
    write_picture(figure, path, 130)


def _surprise(task: Translate, network: EncoderDecoder, found: Sequence[Translated]) -> list[list[float]]:
    """The bits of each token written, the end mark included."""
    languages, values = task.languages, []
    for line in found:
        tokens = _tokens(task, line)
        batch = ParallelBatches([line.source], [line.hypotheses[0].tokens], languages.begin, languages.end, 1).batch(
            0, 0
        )
        log_probs = network.log_probs({name: part.to(network.device) for name, part in batch.items()})[:, 0]
        values.append((-log_probs / math.log(2)).tolist()[: len(tokens)])
    return values
