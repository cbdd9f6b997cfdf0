"""Hard attention: one place of the memory a step, learnt by trial and reward."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from steploom.errors import OptionError
from steploom.layers.attention import Attention, Choices, Found, Memory

__all__ = ["HardAttention", "MovingBaseline"]


class HardAttention(nn.Module):
    """Attention that looks at one place alone (Xu et al. 2015, "Show, attend and tell", section 4.1).

    In training the place is drawn from the weights that the soft attention would use; in evaluation it is the most
    probable one. Drawing has no derivative: the gradient is estimated from the log-probability of what was drawn and
    the reward it earned (REINFORCE, Williams 1992; see `MovingBaseline`).

    Args:
        attention: scores the places.
    """

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.attention = attention

    def prepare(self, memory: Tensor, lengths: Tensor | None = None) -> Memory:
        """As `Attention.prepare`."""
        return self.attention.prepare(memory, lengths)

    def forward(self, query: Tensor, memory: Memory) -> Found:
        """As `Attention.forward`; the weights are 1 at the place looked at and 0 elsewhere."""
        many = query.dim() == 3
        log_probs = torch.log_softmax(
            self.attention.masked_scores(query.transpose(0, 1) if many else query[:, None], memory), -1
        )
        probabilities = log_probs.exp()
        if self.training:
            drawn = torch.multinomial(probabilities.detach().flatten(0, 1), 1).view(probabilities.shape[:2])
        else:
            drawn = probabilities.argmax(-1)
        values = memory.values
        places = drawn[..., None]
        context = values.gather(1, places.expand(-1, -1, values.shape[-1]))
        weights = torch.zeros_like(probabilities).scatter_(-1, places, 1.0)
        chosen = log_probs.gather(-1, places)[..., 0]
        # In the padding log p is -inf and p is 0.
        entropy = -(probabilities * log_probs.masked_fill(probabilities == 0, 0)).sum(-1)
        if memory.empty is not None:
            empty = memory.empty[:, None]
            weights, context = (part.masked_fill(empty[..., None], 0) for part in (weights, context))
            chosen, entropy = chosen.masked_fill(empty, 0), entropy.masked_fill(empty, 0)
        parts = context, weights, chosen, entropy
        context, weights, chosen, entropy = ((p.transpose(0, 1) if many else p[:, 0]) for p in parts)
        return Found(context, weights, Choices(chosen, entropy))


class MovingBaseline(nn.Module):
    """The part of a loss whose gradient is the REINFORCE estimate, with a moving mean of the rewards as baseline.

    The reward of a draw is minus the losses that it can have changed. The baseline is taken from earlier batches alone,
    so the estimate has no bias; it is moved after it was used.

    Args:
        entropy: weight of the entropy of the draws, which is added to the reward so that the search goes on.
        decay: how much of the mean stays from batch to batch.
        reaches_later: whether a draw changes later losses of its sequence too, as with input feeding; otherwise it is
            credited with the loss of its own step alone, which varies far less.

    Raises:
        OptionError: `entropy` or `decay` is out of its range.
    """

    mean: Tensor
    batches: Tensor

    def __init__(self, entropy: float = 0.01, decay: float = 0.9, reaches_later: bool = False) -> None:
        super().__init__()
        if entropy < 0 or not 0 <= decay < 1:
            raise OptionError(f"entropy must be at least 0 and decay from 0 to below 1, found {entropy} and {decay}.")
        self.entropy, self.decay, self.reaches_later = entropy, decay, reaches_later
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def forward(self, choices: Choices, losses: Tensor, counts: Tensor) -> Tensor:
        """A scalar whose gradient is the estimate, to be added to the summed loss.

        Args:
            choices: what was drawn, (time, batch).
            losses: the loss of each step (time, batch), without gradient; 0 where nothing counts.
            counts: bool (time, batch), where a loss counts.
        """
        rewards, terms = -losses, counts.to(losses.dtype)
        if self.reaches_later:
            rewards, terms = (_from_here_on(part) for part in (rewards, terms))
        # Before the first batch there is no mean yet, and no baseline has no bias either.
        advantage = (rewards - self.mean.to(rewards) * terms) * (terms > 0)
        surrogate = -(advantage.detach() * choices.log_prob).sum()
        if self.entropy:
            surrogate = surrogate - self.entropy * (choices.entropy * counts).sum()
        if self.training:
            self._move(losses, counts)
        return surrogate

    @torch.no_grad()
    def _move(self, losses: Tensor, counts: Tensor) -> None:
        # Early on the mean is over fewer batches, so that the first 0 does not linger in it.
        keep = torch.minimum(self.batches / (self.batches + 1), torch.full_like(self.mean, self.decay))
        mean = -losses.sum() / counts.sum().clamp(min=1)
        self.mean.lerp_(mean.to(self.mean), 1 - keep)
        self.batches += 1


def _from_here_on(values: Tensor) -> Tensor:
    """The sum from each step (time, batch) to the last."""
    return values.flip(0).cumsum(0).flip(0)
