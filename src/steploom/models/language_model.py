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
    enters each layer and on what leaves the last one, never inside the recurrence. With `variational` each mask is held
    for all steps of a batch (Gal & Ghahramani 2016). With `tie_embeddings` the output layer's weight is the embedding
    (Press & Wolf 2017; Inan et al. 2017); where the two sizes differ, a linear map stands between.

    Args:
        vocabulary_size: tokens.
        cell: name or import path of the cell.
        embedding_size: size of a token's vector.
        hidden_size: size of the cell's first state.
        num_layers: recurrent layers.
        dropout: rate between layers; also of the embedding and of the output unless the next two say otherwise.
        input_dropout, output_dropout: rates of what enters the first and leaves the last layer; None: `dropout`.
        recurrent_dropout: rate of variational dropout inside the recurrent product; needs the reference engine.
        residual: whether a layer's input is added to its output where the two have one size.
        zoneout: share of each state's units that keep their value at a step; needs the reference engine.
        variational: whether a mask holds for all steps of a batch.
        tie_embeddings: whether the embedding is also the output layer's weight.
        engine: what runs the cell over time.
    """

    def __init__(
        self,
        vocabulary_size: int,
        *,
        cell: str = "lstm",
        embedding_size: int = 128,
        hidden_size: int = 128,
        num_layers: int = 1,
        dropout: float = 0.0,
        input_dropout: float | None = None,
        output_dropout: float | None = None,
        recurrent_dropout: float = 0.0,
        residual: bool = False,
        zoneout: float = 0.0,
        variational: bool = False,
        tie_embeddings: bool = False,
        engine: str = "auto",
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        shape = RecurrentShape(
            cell,
            hidden_size,
            num_layers,
            dropout=dropout,
            variational=variational,
            recurrent_dropout=recurrent_dropout,
            residual=residual,
            zoneout=zoneout,
            engine=engine,
        )
        self.recurrent = shape.layers(embedding_size)
        self.input_dropout, self.output_dropout = (
            shape.input_dropout(input_dropout),
            shape.dropout_layer(output_dropout),
        )
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
