"""Sequences as numbers, one behind the other in one tensor, and batches cut out of it without a loop."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["TokenSequences", "padded_places"]


def padded_places(starts: Tensor, lengths: Tensor, padded: int) -> tuple[Tensor, Tensor]:
    """Where each step of some sequences stands in the flat tensor, int64 (padded, batch), and which is padding.

    A place of the padding is that of the sequence's last step.
    """
    steps = torch.arange(padded)[:, None]
    return starts + torch.minimum(steps, lengths - 1), steps >= lengths


class TokenSequences:
    """Token sequences (`Encoded` of `steploom.data.labelled.examples`); a batch has "tokens", (time, batch), and
    "lengths" (batch,).

    Args:
        numbers: the tokens of each example, one at least.
    """

    def __init__(self, numbers: Sequence[Sequence[int]]) -> None:
        self.lengths = torch.tensor([len(tokens) for tokens in numbers])
        self._starts = self.lengths.cumsum(0) - self.lengths
        self._flat = torch.tensor([number for tokens in numbers for number in tokens])

    def collate(self, rows: Tensor, padded: int) -> dict[str, Tensor]:
        """The examples `rows`, padded to the length `padded` with token 0."""
        lengths = self.lengths[rows]
        places, padding = padded_places(self._starts[rows], lengths, padded)
        return {"tokens": self._flat[places].masked_fill_(padding, 0), "lengths": lengths}
