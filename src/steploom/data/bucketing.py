"""Independent examples of unequal length in batches of about equal length."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["BucketedBatches", "padded"]

# Batches sorted by length together: enough that a batch is even, few enough that chance still mixes the examples.
_POOL = 50


class BucketedBatches(ABC):
    """Batches (`steploom.data.batches.Batches`) of examples that are independent of each other.

    Which examples make up batch `index` of an epoch is a pure function of both and of the seed: they are shuffled, then
    sorted by length within pools of 50 batches, then the batches are shuffled; the short batch stays last. A kind of
    example says in `collate` what becomes of them.

    Args:
        sort_lengths: int64 (examples,), by which they are sorted. Where two lengths matter, their sum.
        batch_size: examples a batch.
        seed: of the order, which is another one each epoch; None: always sorted by length.
    """

    carries_state = False

    def __init__(self, sort_lengths: Tensor, batch_size: int, seed: int | None = None) -> None:
        self.sort_lengths, self.batch_size, self.seed = sort_lengths, batch_size, seed
        self._order: tuple[int, Tensor] | None = None

    def __len__(self) -> int:
        """Batches an epoch."""
        return -(-len(self.sort_lengths) // self.batch_size)

    def chosen(self, epoch: int, index: int) -> Tensor:
        """The numbers (examples,) of the examples in batch `index` of `epoch`."""
        return self._epoch_order(epoch)[index * self.batch_size : (index + 1) * self.batch_size]

    def batch(self, epoch: int, index: int, rank: int = 0, world: int = 1) -> dict[str, Tensor]:
        """The examples rank::world of batch `index`."""
        whole = self.chosen(epoch, index)
        return self.collate(whole[rank::world], whole)

    @abstractmethod
    def collate(self, mine: Tensor, whole: Tensor) -> dict[str, Tensor]:
        """The examples `mine`, maybe none, as a batch, padded to the longest of `whole`.

        So all processes pad to the same length, and a batch costs each of them the same.

        Args:
            mine: the numbers of this process' share of the batch.
            whole: those of all processes' shares.
        """

    def _epoch_order(self, epoch: int) -> Tensor:
        if self.seed is None:
            epoch = 0
        if self._order is not None and self._order[0] == epoch:
            return self._order[1]
        if self.seed is None:
            order = torch.argsort(self.sort_lengths, stable=True)
        else:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            shuffled = torch.randperm(len(self.sort_lengths), generator=generator)
            pools = torch.split(shuffled, _POOL * self.batch_size)
            order = torch.cat([pool[torch.argsort(self.sort_lengths[pool], stable=True)] for pool in pools])
            batches = list(torch.split(order, self.batch_size))
            # So that a batch's place follows from its number.
            full = len(batches) - (len(batches[-1]) < self.batch_size)
            places = torch.randperm(full, generator=generator).tolist() + list(range(full, len(batches)))
            order = torch.cat([batches[place] for place in places])
        self._order = epoch, order
        return order


def padded(sequences: Sequence[Tensor], time: int, filling: int) -> Tensor:
    """The sequences as columns (time, sequences), filled up with `filling`."""
    made = torch.full((time, len(sequences)), filling)
    for column, tokens in enumerate(sequences):
        made[: len(tokens), column] = tokens
    return made
