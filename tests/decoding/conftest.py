"""A small step model for the tests: its logits depend on the whole history, and each row is on its own."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor


class TinyModel:
    """A random recurrent network over a small vocabulary, in float64."""

    def __init__(self, vocabulary: int, seed: int, sharpness: float = 1.0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.vocabulary = vocabulary
        self.embedding = torch.randn(vocabulary, 6, generator=generator, dtype=torch.float64)
        self.recurrent = torch.randn(6, 6, generator=generator, dtype=torch.float64)
        self.output = sharpness * torch.randn(6, vocabulary, generator=generator, dtype=torch.float64)
        self.steps = 0

    def initial(self, rows: int) -> Tensor:
        return torch.zeros(rows, 6, dtype=torch.float64)

    def step(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        self.steps += 1
        state = torch.tanh(self.embedding[tokens] + state @ self.recurrent)
        return state @ self.output, state

    def select(self, state: Tensor, rows: Tensor) -> Tensor:
        return state[rows]


class LookingModel:
    """A random network that looks at a random source at each step, in float64. A row's state holds its source's number.

    Args:
        lengths: of the sources; a source is drawn from the seed and its own number, so that it is the same in a batch.
    """

    def __init__(self, vocabulary: int, seed: int, lengths: tuple[int, ...]) -> None:
        self.inner = TinyModel(vocabulary, seed)
        self.lengths = torch.tensor(lengths)
        self.keys = torch.zeros(len(lengths), max(lengths), 6, dtype=torch.float64)
        for number, length in enumerate(lengths):
            generator = torch.Generator().manual_seed(1000 * seed + number)
            self.keys[number, :length] = 2 * torch.randn(length, 6, generator=generator, dtype=torch.float64)

    def initial(self, sources: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        rows = torch.tensor(sources)
        return self.inner.initial(len(rows)), rows, torch.zeros(len(rows), self.keys.shape[1], dtype=torch.float64)

    def step(self, tokens: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        hidden, sources, _ = state
        logits, hidden = self.inner.step(tokens, hidden)
        scores = (self.keys[sources] @ hidden[:, :, None])[:, :, 0]
        padded = torch.arange(scores.shape[1]) >= self.lengths[sources][:, None]
        weights = scores.masked_fill(padded, -torch.inf).softmax(-1)
        context = (weights[:, None] @ self.keys[sources])[:, 0]
        return logits + context @ self.inner.output, (hidden, sources, weights)

    def select(self, state: tuple[Tensor, ...], rows: Tensor) -> tuple[Tensor, ...]:
        return tuple(part[rows] for part in state)

    def attention(self, state: tuple[Tensor, ...]) -> Tensor:
        return state[2]


Sequences = dict[tuple[tuple[int, ...], bool], float]


def every_sequence(model: TinyModel, start: int, limit: int, end: int | None) -> Sequences:
    """Log-probability of every (tokens, ended) that decoding with this limit can return."""
    found: Sequences = {}

    def extend(tokens: tuple[int, ...], last: int, state: Tensor, total: float) -> None:
        logits, state = model.step(torch.tensor([last]), state)
        log_probs = logits.log_softmax(-1)[0].tolist()
        for token, value in enumerate(log_probs):
            if token == end:
                found[tokens, True] = total + value
            elif len(tokens) + 1 == limit:
                found[(*tokens, token), False] = total + value
            else:
                extend((*tokens, token), token, state, total + value)

    extend((), start, model.initial(1), 0.0)
    assert math.isclose(sum(math.exp(value) for value in found.values()), 1.0, rel_tol=1e-9)
    return found


@pytest.fixture
def tiny_model() -> type[TinyModel]:
    return TinyModel


@pytest.fixture
def looking_model() -> type[LookingModel]:
    return LookingModel


@pytest.fixture(name="every_sequence")
def every_sequence_fixture() -> Callable[..., Sequences]:
    return every_sequence
