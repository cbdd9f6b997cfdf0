"""PyTorch's bilinear form as one product and a sum; its own kernel would be one operator that no program knows."""

from __future__ import annotations

from torch import Tensor

__all__ = ["bilinear"]


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """As `torch.nn.functional.bilinear`: y_o = aᵀ W_o b + bias_o for inputs (..., i), (..., j), weight (o, i, j)."""
    outputs, size, other = weight.shape
    matrix = weight.transpose(0, 1).reshape(size, outputs * other)
    forms = (input1 @ matrix).reshape(*input1.shape[:-1], outputs, other)
    y = (forms * input2.unsqueeze(-2)).sum(-1)
    return y if bias is None else y + bias
