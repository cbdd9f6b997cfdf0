"""Token batches for language models: contiguous streams with carried state, and lines kept whole."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from steploom.data.batches import share
from steploom.data.bucketing import BucketedBatches, padded
from steploom.models.output_loss import IGNORED

__all__ = ["LineBatches", "StreamBatches"]


class StreamBatches:
    """One running text in parallel columns, read `bptt` steps at a time; the state is carried from batch to batch.

    The text of N tokens is cut into `batch_size` columns of equal length, the last one padded, so that every token is a
    target exactly once an epoch. The first token of the text is predicted from the token `start`.

    A batch has "input" and "target", int64 (time, columns); padding has the target `IGNORED`.

    Args:
        tokens: the text (N,).
        start: the token that the text is taken to follow.
        batch_size: columns; fewer where the text is short, so that a column is at least `bptt` tokens long.
        bptt: steps of a batch (the last one of an epoch may have fewer).
    """

    carries_state = True

    def __init__(self, tokens: Tensor | Sequence[int], start: int, batch_size: int, bptt: int) -> None:
        tokens = torch.as_tensor(tokens, dtype=torch.long)
        columns = max(1, min(batch_size, len(tokens) // bptt))
        self.length = -(-len(tokens) // columns)
        self.columns, self.bptt = columns, bptt
        self.tokens = len(tokens)
        padded = torch.full((columns * self.length,), IGNORED)
        padded[: len(tokens)] = tokens
        before = torch.cat([torch.tensor([start]), padded[:-1]])
        # Padding is read too, as the start token: what is read there reaches no target that counts.
        before = torch.where(before == IGNORED, start, before)
        self._target = padded.view(columns, self.length).t().contiguous()
        self._input = before.view(columns, self.length).t().contiguous()

    def __len__(self) -> int:
        """Batches an epoch."""
        return -(-self.length // self.bptt)

    def batch(self, epoch: int, index: int, rank: int = 0, world: int = 1) -> dict[str, Tensor]:
        """Steps index * bptt to (index + 1) * bptt of this rank's block of columns; every epoch is the same."""
        steps = slice(index * self.bptt, (index + 1) * self.bptt)
        columns = share(self.columns, rank, world)
        return {"input": self._input[steps, columns], "target": self._target[steps, columns]}


class LineBatches(BucketedBatches):
    """Lines that are independent of each other, each kept whole from <bos> to <eos>, in batches of about equal length.

    A batch has "input" and "target", int64 (time, lines). A line of n tokens is n + 1 targets: its tokens and <eos>.
    Padding stands behind the line with the target `IGNORED`; nothing carries over from batch to batch.

    Args:
        lines: the tokens of each line, without the marks.
        begin, end: the marks.
        batch_size: lines a batch.
        seed: of the order of the lines, which is another one each epoch; None: always sorted by length.
    """

    def __init__(
        self, lines: Sequence[Sequence[int]], begin: int, end: int, batch_size: int, seed: int | None = None
    ) -> None:
        self.begin = begin
        self._targets = [torch.as_tensor([*line, end], dtype=torch.long) for line in lines]
        self._lengths = torch.tensor([len(target) for target in self._targets])
        self.tokens = int(self._lengths.sum())
        super().__init__(self._lengths, batch_size, seed)

    def collate(self, mine: Tensor, whole: Tensor) -> dict[str, Tensor]:
        """The lines `mine`."""
        time = int(self._lengths[whole].max())
        targets = [self._targets[i] for i in mine.tolist()]
        first = torch.full((1, len(mine)), self.begin)
        before = padded([target[:-1] for target in targets], time - 1, self.begin)
        return {"input": torch.cat([first, before]), "target": padded(targets, time, IGNORED)}
