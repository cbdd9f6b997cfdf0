"""Which line of a cell's own code is at work while its step is traced."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from types import FrameType

import torch

__all__ = ["cell_frame", "cell_line", "line_of"]

OWN = str(Path(__file__).parent)
TORCH = str(Path(torch.__file__).parent)


def cell_frame() -> FrameType | None:
    """The innermost call that is neither of this folder nor of PyTorch."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith((OWN, TORCH, "<frozen")):
        frame = frame.f_back
    return frame


def cell_line() -> str | None:
    """The line of the cell that is at work, such as "cell.py:12"."""
    frame = cell_frame()
    return line_of(frame) if frame is not None else None


def line_of(frame: FrameType) -> str:
    """File and line of a call."""
    return f"{_file_name(frame.f_code.co_filename)}:{frame.f_lineno}"


@cache
def _file_name(path: str) -> str:
    return Path(path).name
