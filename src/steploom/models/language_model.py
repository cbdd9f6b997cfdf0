"""A recurrent language model: token by token, the distribution of the next one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from steploom.models.network import Carry, Loss, Network
from steploom.models.output_loss import IGNORED, linear_cross_entropy, linear_log_probs
from steploom.models.recurrent_shape import RecurrentShape

__all__ = ["LanguageModel"]


class LanguageModel(Network):
    """Embedding, recurrent layers, softmax over the vocabulary.

    It is also a `steploom.decoding.StepModel`, whose state is that of its recurrent layers.

    Dropout stands where Zaremba, Sutskever & Vinyals 2014 ("Recurrent neural network regularization") put it: on what
    enters each layer and on what leaves the last one, never inside the recurrence. With a variational shape each mask
    is held for all steps of a batch (Gal & Ghahramani 2016). With `tie_embeddings` the output layer's weight is the
    embedding (Press & Wolf 2017; Inan et al. 2017); where the two sizes differ, a linear map stands between.

    Args:
        vocabulary_size: tokens.
        shape: the recurrent layers, in one direction: backwards they would have read the token that comes next.
        embedding_size: size of a token's vector.
        input_dropout, output_dropout: rates of what enters the first and leaves the last layer; None: that between the
            layers.
        tie_embeddings: whether the embedding is also the output layer's weight.
    """

    def __init__(
        self,
        vocabulary_size: int,
        shape: RecurrentShape,
        *,
        embedding_size: int = 128,
        input_dropout: float | None = None,
        output_dropout: float | None = None,
        tie_embeddings: bool = False,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.input_dropout, self.recurrent = shape.with_input_dropout(embedding_size, input_dropout)
        self.output_dropout = shape.dropout_layer(output_dropout)
        output_size = self.recurrent.output_size
        self.tied = tie_embeddings
        self.bridge = (
            nn.Linear(output_size, embedding_size, bias=False)
            if tie_embeddings and output_size != embedding_size
            else nn.Identity()
        )
        self.output_bias = nn.Parameter(torch.zeros(vocabulary_size))
        if not tie_embeddings:
            self.output_weight = nn.Parameter(torch.empty(vocabulary_size, output_size))
            nn.init.uniform_(self.output_weight, -0.1, 0.1)
        # Small equal logits at the start; Zaremba et al. and most after them start the embedding so.
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)

    def loss(self, batch: dict[str, Tensor], carry: Carry | None) -> Loss:
        """The summed cross entropy in nats over the targets that count.

        Args:
            batch: "input" and "target", int64 (time, batch); a target of `IGNORED` counts nowhere.
            carry: the state that the batch goes on from.
        """
        hidden, state = self._hidden(batch["input"], carry)
        target = batch["target"].flatten()
        hidden = hidden.flatten(0, 1)
        counts = target != IGNORED
        if not bool(counts.all()):
            hidden, target = hidden[counts], target[counts]
        total = linear_cross_entropy(hidden, self.weight, self.output_bias, target)
        return Loss(total, counts.sum(), state)

    @property
    def weight(self) -> Tensor:
        """The output layer's weight (vocabulary, size)."""
        return self.embedding.weight if self.tied else self.output_weight

    def forward(self, tokens: Tensor, state: Carry | None = None) -> tuple[Tensor, Carry]:
        """Logits (time, batch, vocabulary) of the token after each of `tokens` (time, batch), and the final state."""
        hidden, state = self._hidden(tokens, state)
        return nn.functional.linear(hidden, self.weight, self.output_bias), state

    @torch.no_grad()
    def log_probs(self, tokens: Tensor, target: Tensor, state: Carry | None = None) -> tuple[Tensor, Carry]:
        """The log-probability of each target (time, batch) after the tokens (time, batch), and the final state."""
        hidden, state = self._hidden(tokens, state)
        found = linear_log_probs(hidden.flatten(0, 1), self.weight, self.output_bias, target.flatten())
        return found.view(target.shape), state

    @torch.no_grad()
    def read(self, tokens: Tensor, state: Carry | None = None) -> Carry:
        """The state after `tokens` (time, batch), which may be of no length."""
        if not len(tokens):
            return self.recurrent.initial_state(tokens.shape[1]) if state is None else state
        return self._hidden(tokens, state)[1]

    def step(self, tokens: Tensor, state: Carry) -> tuple[Tensor, Carry]:
        """The logits (rows, vocabulary) of the token after `tokens` (rows,), and the new state."""
        logits, state = self(tokens[None], state)
        return logits[0], state

    def select(self, state: Carry, rows: Tensor) -> Carry:
        """The state of some rows."""
        return tuple(part[:, rows] for part in state)

    def _hidden(self, tokens: Tensor, state: Carry | None) -> tuple[Tensor, Carry]:
        """What enters the output layer (time, batch, size), and the final state."""
        y, state = self.recurrent(self.input_dropout(self.embedding(tokens)), state)
        return self.bridge(self.output_dropout(y)), state
