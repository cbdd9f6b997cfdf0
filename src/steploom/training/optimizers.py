"""The optimisers by name, and clipping."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from steploom.training.options import TrainOptions

__all__ = ["clip_gradients", "make_optimizer"]


def make_optimizer(parameters: Iterable[nn.Parameter], options: TrainOptions) -> torch.optim.Optimizer:
    """The optimiser `options.optimizer` over `parameters`; the learning rate is set anew before each step."""
    trained = [p for p in parameters if p.requires_grad]
    match options.optimizer:
        case "adam":
            return torch.optim.Adam(trained, lr=options.lr, weight_decay=options.weight_decay)
        case "adamw":
            return torch.optim.AdamW(trained, lr=options.lr, weight_decay=options.weight_decay)
        case "rmsprop":
            return torch.optim.RMSprop(
                trained, lr=options.lr, momentum=options.momentum, weight_decay=options.weight_decay
            )
        case "sgd":
            return torch.optim.SGD(
                trained,
                lr=options.lr,
                momentum=options.momentum,
                nesterov=options.nesterov,
                weight_decay=options.weight_decay,
            )


def clip_gradients(parameters: Iterable[nn.Parameter], value: float, norm: float) -> Tensor | None:
    """Clips each value to [-value, value], then the whole gradient to `norm` (Pascanu et al. 2013); 0 leaves it out.

    Returns:
        the norm before it was clipped, a scalar, or None where no norm was asked for.
    """
    given = [p for p in parameters if p.grad is not None]
    if value > 0:
        nn.utils.clip_grad_value_(given, value)
    return nn.utils.clip_grad_norm_(given, norm) if norm > 0 else None
