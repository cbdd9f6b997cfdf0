"""Batches of pairs of token sequences: a source to read and a target to write."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from steploom.data.bucketing import BucketedBatches, padded
from steploom.models.output_loss import IGNORED

__all__ = ["ParallelBatches"]


class ParallelBatches(BucketedBatches):
    """Pairs in batches of about equal length.

    A batch has "source" int64 (source time, pairs), padded with 0 behind "source_lengths" (pairs,), and int64 (target
    time, pairs) "target_input", the begin mark and the tokens of the target, and "target", the tokens and the end mark.
    Padding has the target `IGNORED` and the input of the begin mark.

    Args:
        sources, targets: the tokens of each pair, without marks; no source is empty.
        begin, end: the marks of the target.
        batch_size: pairs a batch.
        seed: of the order of the pairs, which is another one each epoch; None: always sorted by length.
    """

    def __init__(
        self,
        sources: Sequence[Sequence[int]],
        targets: Sequence[Sequence[int]],
        begin: int,
        end: int,
        batch_size: int,
        seed: int | None = None,
    ) -> None:
        self.begin, self.end = begin, end
        self._sources = [torch.as_tensor(tokens, dtype=torch.long) for tokens in sources]
        self._targets = [torch.as_tensor([*tokens, end], dtype=torch.long) for tokens in targets]
        self._source_lengths = torch.tensor([len(tokens) for tokens in self._sources])
        self._target_lengths = torch.tensor([len(tokens) for tokens in self._targets])
        self.tokens = int(self._target_lengths.sum())
        super().__init__(self._source_lengths + self._target_lengths, batch_size, seed)

    def collate(self, mine: Tensor, whole: Tensor) -> dict[str, Tensor]:
        """The pairs `mine`."""
        source = padded([self._sources[i] for i in mine.tolist()], int(self._source_lengths[whole].max()), 0)
        time = int(self._target_lengths[whole].max())
        target = padded([self._targets[i] for i in mine.tolist()], time, IGNORED)
        before = torch.cat([torch.full_like(target[:1], self.begin), target[:-1]])
        before = torch.where((before == IGNORED) | (target == IGNORED), self.begin, before)
        return {
            "source": source,
            "source_lengths": self._source_lengths[mine],
            "target_input": before,
            "target": target,
        }
