"""Networks that name a class: what all of them share, and the one over sequences."""

from __future__ import annotations

from abc import abstractmethod
from typing import cast

import torch
from torch import Tensor, nn

from steploom.layers.dropout import TokenDropout
from steploom.layers.pooling import Pooling
from steploom.layers.shift import RandomShift
from steploom.models.network import Carry, Loss, Network
from steploom.models.recurrent_shape import RecurrentShape

__all__ = ["Classifier", "SequenceClassifier"]


class Classifier(Network):
    """A network with a score for each class.

    The loss is the cross entropy, weighted by class where weights are given. Label smoothing (Szegedy et al. 2016)
    holds in training alone, and the loss that is reported is without it, so that losses can be compared.

    Args:
        classes: how many.
        class_weights: (classes,) what a term of the loss counts; None: all the same.
        label_smoothing: share of the probability that the target gives to all classes alike.
    """

    def __init__(self, classes: int, class_weights: Tensor | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.classes, self.label_smoothing = classes, label_smoothing
        # They follow from the options, so the weights on disk do not hold them.
        self.register_buffer("class_weights", class_weights, persistent=False)

    @abstractmethod
    def logits(self, batch: dict[str, Tensor]) -> Tensor:
        """The scores (batch, classes) of a batch."""

    def loss(self, batch: dict[str, Tensor], carry: Carry | None) -> Loss:
        """The summed cross entropy in nats; `batch` has "label", int64 (batch,), beside the inputs."""
        return self.cross_entropy(self.logits(batch), batch["label"])

    def cross_entropy(self, logits: Tensor, label: Tensor) -> Loss:
        """The loss of scores (examples, classes) against classes (examples,)."""
        weights = cast("Tensor | None", self.class_weights)
        smoothing = self.label_smoothing if self.training else 0.0
        total = nn.functional.cross_entropy(logits, label, weights, reduction="sum", label_smoothing=smoothing)
        weight = float(len(label)) if weights is None else weights[label].sum()
        if not smoothing:
            return Loss(total, weight)
        plain = nn.functional.cross_entropy(logits.detach(), label, weights, reduction="sum")
        return Loss(total, weight, reported=plain)

    @torch.no_grad()
    def probabilities(self, batch: dict[str, Tensor]) -> Tensor:
        """The probability (batch, classes) of each class."""
        return torch.softmax(self.logits(batch).float(), -1)


class SequenceClassifier(Classifier):
    """Embedded tokens, or vectors as they are; recurrent layers; one vector a sequence; a score for each class.

    Dropout stands on what enters the layers, between them, and on what leaves the pooling.

    Args:
        classes: how many.
        shape: the recurrent layers.
        vocabulary_size: tokens; None: the inputs are vectors.
        input_size: size of a token's vector, or of a step's.
        pooling: "last", "mean", "max" or "attention" (`steploom.layers.pooling.Pooling`).
        input_dropout, output_dropout: rates before the layers and behind the pooling; None: that between the layers.
        word_dropout: share of the tokens that become `unknown` in training, so that its vector is learnt too
            (Iyyer et al. 2015, "Deep unordered composition rivals syntactic methods for text classification").
        unknown: the number of the unknown token; None: word dropout sets the vector of a token to 0 instead.
        shift: moves the vectors, which are images, in training; None: nothing does.
        class_weights, label_smoothing: as for `Classifier`.
    """

    def __init__(
        self,
        classes: int,
        shape: RecurrentShape,
        *,
        vocabulary_size: int | None = None,
        input_size: int = 128,
        pooling: str = "last",
        input_dropout: float | None = None,
        output_dropout: float | None = None,
        word_dropout: float = 0.0,
        unknown: int | None = None,
        shift: RandomShift | None = None,
        class_weights: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(classes, class_weights, label_smoothing)
        self.shift = nn.Identity() if shift is None else shift
        self.embedding = None if vocabulary_size is None else nn.Embedding(vocabulary_size, input_size)
        if self.embedding is not None:
            nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.word_dropout = word_dropout
        self.token_dropout = None if unknown is None else TokenDropout(word_dropout, unknown)
        self.input_dropout, self.recurrent = shape.with_input_dropout(input_size, input_dropout)
        self.pooling = Pooling(pooling, self.recurrent.output_size, shape.bidirectional)
        self.output_dropout = nn.Dropout(shape.dropout if output_dropout is None else output_dropout)
        self.output = nn.Linear(self.recurrent.output_size, classes)

    def logits(self, batch: dict[str, Tensor]) -> Tensor:
        """The scores (batch, classes).

        Args:
            batch: "tokens", int64 (time, batch), or "vectors", (time, batch, size); "lengths", int64 (batch,), where
                not all sequences are full.
        """
        lengths = batch.get("lengths")
        return cast(Tensor, self.output(self.output_dropout(self.pooling(self._outputs(batch, lengths), lengths))))

    @torch.no_grad()
    def attention(self, batch: dict[str, Tensor]) -> Tensor | None:
        """The weights (time, batch) of the steps of a batch; None where the pooling is no attention."""
        if self.pooling.kind != "attention":
            return None
        lengths = batch.get("lengths")
        return self.pooling.weights(self._outputs(batch, lengths), lengths)

    def _outputs(self, batch: dict[str, Tensor], lengths: Tensor | None) -> Tensor:
        """What leaves the recurrent layers (time, batch, size)."""
        x = self._embedded(batch["tokens"]) if self.embedding is not None else self.shift(batch["vectors"])
        return self.recurrent(self.input_dropout(x), None, lengths)[0]

    def _embedded(self, tokens: Tensor) -> Tensor:
        assert self.embedding is not None
        if self.token_dropout is not None:
            return cast(Tensor, self.embedding(self.token_dropout(tokens)))
        x = cast(Tensor, self.embedding(tokens))
        if not self.training or self.word_dropout == 0:
            return x
        dropped = torch.rand(tokens.shape, device=tokens.device) < self.word_dropout
        return x.masked_fill(dropped[:, :, None], 0)
