"""Dropout that `torch.nn` does not have: with one mask a sequence, and of tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from steploom.errors import OptionError

__all__ = ["SequenceDropout", "TokenDropout", "check_rate", "dropout_mask"]


def check_rate(name: str, rate: object) -> float:
    """`rate` as a float, if it is a probability below 1.

    Raises:
        OptionError: it is not; `name` is the argument that the message names.
    """
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < 1:
        raise OptionError(f"{name} must be a number from 0 to below 1, found {rate!r}.")
    return float(rate)


def dropout_mask(batch: int, size: int, rate: float, like: Tensor) -> Tensor:
    """A mask (batch, size) that holds 0 with probability `rate` and otherwise 1 / (1 - rate), made where `like` is."""
    return torch.empty(batch, size, dtype=like.dtype, device=like.device).bernoulli_(1 - rate).div_(1 - rate)


class SequenceDropout(nn.Module):
    """Dropout with one mask for all steps of a sequence (Gal & Ghahramani 2016, "A theoretically grounded application
    of dropout in recurrent neural networks").

    Args:
        rate: probability, from 0 to below 1, that a feature is dropped from the whole sequence.
        batch_first: whether sequences come as (batch, time, size) rather than (time, batch, size).

    Raises:
        OptionError: the rate is out of range.
    """

    def __init__(self, rate: float, batch_first: bool = False) -> None:
        super().__init__()
        self.rate = check_rate("rate", rate)
        self.batch_first = batch_first

    def forward(self, x: Tensor) -> Tensor:
        """`x` (time, batch, size), or (batch, time, size) with `batch_first`; features are dropped in training mode."""
        if not self.training or self.rate == 0:
            return x
        batch = x.shape[0 if self.batch_first else 1]
        mask = dropout_mask(batch, x.shape[-1], self.rate, x)
        return x * mask.unsqueeze(1 if self.batch_first else 0)

    def extra_repr(self) -> str:
        """The constructor's arguments, for `print`."""
        return f"rate={self.rate}, batch_first={self.batch_first}"


class TokenDropout(nn.Module):
    """Tokens that become the unknown one at random, as in the word dropout of Iyyer et al. 2015 ("Deep unordered
    composition rivals syntactic methods for text classification").

    Args:
        rate: probability, from 0 to 1, that a token is replaced.
        unknown: the number of the unknown token.
    """

    def __init__(self, rate: float, unknown: int) -> None:
        super().__init__()
        self.rate, self.unknown = rate, unknown

    def forward(self, tokens: Tensor, among: Tensor | None = None) -> Tensor:
        """`tokens`, int64 of any shape, with some replaced while in training mode.

        Args:
            tokens: the tokens.
            among: bool (vocabulary,): which tokens may be replaced; None: all.
        """
        if not self.training or self.rate == 0:
            return tokens
        dropped = torch.rand(tokens.shape, device=tokens.device) < self.rate
        if among is not None:
            dropped = dropped & among[tokens]
        return tokens.masked_fill(dropped, self.unknown)

    def extra_repr(self) -> str:
        """The constructor's arguments, for `print`."""
        return f"rate={self.rate}, unknown={self.unknown}"
