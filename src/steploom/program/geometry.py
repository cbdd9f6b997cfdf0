"""Distances and cross products in arithmetic."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["cdist", "cross"]


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: int | None = None) -> Tensor:
    """As `torch.cdist`: the distances of (..., n, d) and (..., m, d) from each other."""
    apart: Tensor = torch.linalg.vector_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, dim=-1)
    return apart


def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """As `torch.linalg.cross`."""
    return input.roll(-1, dim) * other.roll(-2, dim) - input.roll(-2, dim) * other.roll(-1, dim)
