"""Sequences of unequal length in one padded batch (time, batch, size)."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["last_step", "padding", "reverse", "reverse_resets"]


def padding(lengths: Tensor, time: int) -> Tensor:
    """Where a batch holds no data: bool (time, batch, 1), true from the end of each sequence on.

    Args:
        lengths: steps of each sequence, int64 (batch,).
        time: steps of the batch.
    """
    return (torch.arange(time, device=lengths.device)[:, None] >= lengths).unsqueeze(-1)


def last_step(y: Tensor, initial: Tensor, lengths: Tensor) -> Tensor:
    """The values of `y` (time, batch, size) at each sequence's last step: (batch, size).

    A sequence of no step has the values in `initial` (batch, size).
    """
    index = (lengths - 1).clamp(min=0)[None, :, None].expand(1, *y.shape[1:])
    last = y.gather(0, index).squeeze(0)
    return torch.where((lengths > 0)[:, None], last, initial)


def reverse(x: Tensor, lengths: Tensor | None) -> Tensor:
    """`x` (time, batch, ...) with the steps of each sequence in the opposite order; padding stays behind them.

    Reversing twice gives `x` again.
    """
    if lengths is None:
        return x.flip(0)
    steps = torch.arange(x.shape[0], device=x.device)[:, None]
    index = torch.where(steps < lengths, lengths - 1 - steps, steps)
    return x.gather(0, index.reshape(*index.shape, *[1] * (x.dim() - 2)).expand_as(x))


def reverse_resets(resets: Tensor, lengths: Tensor | None) -> Tensor:
    """The resets (time, batch) of the reversed sequences; none may stand in the padding.

    A reset before step t parts steps t - 1 and t. Coming from behind, the same gap lies before step t - 1.
    """
    return reverse(torch.cat([resets[1:], torch.zeros_like(resets[:1])]), lengths)
