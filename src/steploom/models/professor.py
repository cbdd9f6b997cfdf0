"""Professor forcing: a discriminator that must not tell how a decoder was run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steploom.cells.gru import GRUCell
from steploom.layers.recurrent import Recurrent
from steploom.models.network import reaching_all

__all__ = ["Professor"]

# "Professor forcing", section 3.1: the discriminator learns while it is right in less than 99 % of the cases, and the
# decoder is pushed while it is right in more than 75 %.
_TOO_GOOD = 0.99
_GOOD_ENOUGH = 0.75


class Professor(nn.Module):
    """Tells hidden states of a decoder that was fed the true tokens from those of one that was fed its own (Lamb et al.
    2016, "Professor forcing: A new algorithm for training recurrent networks").

    The discriminator is a GRU in both directions over the states and a network with one hidden layer over its mean
    outputs. It learns to tell the two apart; the gradient that reaches the decoder is reversed, so that one optimiser
    serves both (Ganin & Lempitsky 2015). As in the paper, the discriminator learns only while its accuracy is below
    99 %, and the decoder is pushed only while it is above 75 %; the accuracy is a moving mean over the batches.

    Args:
        state_size: features of the decoder's output.
        hidden_size: units of the discriminator.
        engine: what runs its GRU over time.
    """

    accuracy: Tensor

    def __init__(self, state_size: int, hidden_size: int = 64, engine: str = "auto") -> None:
        super().__init__()
        self.recurrent = Recurrent(GRUCell(state_size, hidden_size), bidirectional=True, engine=engine)
        self.verdict = nn.Sequential(nn.Linear(2 * hidden_size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, 1))
        self.register_buffer("accuracy", torch.full((), 0.5))

    def forward(self, taught: Tensor, free: Tensor, lengths: Tensor) -> Tensor:
        """The mean of the discriminator's losses, in nats, whose gradient is meant for both.

        Args:
            taught: outputs of the decoder fed the true tokens (time, batch, state_size).
            free: outputs of the decoder fed its own tokens, in the same shape.
            lengths: steps of each sequence that count (batch,).
        """
        accuracy = float(self.accuracy)
        states = torch.cat((taught, free), 1)
        states = _reverse_gradient(states) if accuracy > _GOOD_ENOUGH else states.detach()
        learns = accuracy < _TOO_GOOD
        scores = self._scores(states, torch.cat((lengths, lengths)), learns)
        truth = (torch.arange(len(scores), device=scores.device) < len(lengths)).to(scores)
        if self.training:
            with torch.no_grad():
                right = ((scores > 0) == (truth > 0)).to(self.accuracy.dtype).mean()
                self.accuracy.lerp_(right, 0.1)
        loss = F.binary_cross_entropy_with_logits(scores, truth)
        return loss if learns else reaching_all(loss, self)

    def _scores(self, states: Tensor, lengths: Tensor, learns: bool) -> Tensor:
        """Above 0 where the states look as if the true tokens had been fed (batch,)."""
        with _fixed(self) if not learns else nullcontext():
            read, _ = self.recurrent(states, lengths=lengths)
            # The outputs in the padding are 0.
            mean = read.sum(0) / lengths.clamp(min=1).to(read)[:, None]
            return self.verdict(mean)[:, 0]  # type: ignore[no-any-return]


@contextmanager
def _fixed(module: nn.Module) -> Iterator[None]:
    """Within it, what the module computes has no gradient for its weights."""
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return -grad


def _reverse_gradient(x: Tensor) -> Tensor:
    return _Reverse.apply(x)  # type: ignore[no-untyped-call, no-any-return]
