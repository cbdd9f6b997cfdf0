"""The activations that a cell takes by name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from steploom.errors import CellError, nearest

__all__ = ["ACTIVATIONS", "find_activation"]


def identity(x: Tensor) -> Tensor:
    """`x` itself: the activation of a linear recurrence."""
    return x


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": identity,
}


def find_activation(activation: str | Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The activation of that name, or the callable that was given.

    Raises:
        CellError: no activation has that name, or it is neither a name nor a callable.
    """
    if isinstance(activation, str):
        if activation not in ACTIVATIONS:
            hint = nearest(activation, ACTIVATIONS) or f" Choose one of {', '.join(ACTIVATIONS)}, or give a callable."
            raise CellError(f"No activation is called '{activation}'.{hint}")
        return ACTIVATIONS[activation]
    if not callable(activation):
        raise CellError(f"activation must be a name or a callable, found {activation!r}.")
    return activation
