"""Independent examples of unequal length in batches of about equal length."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["LengthBuckets"]

# Batches sorted by length together: enough that a batch is even, few enough that chance still mixes the examples.
_POOL = 50


class LengthBuckets:
    """Which examples make up batch `index` of an epoch, a pure function of both and of the seed.

    The examples of an epoch are shuffled, then sorted by length within pools of 50 batches, then the batches are
    shuffled; the short batch stays last.

    Args:
        lengths: int64 (examples,), by which they are sorted. Where two lengths matter, their sum.
        batch_size: examples a batch.
        seed: of the order, which is another one each epoch; None: always sorted by length.
    """

    def __init__(self, lengths: Tensor, batch_size: int, seed: int | None = None) -> None:
        self.lengths, self.batch_size, self.seed = lengths, batch_size, seed
        self._order: tuple[int, Tensor] | None = None

    def __len__(self) -> int:
        """Batches an epoch."""
        return -(-len(self.lengths) // self.batch_size)

    def chosen(self, epoch: int, index: int) -> Tensor:
        """The numbers (examples,) of the examples in batch `index` of `epoch`."""
        return self._epoch_order(epoch)[index * self.batch_size : (index + 1) * self.batch_size]

    def _epoch_order(self, epoch: int) -> Tensor:
        if self.seed is None:
            epoch = 0
        if self._order is not None and self._order[0] == epoch:
            return self._order[1]
        if self.seed is None:
            order = torch.argsort(self.lengths, stable=True)
        else:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            shuffled = torch.randperm(len(self.lengths), generator=generator)
            pools = torch.split(shuffled, _POOL * self.batch_size)
            order = torch.cat([pool[torch.argsort(self.lengths[pool], stable=True)] for pool in pools])
            batches = list(torch.split(order, self.batch_size))
            # So that a batch's place follows from its number.
            full = len(batches) - (len(batches[-1]) < self.batch_size)
            places = torch.randperm(full, generator=generator).tolist() + list(range(full, len(batches)))
            order = torch.cat([batches[place] for place in places])
        self._order = epoch, order
        return order
