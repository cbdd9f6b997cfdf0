"""The running mean of a network's weights (Polyak & Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["Average"]


class Average:
    """A mean of the weights after each step, in which older steps weigh less.

    Args:
        parameters: the weights.
        decay: how much of the mean stays at a step; 0: there is no mean, and nothing is done.
        kept: the mean where it goes on from, `means` of an earlier one; else it begins with the weights.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float, kept: Sequence[Tensor] = ()) -> None:
        self._parameters: list[Tensor] = list(parameters) if decay else []
        self._decay = decay
        first = kept or [p.detach() for p in self._parameters]
        pairs = zip(self._parameters, first, strict=True) if decay else ()
        self.means = [mean.to(parameter.device).clone() for parameter, mean in pairs]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes up the weights after `step` steps."""
        if self.means:
            # Early on the mean is over fewer steps, so that the first weights do not linger in it.
            decay = min(self._decay, step / (step + 9))
            torch._foreach_lerp_(self.means, self._parameters, 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Puts the mean in the place of the weights and the weights in its own."""
        for parameter, mean in zip(self._parameters, self.means, strict=True):
            value = parameter.clone()
            parameter.copy_(mean)
            mean.copy_(value)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within it, the network has the mean for its weights."""
        self.swap()
        try:
            yield
        finally:
            self.swap()
