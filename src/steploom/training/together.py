"""What the processes of one training tell each other."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from steploom.data.batches import share
from steploom.models.network import Carry

__all__ = ["Together"]


class Together:
    """The processes of a training; with one alone, nothing is sent.

    Args:
        trainer: knows how many they are.
        device: where this process computes.
    """

    def __init__(self, trainer: pl.Trainer, device: torch.device) -> None:
        self._trainer, self._device = trainer, device

    @property
    def count(self) -> int:
        """How many processes there are."""
        return self._trainer.world_size

    @property
    def first(self) -> bool:
        """Whether this one writes, and whose clock counts."""
        return self._trainer.global_rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """The sum over the processes; `values` may be written over."""
        if self.count > 1:
            values = values.to(self._device)
            torch.distributed.all_reduce(values)
        return values

    def of_the_first(self, words: str) -> str:
        """The words that the first process has."""
        return str(self._trainer.strategy.broadcast(words)) if self.count > 1 else words

    def gathered(self, carry: Carry | None) -> list[Tensor]:
        """The carried states of all processes, put together over the batch."""
        mine = None if carry is None else list(carry)
        if self.count == 1:
            return mine or []
        parts: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(parts, mine and [s.cpu() for s in mine])
        given = [part for part in parts if part]
        return [torch.cat(states, 1) for states in zip(*given, strict=True)]

    def dealt_out(self, states: list[Tensor]) -> Carry | None:
        """This process' share of what `gathered` gave."""
        if not states:
            return None
        block = share(states[0].shape[1], self._trainer.global_rank, self.count)
        return tuple(s[:, block].to(self._device).contiguous() for s in states)
