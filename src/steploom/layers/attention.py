"""Attention: where in a memory to look, and what is found there.

A memory (time, batch, size), such as the outputs of an encoder, is prepared once. It is then asked by queries of one
step or of many steps at once:

    memory = attention.prepare(outputs, lengths)
    found = attention(query, memory)

The scores a_ij of Bahdanau et al. 2015 stand in `found.weights`: how much of source position j enters step i.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from steploom.errors import OptionError

__all__ = ["AdditiveAttention", "Attention", "Choices", "Found", "Memory", "MultiplicativeAttention"]


@dataclass(frozen=True)
class Memory:
    """What is attended to, made ready for many queries.

    Attributes:
        values: (batch, source_time, size), 0 in the padding.
        keys: what the queries are compared with, (batch, source_time, key_size).
        padded: bool (batch, source_time), true in the padding, but in no place of a row of length 0; None where there
            is no padding.
        empty: bool (batch,), true where a row has length 0; None where no row has.
    """

    values: Tensor
    keys: Tensor
    padded: Tensor | None
    empty: Tensor | None

    def __len__(self) -> int:
        """The batch: how many sequences there are to look at."""
        return len(self.values)

    def select(self, rows: Tensor) -> Memory:
        """Some of the sequences (int64 indices)."""
        parts = (self.values, self.keys, self.padded, self.empty)
        return Memory(*(None if part is None else part[rows] for part in parts))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Found:
    """What a query found.

    Attributes:
        context: (batch, size), or (time, batch, size) for queries of many steps: the memory's values in the mean that
            the weights say; 0 for an empty memory.
        weights: (batch, source_time) or (time, batch, source_time): a distribution over the memory, 0 in the padding,
            and 0 throughout for an empty memory.
        choices: what a hard attention drew; None for a soft one.
    """

    context: Tensor
    weights: Tensor
    choices: Choices | None = None


@dataclass(frozen=True)
class Choices:
    """The positions that a hard attention drew, one a query.

    Attributes:
        log_prob: log-probability of the position drawn, with its gradient, in the shape of the query without its size.
        entropy: of the distribution it was drawn from, in nats, with its gradient; the same shape.
    """

    log_prob: Tensor
    entropy: Tensor


class Attention(nn.Module, ABC):
    """Scores of queries against a memory, and the mean of its values weighted by their softmax.

    Args:
        query_size: features of a query.
        memory_size: features of a place in the memory.
    """

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.query_size, self.memory_size = query_size, memory_size

    @abstractmethod
    def keys(self, values: Tensor) -> Tensor:
        """What queries are compared with (batch, source_time, key_size), from the values (batch, source_time, size)."""

    @abstractmethod
    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """Unnormalised scores (batch, time, source_time) of queries (batch, time, query_size)."""

    def prepare(self, memory: Tensor, lengths: Tensor | None = None) -> Memory:
        """Makes a memory ready: its part in the scores is computed once for all queries.

        Args:
            memory: (source_time, batch, memory_size).
            lengths: places of each sequence, integers (batch,) from 0 to source_time; None where all are full. What
                stands in the padding has no influence.

        Raises:
            OptionError: an argument has the wrong shape.
        """
        if memory.dim() != 3 or memory.shape[-1] != self.memory_size:
            raise OptionError(
                f"memory must be (source_time, batch, memory_size) with memory_size {self.memory_size}, "
                f"found {tuple(memory.shape)}."
            )
        padded = empty = None
        values = memory.transpose(0, 1)
        if lengths is not None:
            if lengths.shape != memory.shape[1:2]:
                raise OptionError(
                    f"lengths must be integers (batch,) = ({memory.shape[1]},), found {tuple(lengths.shape)}."
                )
            lengths = lengths.to(memory.device)
            padded = torch.arange(len(memory), device=memory.device) >= lengths[:, None]
            # Twice guarded: a NaN in the padding would come through a product with a weight of 0.
            values = values.masked_fill(padded[..., None], 0)
            if bool((lengths == 0).any()):
                empty = lengths == 0
                padded = padded & ~empty[:, None]
        values = values.contiguous()
        return Memory(values, self.keys(values), padded, empty)

    def forward(self, query: Tensor, memory: Memory) -> Found:
        """Looks into a memory.

        Args:
            query: (batch, query_size) of one step, or (time, batch, query_size) of many steps at once.
            memory: what `prepare` made.

        Raises:
            OptionError: the query has the wrong shape.
        """
        self._check(query, memory)
        if query.dim() == 2:
            weights = self.distribution(query[:, None], memory)
            return Found(torch.bmm(weights, memory.values)[:, 0], weights[:, 0])
        weights = self.distribution(query.transpose(0, 1), memory)
        return Found(torch.bmm(weights, memory.values).transpose(0, 1), weights.transpose(0, 1))

    def distribution(self, query: Tensor, memory: Memory) -> Tensor:
        """The weights (batch, time, source_time) of queries (batch, time, query_size)."""
        return _without_empty(torch.softmax(self.masked_scores(query, memory), -1), memory)

    def masked_scores(self, query: Tensor, memory: Memory) -> Tensor:
        """The scores (batch, time, source_time), -inf in the padding."""
        scores = self.scores(query, memory.keys)
        return scores if memory.padded is None else scores.masked_fill(memory.padded[:, None], -torch.inf)

    def _check(self, query: Tensor, memory: Memory) -> None:
        if query.dim() not in (2, 3) or query.shape[-1] != self.query_size or query.shape[-2] != len(memory):
            raise OptionError(
                f"query must be (batch, query_size) or (time, batch, query_size) with batch {len(memory)} and "
                f"query_size {self.query_size}, found {tuple(query.shape)}."
            )

    def extra_repr(self) -> str:
        """The constructor's arguments, for `print`."""
        return f"query_size={self.query_size}, memory_size={self.memory_size}"


class AdditiveAttention(Attention):
    """Attention by a small network (Bahdanau, Cho & Bengio 2015, "Neural machine translation by jointly learning to
    align and translate"): e_ij = v . tanh(W s_i + U h_j + b).

    Args:
        query_size: features of a query s.
        memory_size: features of a place h in the memory.
        size: units of the network; None: as many as the query has features.
    """

    def __init__(self, query_size: int, memory_size: int, size: int | None = None) -> None:
        super().__init__(query_size, memory_size)
        size = size or query_size
        self.query = nn.Linear(query_size, size, bias=False)
        self.memory = nn.Linear(memory_size, size)
        self.score = nn.Linear(size, 1, bias=False)

    def keys(self, values: Tensor) -> Tensor:
        """U h_j + b."""
        return self.memory(values)  # type: ignore[no-any-return]

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """v . tanh(W s_i + U h_j + b)."""
        return torch.tanh(self.query(query)[:, :, None] + keys[:, None]) @ self.score.weight[0]


class MultiplicativeAttention(Attention):
    """Attention by a product (Luong, Pham & Manning 2015, "Effective approaches to attention-based neural machine
    translation"): e_ij = s_i . h_j (dot) or s_i . W h_j (general).

    Args:
        query_size: features of a query s.
        memory_size: features of a place h in the memory.
        form: "dot", for which the two sizes must be equal, or "general".
        scaled: whether scores are divided by the square root of the query's size (Vaswani et al. 2017).

    Raises:
        OptionError: an unknown form, or unequal sizes for "dot".
    """

    def __init__(self, query_size: int, memory_size: int, form: str = "general", scaled: bool = False) -> None:
        super().__init__(query_size, memory_size)
        if form not in ("dot", "general"):
            raise OptionError(f'form must be "dot" or "general", found {form!r}.')
        if form == "dot" and query_size != memory_size:
            raise OptionError(
                f"dot attention needs a query and a memory of one size, found {query_size} and {memory_size}. "
                "Take the general form, or make both one size: an encoder in two directions has twice its units."
            )
        self.memory = nn.Linear(memory_size, query_size, bias=False) if form == "general" else None
        self.scale = query_size**-0.5 if scaled else 1.0

    def keys(self, values: Tensor) -> Tensor:
        """W h_j, or h_j."""
        keys = values if self.memory is None else self.memory(values)
        return keys if self.scale == 1 else keys * self.scale

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """s_i . W h_j."""
        return torch.bmm(query, keys.mT)


def _without_empty(weights: Tensor, memory: Memory) -> Tensor:
    return weights if memory.empty is None else weights.masked_fill(memory.empty[:, None, None], 0)
