"""A tagger: a tag for each word of a sentence."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from steploom.layers.crf import CRF, Constraints
from steploom.layers.dropout import TokenDropout
from steploom.models.network import Carry, Loss, Network
from steploom.models.output_loss import IGNORED
from steploom.models.recurrent_shape import RecurrentShape

__all__ = ["Tagger"]


class Tagger(Network):
    """Word embeddings beside a recurrent network over the characters, recurrent layers, then a CRF or softmax.

    The network of Lample et al. 2016 ("Neural architectures for named entity recognition") where the layers are
    bidirectional LSTMs with a CRF on top. Each different word of a batch is spelt once, all of them in one call.

    Args:
        words: size of the vocabulary.
        tags: number of tags.
        shape: the recurrent layers over the words; those over the characters are of the same cell.
        embedding_size: size of a word's vector.
        characters: number of characters; 0: words are not spelt.
        character_embedding_size: size of a character's vector.
        character_hidden_size: units in each direction of the layer over the characters.
        dropout: rate on what enters the first layer and leaves the last.
        unknown: number of the word that stands for what the vocabulary lacks.
        rare: numbers of words seen once: in training they become `unknown` at the rate `word_dropout`, so that it has a
            vector worth something.
        word_dropout: see `rare`.
        crf: whether the tags of a sentence are scored together, rather than each by a softmax.
        constraints: which tags may follow each other; of the CRF alone.
        constrain_training: whether forbidden sequences have no probability in training either.
    """

    comparable_losses = False

    def __init__(
        self,
        words: int,
        tags: int,
        *,
        shape: RecurrentShape,
        embedding_size: int = 100,
        characters: int = 0,
        character_embedding_size: int = 30,
        character_hidden_size: int = 50,
        dropout: float = 0.0,
        unknown: int = 0,
        rare: Sequence[int] = (),
        word_dropout: float = 0.0,
        crf: bool = True,
        constraints: Constraints | None = None,
        constrain_training: bool = False,
    ) -> None:
        super().__init__()
        self.word_dropout = TokenDropout(word_dropout, unknown)
        self.embedding = nn.Embedding(words, embedding_size)
        nn.init.uniform_(self.embedding.weight, -((3 / embedding_size) ** 0.5), (3 / embedding_size) ** 0.5)
        self.rare: Tensor
        self.register_buffer("rare", torch.zeros(words).bool(), persistent=False)
        self.rare[list(rare)] = True
        size = embedding_size
        self.spelt = characters > 0
        if self.spelt:
            self.character_embedding = nn.Embedding(characters, character_embedding_size)
            bound = (3 / character_embedding_size) ** 0.5
            nn.init.uniform_(self.character_embedding.weight, -bound, bound)
            spelling = RecurrentShape(shape.cell, character_hidden_size, 1, bidirectional=True, engine=shape.engine)
            self.spelling = spelling.layers(character_embedding_size)
            size += self.spelling.output_size
        self.input_dropout, self.recurrent = shape.with_input_dropout(size, dropout)
        self.output_dropout = shape.dropout_layer(dropout)
        self.output = nn.Linear(self.recurrent.output_size, tags)
        self.crf = (
            CRF(tags, constraints=constraints, constrain_training=constrain_training, engine=shape.engine)
            if crf
            else None
        )

    def loss(self, batch: dict[str, Tensor], carry: Carry | None) -> Loss:
        """What is to be made small: in training the summed negative log-likelihood of the tags in nats, over the words.

        In evaluation mode it is the number of tags that one would expect to be wrong, the sum of 1 - p(right tag): a
        network that has learnt for long is so sure of itself that its few mistakes rule the likelihood, which grows
        worse while the tags grow better.

        Args:
            batch: what `forward` takes, and "target", int64 (time, batch). A tag of `IGNORED` in a sentence is one that
                the model does not have; it counts nowhere, and in training with a CRF neither does its sentence.
            carry: not used.
        """
        scores, target, lengths = self(batch), batch["target"], batch["lengths"]
        counted = target != IGNORED
        if not self.training:
            right = self.probabilities(scores, lengths).gather(2, target.masked_fill(~counted, 0)[:, :, None])
            return Loss((1 - right[:, :, 0])[counted].sum(), counted.sum())
        if self.crf is None:
            total = nn.functional.cross_entropy(
                scores.flatten(0, 1), target.flatten(), ignore_index=IGNORED, reduction="sum"
            )
            return Loss(total, counted.sum())
        whole = counted.sum(0) == lengths
        if not bool(whole.all()):
            scores, target, lengths = scores[:, whole], target[:, whole], lengths[whole]
        if not len(lengths):
            return Loss(scores.sum() * 0, lengths.sum())
        with torch.autocast(scores.device.type, enabled=False):
            return Loss(-self.crf.log_likelihood(scores, target, lengths).sum(), lengths.sum())

    def probabilities(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The probability (time, batch, tags) of each tag at each word, by the scores that `forward` gives."""
        if self.crf is None:
            return scores.softmax(-1)
        with torch.autocast(scores.device.type, enabled=False):
            return self.crf.marginals(scores, lengths)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """The scores (time, batch, tags) of each tag at each word, before any tag looks at its neighbours.

        Args:
            batch: "words", int64 (time, batch), and "lengths", int64 (batch,), of the sentences. Where words are spelt
                also "characters", int64 (characters, words), with "character_lengths", int64 (words,), of the different
                words of the batch, and "spelling", int64 (time, batch): which of them stands where.
        """
        x = self.embedding(self.word_dropout(batch["words"], among=self.rare))
        if self.spelt:
            vectors = self.spell(batch["characters"], batch["character_lengths"])
            x = torch.cat([x, nn.functional.embedding(batch["spelling"], vectors)], -1)
        y, _ = self.recurrent(self.input_dropout(x), lengths=batch["lengths"])
        scores: Tensor = self.output(self.output_dropout(y))
        # The sums over a sentence are too long for half precision.
        return scores.to(self.output.weight.dtype)

    def spell(self, characters: Tensor, lengths: Tensor) -> Tensor:
        """A vector (words, size) of each word from its characters (characters, words): the two final states."""
        _, state = self.spelling(self.character_embedding(characters), lengths=lengths)
        # The first state of the cell is its output.
        return torch.cat([state[0][0], state[0][1]], -1)

    @torch.no_grad()
    def tag(self, batch: dict[str, Tensor]) -> list[list[int]]:
        """The best tags of each sentence: by Viterbi, or each word's best."""
        scores, lengths = self(batch), batch["lengths"]
        best = scores.argmax(-1) if self.crf is None else self.crf.decode(scores, lengths)
        return [column[:length] for column, length in zip(best.t().tolist(), lengths.tolist(), strict=True)]
