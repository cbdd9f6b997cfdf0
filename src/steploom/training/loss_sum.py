"""The losses of many batches as one."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from steploom.errors import SteploomError
from steploom.training.state import State

__all__ = ["LossSum", "check_finite"]


class LossSum:
    """Total and weight of losses, summed on a device: where they come up, none of them makes it wait.

    Args:
        device: where the sums are.
        total, weight: what to begin with.

    Attributes:
        sums: total and weight (2,).
    """

    def __init__(self, device: torch.device, total: float = 0.0, weight: float = 0.0) -> None:
        # float64 keeps the sum of a long epoch exact enough; one kind of device has none.
        kind = torch.float32 if device.type == "mps" else torch.float64
        self.sums = torch.tensor([total, weight], dtype=kind, device=device)

    def terms(self, total: Tensor, weight: Tensor | float) -> Tensor:
        """Total and weight of a batch (2,), to be added as they are or first to those of other processes."""
        kept = torch.as_tensor(weight, dtype=self.sums.dtype, device=self.sums.device)
        return torch.stack((total.detach().to(self.sums), kept))

    def add(self, terms: Tensor) -> None:
        """Adds what `terms` gave."""
        self.sums += terms

    def values(self) -> tuple[float, float]:
        """Total and weight."""
        total, weight = self.sums.tolist()
        return total, weight

    def mean(self) -> float:
        """The mean loss; NaN where nothing was counted."""
        total, weight = self.values()
        return total / weight if weight else math.nan


def check_finite(total: float, state: State) -> None:
    """Raises an error where a training loss is not a finite number.

    Args:
        total: the loss.
        state: the place in training.

    Raises:
        SteploomError: it is not.
    """
    if not math.isfinite(total):
        raise SteploomError(
            "the training loss is not a finite number any more "
            f"(epoch {state.epoch + 1}, step {state.step + 1}). "
            "A smaller --lr, or a smaller --clip-norm, usually helps"
        )
