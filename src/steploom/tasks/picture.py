"""Pictures: fonts for what users call things, and the way to disk."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from steploom.errors import OptionError
from steploom.tasks.glyphs import missing_glyphs_said

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["check_picture", "fonts_for", "new_figure", "shortened", "write_picture"]

_PICTURES = (".png", ".pdf", ".svg", ".jpg", ".jpeg")

# Those of other scripts, as Linux, Windows and macOS have them.
_FONTS = (
    "Noto Sans Mono CJK SC",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "WenQuanYi Zen Hei",
    "SimHei",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans",
    "Malgun Gothic",
    "Noto Sans Devanagari",
    "Noto Sans Bengali",
    "Noto Sans Tamil",
    "Noto Sans Telugu",
    "Noto Sans Thai",
    "Noto Sans Khmer",
    "Noto Sans Myanmar",
    "Noto Sans Ethiopic",
    "Lohit Devanagari",
    "Nirmala UI",
    "Kohinoor Devanagari",
    "Leelawadee UI",
    "Ebrima",
    "FreeSans",
    "Arial Unicode MS",
)


def check_picture(path: Path) -> None:
    """Refuses a name whose ending is that of no picture; without an ending it is a PNG.

    Raises:
        OptionError: the ending is unknown.
    """
    if path.suffix and path.suffix.lower() not in _PICTURES:
        raise OptionError(f"{path}: expected the name of a picture, which ends in {', '.join(_PICTURES)}")


def fonts_for(first: str) -> list[str]:
    """The font `first`, and behind it those of this machine that have other scripts."""
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    return [name for name in (first, *_FONTS) if name in installed]


def shortened(text: str, width: int) -> str:
    """`text`, and where it has more than `width` characters its beginning with an ellipsis, no longer than that."""
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


def new_figure(width: float, height: float, constrained: bool = True) -> Figure:
    """An empty figure that needs no screen.

    Args:
        width, height: its size in inches.
        constrained: whether what is drawn makes room for labels and titles.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained" if constrained else None)
    FigureCanvasAgg(figure)
    return figure


def write_picture(figure: Figure, path: Path, dpi: int) -> None:
    """Writes a figure in the format that the ending of `path` names; without an ending, as PNG.

    A script that no font has is drawn as boxes, and named in a warning.
    """
    drawn = io.BytesIO()
    # matplotlib writing to the file itself would say nothing of a disk that is full.
    with missing_glyphs_said():
        # Tight: labels as long as a user's sentences are never cut at the edge, and no edge is left white.
        kind = path.suffix[1:].lower() or "png"
        figure.savefig(drawn, format=kind, dpi=dpi, bbox_inches="tight", pad_inches=0.12)
    path.write_bytes(drawn.getvalue())
