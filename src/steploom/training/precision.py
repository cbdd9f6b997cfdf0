"""What products are computed in: as Lightning calls it, and as a loop of our own must ask for it."""

from __future__ import annotations

from typing import Literal

import torch

from steploom.training.options import TrainOptions

__all__ = ["autocast_dtype", "lightning_precision"]

Lightning = Literal["32-true", "bf16-mixed", "16-mixed"]

_PRECISIONS: dict[str, tuple[Lightning, torch.dtype]] = {
    "float32": ("32-true", torch.float32),
    "bfloat16": ("bf16-mixed", torch.bfloat16),
    "float16": ("16-mixed", torch.float16),
}


def lightning_precision(options: TrainOptions) -> Lightning:
    """The precision of the options as Lightning's Trainer takes it."""
    return _PRECISIONS[options.precision][0]


def autocast_dtype(options: TrainOptions, device: torch.device) -> torch.dtype:
    """The type that products are computed in; float32: as they are written.

    As in Lightning, a CPU takes bfloat16 in the place of float16.
    """
    dtype = _PRECISIONS[options.precision][1]
    return torch.bfloat16 if dtype is torch.float16 and device.type == "cpu" else dtype
