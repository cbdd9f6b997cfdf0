"""Pictures: fonts for what users call things, and the way to disk."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from steploom.errors import OptionError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["check_picture", "fonts_for", "new_figure", "shortened", "write_picture"]

_PICTURES = (".png", ".pdf", ".svg", ".jpg", ".jpeg")

_FONTS = (
    "Noto Sans Mono CJK SC",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "WenQuanYi Zen Hei",
    "SimHei",
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
    """Writes a figure in the format that the ending of `path` names; without an ending, as PNG."""
    drawn = io.BytesIO()
    # matplotlib writing to the file itself would say nothing of a disk that is full.
    with warnings.catch_warnings():
        # A machine without a font for the script shows boxes; the rest is right nevertheless.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        # Tight: labels as long as a user's sentences are never cut at the edge, and no edge is left white.
        kind = path.suffix[1:].lower() or "png"
        figure.savefig(drawn, format=kind, dpi=dpi, bbox_inches="tight", pad_inches=0.12)
    path.write_bytes(drawn.getvalue())
