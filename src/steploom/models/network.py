"""What training asks of a network: the summed loss of a batch, and the state to carry to the next."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

__all__ = ["Carry", "Loss", "Network", "reaching_all"]

Carry: TypeAlias = tuple[Tensor, ...]
"""The states of a batch, each (layers, batch, size). The batch is the second dimension in every one of them."""


@dataclass(frozen=True)
class Loss:
    """The loss of one batch.

    Args:
        total: the SUM of the losses, a scalar with its graph.
        weight: how many terms were counted, a scalar. Training minimises total / weight over the batches of all
            processes, so that padding and missing values count nowhere and several processes give the result of one.
        carry: the states after the batch where the next batch continues it, else None. Training detaches them.
        reported: the sum that people read as training loss, a scalar without graph, where training minimises another
            one: the losses without label smoothing. None: `total`.
    """

    total: Tensor
    weight: Tensor | float
    carry: Carry | None = None
    reported: Tensor | None = None


class Network(nn.Module, ABC):
    """A model with its loss. A task builds one; `steploom.training.fit.fit` trains it.

    Attributes:
        comparable_losses: whether the loss that training reports and the loss in evaluation mode are the same quantity.
    """

    comparable_losses: bool = True

    @property
    def device(self) -> torch.device:
        """Where the weights are, all on one device."""
        return next(self.parameters()).device

    @abstractmethod
    def loss(self, batch: dict[str, Tensor], carry: Carry | None) -> Loss:
        """The loss of `batch`, starting from the states `carry` (None: the initial states)."""


def reaching_all(loss: Tensor, module: nn.Module) -> Tensor:
    """The same `loss`, with a gradient, if only 0, for all of the module's weights that learn.

    An optimiser passes over weights without a gradient and moves those whose gradient is 0 on. Of processes that train
    together each needs one for every weight, or the others wait for it; a process alone should do as they do.
    """
    return loss + sum(0.0 * parameter.sum() for parameter in module.parameters() if parameter.requires_grad)
