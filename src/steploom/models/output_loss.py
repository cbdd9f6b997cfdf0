"""The loss of a large output layer: cross entropy of `hidden @ weight.T + bias`, never holding all the logits."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from steploom.layers.products import linear, padded_rows

__all__ = ["IGNORED", "linear_cross_entropy", "linear_log_probs", "linear_losses"]

IGNORED = -100
"""The target of a place that counts nowhere: padding."""

# Logits held at a time. A block this size stays in the caches of a CPU; all the logits of a batch (700 places of 10,000
# words: 28 MB, and three copies of them) would go through the memory several times. Measured best of 2**19 to 2**23.
_BLOCK = 1 << 22


def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, bias: Tensor, target: Tensor, label_smoothing: float = 0.0
) -> Tensor:
    """The SUM over places of the cross entropy between softmax(hidden @ weight.T + bias) and the targets, in nats.

    The gradients are computed together with the loss, block by block, so the logits are computed once and never stored.
    Under autocast the products run in its type, and what is summed stays in the type of the weights. Differentiable
    once.

    Args:
        hidden: (places, size).
        weight: (vocabulary, size).
        bias: (vocabulary,).
        target: int64 (places,).
        label_smoothing: share of each target's mass that is spread over the whole vocabulary (Szegedy et al. 2016),
            from 0 to below 1.
    """
    return linear_losses(hidden, weight, bias, target, label_smoothing)[0]


def linear_losses(
    hidden: Tensor, weight: Tensor, bias: Tensor, target: Tensor, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """The sum of `linear_cross_entropy`, and without gradient the loss of each place (places,) and the sum that there
    would be without label smoothing.
    """
    needs_gradient = torch.is_grad_enabled() and any(t.requires_grad for t in (hidden, weight, bias))
    device = hidden.device.type
    kind = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
    with torch.autocast(device, enabled=False):
        found = _LinearCrossEntropy.apply(hidden, weight, bias, target, label_smoothing, needs_gradient, kind)  # type: ignore[no-untyped-call]
    return cast(tuple[Tensor, Tensor, Tensor], found)


@torch.no_grad()
def linear_log_probs(hidden: Tensor, weight: Tensor, bias: Tensor, target: Tensor) -> Tensor:
    """The log-probability of each target (places,), arguments as for `linear_cross_entropy`; without gradient."""
    found = [
        torch.log_softmax(linear(part, weight, bias), -1).gather(1, wanted[:, None])[:, 0]
        for part, wanted in _blocks(hidden, target, len(weight))
    ]
    return torch.cat(found)


def _blocks(hidden: Tensor, target: Tensor, vocabulary: int) -> list[tuple[Tensor, Tensor]]:
    # Blocks of equal size: a small rest would waste a product.
    blocks = max(1, -(-len(hidden) * vocabulary // _BLOCK))
    size = padded_rows(max(1, -(-len(hidden) // blocks)))
    return list(zip(torch.split(hidden, size), torch.split(target, size), strict=True))


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        target: Tensor,
        smoothing: float,
        needs_gradient: bool,
        kind: torch.dtype,
    ) -> tuple[Tensor, Tensor, Tensor]:
        losses, plain = [], weight.new_zeros(())
        grads = [torch.empty_like(hidden), torch.zeros_like(weight), torch.zeros_like(bias)] if needs_gradient else []
        weight_in_kind, bias_in_kind = weight.to(kind), bias.to(kind)
        start = 0
        for part, wanted in _blocks(hidden.to(kind), target, len(weight)):
            places = len(part)
            part = nn.functional.pad(part, (0, 0, 0, padded_rows(places) - places))
            logits = linear(part, weight_in_kind, bias_in_kind).to(weight.dtype)
            whole = torch.softmax(logits, -1)
            # The rows that were added say nothing.
            whole[places:] = 0
            logits, slope = logits[:places], whole[:places]
            # The normaliser by way of the largest probability, which never underflows: one pass over the logits less
            # than by log_softmax and exp.
            normaliser = logits.amax(-1) - slope.amax(-1).log()
            aimed = logits.gather(1, wanted[:, None])[:, 0]
            if smoothing:
                plain += (normaliser - aimed).sum()
                aimed = torch.lerp(aimed, logits.mean(-1), smoothing)
            losses.append(normaliser - aimed)
            if not needs_gradient:
                continue
            if smoothing:
                slope -= smoothing / len(weight)
            slope.scatter_add_(1, wanted[:, None], slope.new_full((places, 1), smoothing - 1.0))
            grads[2] += slope.sum(0)
            whole = whole.to(kind)
            grads[0][start : start + places] = linear(whole, weight_in_kind.t())[:places]
            grads[1] += linear(whole.t(), part.t())
            start += places
        each = torch.cat(losses)
        ctx.save_for_backward(*grads)
        if not smoothing:
            plain = each.sum()
        ctx.mark_non_differentiable(each, plain)
        return each.sum(), each, plain

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        return (*(g * grad for g in ctx.saved_tensors), None, None, None, None)
