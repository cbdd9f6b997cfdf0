"""What training asks of a data set: batches by number, without a hidden position."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Batches", "in_order", "share"]


class Batches(Protocol):
    """A training or validation set, cut into numbered batches.

    `batch` is a pure function of its arguments and of the seed that the constructor was given. There is no position
    to save: a training that was killed, or that runs in several processes, asks for the batch it needs.
    """

    @property
    def carries_state(self) -> bool:
        """True where the state after batch i enters batch i + 1 of the same epoch (contiguous streams)."""
        ...

    def __len__(self) -> int:
        """The number of batches in an epoch, the same for every rank."""
        ...

    def batch(self, epoch: int, index: int, rank: int = 0, world: int = 1) -> dict[str, Tensor]:
        """The share of process `rank` of `world` in batch `index` (from 0) of `epoch` (from 0).

        The shares of all ranks together are the batch of a single process: independent examples are dealt out as rows
        rank::world, the columns of contiguous streams as blocks (`share`).
        """
        ...


def in_order(batches: Batches, device: torch.device) -> Iterator[dict[str, Tensor]]:
    """All batches of epoch 0, one after the other, on a device: a part that is to be scored, not learnt from."""
    for index in range(len(batches)):
        yield {name: values.to(device) for name, values in batches.batch(0, index).items()}


def share(count: int, rank: int, world: int) -> slice:
    """The block of `count` contiguous items that belongs to process `rank` of `world`.

    The first blocks take the remainder.
    """
    size, rest = divmod(count, world)
    start = rank * size + min(rank, rest)
    return slice(start, start + size + (rank < rest))
