"""Skip-thought vectors: a sentence is told by what stands before and after it."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from steploom.layers.dropout import TokenDropout
from steploom.layers.pooling import Pooling
from steploom.layers.recurrent import Recurrent
from steploom.models.network import Carry, Loss, Network
from steploom.models.output_loss import IGNORED, linear_cross_entropy
from steploom.models.recurrent_shape import RecurrentShape

__all__ = ["POOLINGS", "SkipThought"]

POOLINGS: dict[str, tuple[str, ...]] = {
    "last": ("last",),
    "mean": ("mean",),
    "max": ("max",),
    "all": ("last", "mean", "max"),
}
"""What a sentence's vector is made of, by the name of the pooling."""


class SkipThought(Network):
    """One encoder and two decoders, which write the sentence before and the sentence after (Kiros et al. 2015).

    The sentence's vector is the encoder's last output (the reversed direction's first), or the mean or the largest of
    its outputs over the words, or all three side by side. Each decoder gets it twice, as the paper has it: mapped to
    the first of its initial states, and beside each word it reads. The embedding is shared by all three, the output
    layer by the two decoders. What stands beside each word is a linear map of the vector to the size of a word: the
    vector may be several times as large, and would then cost more than the words.

    Args:
        vocabulary_size: tokens.
        encoder, decoder: the recurrent layers; the decoder's read forwards only.
        embedding_size: size of a word's vector.
        pooling: how the vector is made of the encoder's outputs.
        tie_embeddings: whether the embedding is also the output layer's weight (Press & Wolf 2017), behind a linear
            map.
        word_dropout: share of the decoders' input words that become `unknown` in training, so that they must look at
            the vector (Bowman et al. 2016).
        unknown: the unknown word's token.
    """

    def __init__(
        self,
        vocabulary_size: int,
        *,
        encoder: RecurrentShape,
        decoder: RecurrentShape,
        embedding_size: int = 300,
        pooling: str = "last",
        tie_embeddings: bool = False,
        word_dropout: float = 0.0,
        unknown: int = 0,
    ) -> None:
        super().__init__()
        self.word_dropout = TokenDropout(word_dropout, unknown)
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.dropout = encoder.input_dropout()
        self.encoder = encoder.layers(embedding_size)
        size = self.encoder.output_size
        self.parts = nn.ModuleList(Pooling(part, size, encoder.bidirectional) for part in POOLINGS[pooling])
        self.vector_size = size * len(self.parts)
        sides = ("before", "after")
        self.contexts = nn.ModuleDict({side: nn.Linear(self.vector_size, embedding_size) for side in sides})
        decoders = {side: decoder.layers(2 * embedding_size) for side in sides}
        self.decoders = nn.ModuleDict(decoders)
        written = decoders["before"].output_size
        self.first_states = nn.ModuleDict({side: nn.Linear(self.vector_size, written) for side in self.decoders})
        self.output_dropout = decoder.dropout_layer()
        self.tied = tie_embeddings
        self.bridge = nn.Linear(written, embedding_size, bias=False) if tie_embeddings else nn.Identity()
        self.output_bias = nn.Parameter(torch.zeros(vocabulary_size))
        if not tie_embeddings:
            self.output_weight = nn.Parameter(torch.empty(vocabulary_size, written))
            nn.init.uniform_(self.output_weight, -0.1, 0.1)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)

    @property
    def weight(self) -> Tensor:
        """The output layer's weight (vocabulary, size)."""
        return self.embedding.weight if self.tied else self.output_weight

    def vectors(self, sentence: Tensor, lengths: Tensor) -> Tensor:
        """The vectors (batch, vector_size) of sentences (time, batch) of `lengths` (batch,), each 1 or more."""
        y, _ = self.encoder(self.dropout(self.embedding(sentence)), lengths=lengths)
        return torch.cat([cast(Tensor, part(y, lengths)) for part in self.parts], -1)

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """What enters the output layer (targets, size), and the targets (targets,), of both sides, padding left out."""
        vector = self.vectors(batch["sentence"], batch["lengths"])
        hidden, targets = [], []
        for side in self.decoders:
            target = batch[f"{side}_target"]
            counts = target != IGNORED
            step = torch.arange(1, len(target) + 1, device=target.device)[:, None]
            lengths = (counts * step).amax(0)
            hidden.append(self._decode(side, batch[f"{side}_input"], lengths, vector)[counts])
            targets.append(target[counts])
        return self.bridge(torch.cat(hidden)), torch.cat(targets)

    def loss(self, batch: dict[str, Tensor], carry: Carry | None) -> Loss:
        """The summed cross entropy in nats over the words of both neighbours; `batch` as of `NeighbourBatches`."""
        hidden, target = self(batch)
        total = linear_cross_entropy(hidden, self.weight, self.output_bias, target)
        return Loss(total, torch.tensor(len(target), device=target.device))

    def _decode(self, side: str, tokens: Tensor, lengths: Tensor, vector: Tensor) -> Tensor:
        """The outputs (time, batch, size) of a decoder that reads `tokens` (time, batch)."""
        decoder = cast(Recurrent, self.decoders[side])
        words = self.dropout(self.embedding(self.word_dropout(tokens)))
        context = self.contexts[side](vector)
        read = torch.cat([words, context.expand(len(tokens), *context.shape)], -1)
        first = torch.tanh(self.first_states[side](vector))
        # Only the first state, which is the output: what the others mean, and may be, is the cell's own affair.
        others = decoder.initial_state(len(vector), like=first)[1:]
        y, _ = decoder(read, (first.expand(1, *first.shape), *others), lengths)
        return cast(Tensor, self.output_dropout(y))
