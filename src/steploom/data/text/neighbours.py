"""Sentences with the one before and the one after, in batches of about equal length."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from steploom.data.bucketing import BucketedBatches
from steploom.models.output_loss import IGNORED

__all__ = ["NeighbourBatches", "sentence_columns"]


class NeighbourBatches(BucketedBatches):
    """Each sentence that has a neighbour in its document, with its neighbours as what is to be told from it.

    A batch has "sentence", int64 (time, batch), and its "lengths" (batch,); and for `side` "before" and "after"
    "{side}_input" and "{side}_target", int64 (time of the side, batch): the neighbour from <bos> on, and the neighbour
    up to <eos>. Padding, and a neighbour that is not there, has the target `IGNORED`.

    Args:
        documents: for each document the tokens of its sentences, without marks; no sentence is empty.
        begin, end: the marks.
        batch_size: sentences a batch.
        seed: of their order, which is another one each epoch; None: always sorted by length.
    """

    def __init__(
        self,
        documents: Sequence[Sequence[Sequence[int]]],
        begin: int,
        end: int,
        batch_size: int,
        seed: int | None = None,
    ) -> None:
        self.begin, self.end = begin, end
        sizes = torch.tensor([len(document) for document in documents])
        sentences = [sentence for document in documents for sentence in document]
        self._lengths = torch.tensor([len(sentence) for sentence in sentences])
        self._tokens = torch.tensor([token for sentence in sentences for token in sentence])
        self._starts = self._lengths.cumsum(0) - self._lengths
        ends = sizes.cumsum(0)
        number = torch.arange(len(sentences))
        first, last = torch.zeros(len(sentences), dtype=torch.bool), torch.zeros(len(sentences), dtype=torch.bool)
        first[ends - sizes], last[ends - 1] = True, True
        self._neighbours = {
            "before": torch.where(first, -1, number - 1),
            "after": torch.where(last, -1, number + 1),
        }
        self._with_neighbours = number[~(first & last)]
        around = sum(self._length_of(side[self._with_neighbours]) for side in self._neighbours.values())
        self.targets = int(torch.as_tensor(around).sum())
        super().__init__(self._lengths[self._with_neighbours] + around, batch_size, seed)

    def chosen(self, epoch: int, index: int) -> Tensor:
        """The numbers of the sentences in batch `index` of `epoch`; those without a neighbour count here too."""
        return self._with_neighbours[super().chosen(epoch, index)]

    def collate(self, mine: Tensor, whole: Tensor) -> dict[str, Tensor]:
        """The sentences `mine`."""
        made = {
            "sentence": self._gathered(mine, int(self._lengths[whole].max()), self.end),
            "lengths": self._lengths[mine],
        }
        for side, neighbours in self._neighbours.items():
            time = max(1, int(self._length_of(neighbours[whole]).max()))
            there = neighbours[mine]
            lengths = self._length_of(there)
            tokens = self._gathered(there.clamp(min=0), time, self.end)
            step = torch.arange(time)[:, None]
            target = torch.where(step < lengths - 1, tokens, self.end).masked_fill(step >= lengths, IGNORED)
            first = torch.full((1, len(mine)), self.begin)
            made[f"{side}_input"] = torch.cat([first, tokens[:-1]])
            made[f"{side}_target"] = target
        return made

    def _length_of(self, sentences: Tensor) -> Tensor:
        """Targets of each sentence: its words and <eos>; 0 for one that is not there."""
        return torch.where(sentences < 0, 0, self._lengths[sentences] + 1)

    def _gathered(self, sentences: Tensor, time: int, filler: int) -> Tensor:
        """The tokens (time, sentences), padded with `filler`."""
        step = torch.arange(time)[:, None]
        places = (self._starts[sentences] + step).clamp(max=len(self._tokens) - 1)
        return torch.where(step < self._lengths[sentences], self._tokens[places], filler)


def sentence_columns(sentences: Sequence[Sequence[int]], filler: int) -> tuple[Tensor, Tensor]:
    """Tokens int64 (time, sentences), padded with `filler`, and lengths (sentences,).

    An empty sentence is one `filler`.
    """
    rows = [torch.as_tensor(sentence if len(sentence) else [filler], dtype=torch.long) for sentence in sentences]
    lengths = torch.tensor([len(row) for row in rows])
    return torch.nn.utils.rnn.pad_sequence(rows, padding_value=filler), lengths
