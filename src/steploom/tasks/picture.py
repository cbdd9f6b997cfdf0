"""Pictures on disk."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["write_picture"]


def write_picture(figure: Figure, path: Path, dpi: int) -> None:
    """Writes a figure in the format that the ending of `path` names; without an ending, as PNG."""
    drawn = io.BytesIO()
    # matplotlib writing to the file itself would say nothing of a disk that is full.
    figure.savefig(drawn, format=path.suffix[1:].lower() or "png", dpi=dpi)
    path.write_bytes(drawn.getvalue())
