"""Quantiles that PyTorch has not, found on a grid, and what they are made of."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["negative_binomial_log_prob", "negative_binomial_quantile", "spread_out", "student_t_quantile"]

_COUNT_GRID, _ANGLE_GRID = 256, 128


def spread_out(levels: Tensor, beside: Tensor) -> Tensor:
    """Levels (..., K) for each value of `beside` (..., 1)."""
    return levels + torch.zeros_like(beside)


def negative_binomial_log_prob(count: Tensor, mean: Tensor, excess: Tensor) -> Tensor:
    """The logarithm of a count's probability, whose variance is mean + excess * mean^2; all broadcast together.

    To be called with float64: its parts are up to as large as the counts, and nearly cancel.
    """
    inverse = 1 / excess
    product = excess * mean
    return (
        torch.lgamma(count + inverse)
        - torch.lgamma(count + 1)
        - torch.lgamma(inverse)
        - inverse * torch.log1p(product)
        + count * (product.log() - torch.log1p(product))
    )


def negative_binomial_quantile(mean: Tensor, excess: Tensor, levels: Tensor) -> Tensor:
    """Quantiles (..., K) of a negative binomial distribution, whole numbers of at least 0.

    Args:
        mean, excess: (...,), float64; the variance is mean + excess * mean^2.
        levels: between 0 and 1, broadcast with (..., K).
    """
    mean, excess = mean[..., None], excess[..., None]
    deviation = (mean + excess * mean**2).sqrt()
    least = (mean - 12 * deviation).clamp(min=0).floor()
    # In the end, the probability falls as exp(-count / (excess * mean)).
    length = mean + 12 * deviation + 20 * excess * mean + 12 - least
    number = torch.arange(_COUNT_GRID + 1, dtype=mean.dtype, device=mean.device)
    # Cells of counts: single ones as far as the grid reaches, else ever wider ones. The more so the larger the excess,
    # where the sum up to a count grows as its power 1 / excess: over decades, and slowly.
    power = 2 + 1.5 * excess.clamp(max=20)
    edge = least + torch.maximum(number, (length * (number / _COUNT_GRID) ** power).round())
    first, width = edge[..., :-1], edge.diff(dim=-1)
    mass = width * negative_binomial_log_prob(first + (width - 1) / 2, mean, excess).exp()
    mass = mass / mass.sum(-1, keepdim=True)
    below = mass.cumsum(-1)
    wanted = spread_out(levels, mean).contiguous()
    cell = torch.searchsorted(below, wanted).clamp(max=_COUNT_GRID - 1)
    inside = 1 - (below.gather(-1, cell) - wanted) / mass.gather(-1, cell).clamp(min=1e-12)
    return first.gather(-1, cell) + (inside.clamp(0, 1) * (width.gather(-1, cell) - 1)).round()


def student_t_quantile(freedom: Tensor, levels: Tensor) -> Tensor:
    """Quantiles of Student's t, from its integral on a grid.

    With x = sqrt(freedom) tan a, its density is cos(a)^(freedom - 1).

    Args:
        freedom: (..., 1).
        levels: broadcast with it.
    """
    angle = torch.linspace(0, math.pi / 2, _ANGLE_GRID + 1, dtype=freedom.dtype, device=freedom.device)
    density = angle[:-1].cos() ** (freedom - 1)
    middle = (angle[:-1] + angle[1:]).mul(0.5).cos() ** (freedom - 1)
    right = torch.cat((density[..., 1:], torch.zeros_like(density[..., :1])), -1)
    below = ((density + 4 * middle + right) / 6).cumsum(-1)
    below = torch.cat((torch.zeros_like(below[..., :1]), below), -1) / below[..., -1:]
    wanted = spread_out((2 * levels - 1).abs(), freedom).contiguous()
    below = below.expand(*wanted.shape[:-1], _ANGLE_GRID + 1).contiguous()
    place = torch.searchsorted(below, wanted).clamp(1, _ANGLE_GRID)
    low, high = below.gather(-1, place - 1), below.gather(-1, place)
    step = math.pi / 2 / _ANGLE_GRID
    a = (place - 1 + ((wanted - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)) * step
    return (2 * levels - 1).sign() * freedom.sqrt() * a.clamp(max=math.pi / 2 - step / 2).tan()
