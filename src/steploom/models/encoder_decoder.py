"""The encoder-decoder: a source sequence in, a target sequence out, token by token."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from steploom.errors import OptionError, nearest
from steploom.layers.hard_attention import MovingBaseline
from steploom.layers.products import SharedProducts
from steploom.models.decoder import Decoder, DecoderState, Run
from steploom.models.encoder import Bridge, Encoder
from steploom.models.network import Carry, Loss, Network
from steploom.models.output_loss import IGNORED, linear_log_probs, linear_losses
from steploom.models.professor import Professor
from steploom.models.recurrent_shape import RecurrentShape
from steploom.models.sampling_schedule import SamplingSchedule

__all__ = ["FEEDBACKS", "FORCINGS", "EncoderDecoder"]

FORCINGS = ("teacher", "scheduled", "free", "professor")
"""What the decoder may be fed in training."""

FEEDBACKS = ("argmax", "sample")
"""Which of the network's own tokens it is fed."""


class EncoderDecoder(Network):
    """An encoder, a decoder and what stands between them: attention, or the last state alone.

    It is also a `steploom.decoding.StepModel`: `encode` gives the state before the first token, `step` and `select`
    carry it on, and `attention` reads where the last step looked.

    Dropout stands on what enters each layer and on what enters the output layer, at the rates of the two shapes.

    Args:
        source_size, target_size: tokens of the two vocabularies.
        begin: the token that the decoder reads first.
        end: the token that ends a target.
        encoder: the encoder's layers, in one direction or both.
        decoder: the decoder's layers, in one direction.
        embedding_size: size of a token's vector.
        attention: "additive", "dot", "general" or "none".
        attend: "after" the decoder's step (Luong et al. 2015) or "before" it (Bahdanau et al. 2015); see `Decoder`.
        hard: whether the attention looks at one place alone, learnt by reward.
        input_feeding: whether what was found joins the next input.
        share_embeddings: whether source and target, of one vocabulary, have one embedding.
        tie_embeddings: whether the target's embedding is also the output layer's weight.
        label_smoothing: share of each target's mass that training spreads over the vocabulary.
        entropy: weight of the entropy in the reward of a hard attention.
        forcing: what the decoder is fed in training; one of `FORCINGS`:
            "teacher": the true tokens.
            "scheduled": for each token a coin says whether it is the true one or the network's own (Bengio et al.
            2015); `schedule` says how the coin falls.
            "free": its own tokens alone.
            "professor": the true ones; and the states it has then must not be told from those it has when it is fed its
            own draws (Lamb et al. 2016).
        feedback: which token is its own: "argmax" or "sample", a draw; professor forcing always draws.
        schedule: of "scheduled"; the updates it counts are a buffer, so that a training that goes on is where it was.
        professor_weight: weight of the discriminator's loss, as if it were a loss of each token.

    Raises:
        OptionError: an option is unknown, or two contradict each other.
    """

    updates: Tensor

    def __init__(
        self,
        source_size: int,
        target_size: int,
        *,
        begin: int,
        end: int,
        encoder: RecurrentShape,
        decoder: RecurrentShape,
        embedding_size: int = 256,
        attention: str = "general",
        attend: str = "after",
        hard: bool = False,
        input_feeding: bool = True,
        share_embeddings: bool = False,
        tie_embeddings: bool = False,
        label_smoothing: float = 0.0,
        entropy: float = 0.01,
        forcing: str = "teacher",
        feedback: str = "argmax",
        schedule: SamplingSchedule | None = None,
        professor_weight: float = 1.0,
    ) -> None:
        super().__init__()
        for name, found, choices in (("forcing", forcing, FORCINGS), ("feedback", feedback, FEEDBACKS)):
            if found not in choices:
                raise OptionError(
                    f"{name}: expected one of {', '.join(choices)}, found '{found}'.{nearest(found, choices)}"
                )
        if not 0 <= label_smoothing < 1:
            raise OptionError(f"label_smoothing: expected a number from 0 to below 1, found {label_smoothing}")
        if share_embeddings and source_size != target_size:
            raise OptionError(
                f"share_embeddings: source and target must have one vocabulary, found {source_size} and {target_size} "
                "tokens"
            )
        self.begin, self.end = begin, end
        self.label_smoothing = label_smoothing
        target = nn.Embedding(target_size, embedding_size)
        source = target if share_embeddings else nn.Embedding(source_size, embedding_size)
        for embedding in (source, target):
            nn.init.uniform_(embedding.weight, -0.1, 0.1)
        self.encoder = Encoder(source, encoder)
        self.decoder = Decoder(
            target,
            decoder,
            self.encoder.output_size,
            attention=attention,
            attend=attend,
            hard=hard,
            input_feeding=input_feeding,
            vector_size=embedding_size if tie_embeddings else None,
        )
        self.bridge = Bridge(self.encoder.recurrent, self.decoder.recurrent)
        self.tied = tie_embeddings
        if not tie_embeddings:
            self.output_weight = nn.Parameter(torch.empty(target_size, self.decoder.vector_size))
            nn.init.uniform_(self.output_weight, -0.1, 0.1)
        self.output_bias = nn.Parameter(torch.zeros(target_size))
        self.baseline: MovingBaseline | None = None
        if hard:
            self.baseline = MovingBaseline(entropy, reaches_later=self.decoder.is_recurrent_in_attention)
        self.forcing, self.feedback, self.professor_weight = forcing, feedback, professor_weight
        # In evaluation mode the true tokens are read, and a hard attention looks at the most probable place.
        self.comparable_losses = forcing in ("teacher", "professor") and not hard
        self.schedule = schedule or SamplingSchedule()
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        self.professor: Professor | None = None
        if forcing == "professor":
            self.professor = Professor(self.decoder.recurrent.output_size, engine=decoder.engine)

    @property
    def weight(self) -> Tensor:
        """The output layer's weight (target vocabulary, size)."""
        return self.decoder.embedding.weight if self.tied else self.output_weight

    def loss(self, batch: dict[str, Tensor], carry: Carry | None = None) -> Loss:
        """The summed cross entropy in nats over the targets that count.

        In evaluation mode it is that of teacher forcing, without label smoothing.

        Args:
            batch: "source" int64 (source_time, batch) and "source_lengths" (batch,); "target_input" and "target", int64
                (target_time, batch): the second is the first a step later, `IGNORED` in its padding.
            carry: not used; sentences do not go on in the next batch.
        """
        state = self.encode(batch["source"], batch["source_lengths"])
        true, target = batch["target_input"], batch["target"]
        forcing = self.forcing if self.training else "teacher"
        if forcing == "scheduled":
            kept = torch.rand(true.shape, device=true.device) < self.schedule.true_share(int(self.updates))
            self.updates += 1
            fed = self.mixed(true, kept, state, self.feedback)
        elif forcing == "free":
            fed = self.mixed(true, torch.zeros_like(true, dtype=torch.bool), state, self.feedback)
        else:
            fed = true
        run = self.decoder(fed, state)
        loss = self._loss(run, target)
        if forcing == "professor" and self.professor is not None:
            own = self.mixed(true, torch.zeros_like(true, dtype=torch.bool), state, "sample")
            free = self.decoder(own, state)
            lengths = (target != IGNORED).sum(0)
            penalty = self.professor_weight * loss.weight * self.professor(run.outputs, free.outputs, lengths)
            return Loss(loss.total + _gradient_alone(penalty), loss.weight, reported=loss.reported)
        return loss

    @torch.no_grad()
    def mixed(self, true: Tensor, kept: Tensor, state: DecoderState, feedback: str) -> Tensor:
        """The tokens (time, batch) that the decoder reads if, where `kept` is false, it is fed its own.

        They are found first and read as known tokens afterwards: no gradient passes through the choice of a token, so
        nothing is lost, and everything but the choice runs for all steps at once. Dropout draws anew for the choice.

        Args:
            true: the true tokens (time, batch); the first ones are always read.
            kept: bool (time, batch).
            state: before the first token, a row a source.
            feedback: "argmax" or "sample".
        """
        fed = [true[0]]
        rest = kept[1:].flip(0).long().cumprod(0).flip(0).bool().all(1)
        for place in range(1, len(true)):
            # From here on only true tokens are read: what the network would say is not asked.
            if bool(rest[place - 1]):
                return torch.cat((torch.stack(fed), true[place:]))
            logits, state = self.step(fed[-1], state)
            own = logits.argmax(-1) if feedback == "argmax" else torch.multinomial(logits.float().softmax(-1), 1)[:, 0]
            fed.append(torch.where(kept[place], true[place], own))
        return torch.stack(fed)

    def _loss(self, run: Run, target: Tensor) -> Loss:
        counts = target != IGNORED
        smoothing = self.label_smoothing if self.training else 0.0
        found = linear_losses(run.vectors[counts], self.weight, self.output_bias, target[counts], smoothing)
        total, each, plain = found
        if self.training and self.baseline is not None and run.choices is not None:
            losses = each.new_zeros(counts.shape).masked_scatter(counts, each)
            surrogate = self.baseline(run.choices, losses, counts)
            total = total + _gradient_alone(surrogate)
        return Loss(total, counts.sum(), reported=plain if smoothing else None)

    def encode(self, source: Tensor, source_lengths: Tensor | None = None) -> DecoderState:
        """Reads sources (source_time, batch) and gives the state before the first target token, a row a source."""
        outputs, states = self.encoder(source, source_lengths)
        layers = self.bridge(states, self.decoder.recurrent)
        return self.decoder.start(layers, outputs, source_lengths)

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """The logits (rows, target vocabulary) of the token after `tokens` (rows,), and the new state."""
        vector, state = self.decoder.step(tokens, state)
        with SharedProducts():
            return nn.functional.linear(vector, self.weight, self.output_bias), state

    def select(self, state: DecoderState, rows: Tensor) -> DecoderState:
        """The state of some rows. The memory is copied only where a source is left out or has more rows than others."""
        return state.select(rows)

    def attention(self, state: DecoderState) -> Tensor | None:
        """Where the last step looked: the weights (rows, source_time); None without attention."""
        return state.weights

    @torch.no_grad()
    def log_probs(self, batch: dict[str, Tensor]) -> Tensor:
        """The log-probability of each target (target_time, batch) under teacher forcing; 0 where none counts."""
        run = self.decoder(batch["target_input"], self.encode(batch["source"], batch["source_lengths"]))
        counts = batch["target"] != IGNORED
        found = linear_log_probs(run.vectors[counts], self.weight, self.output_bias, batch["target"][counts])
        return found.new_zeros(counts.shape).masked_scatter(counts, found)


def _gradient_alone(part: Tensor) -> Tensor:
    """A part of the loss of which the gradient is wanted, but not the value: it would hide the loss of the tokens."""
    return part - part.detach()
