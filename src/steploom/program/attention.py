"""PyTorch's attention in products and a softmax; its own kernels would be one operator that no program knows."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["attention", "flash_attention"]

# What exp takes for 0 beside any score; minus infinity would make a row without any place NaN.
NOWHERE = -1e30


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """`scaled_dot_product_attention` (Vaswani et al. 2017), taken apart."""
    if enable_gqa:
        heads = query.shape[-3] // key.shape[-3]
        key, value = key.repeat_interleave(heads, -3), value.repeat_interleave(heads, -3)
    scores = query @ key.mT * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    seen = torch.ones(scores.shape[-2:], dtype=torch.bool).tril() if is_causal else None
    if attn_mask is not None and attn_mask.is_floating_point():
        scores = scores + attn_mask
    elif attn_mask is not None:
        seen = attn_mask
    if seen is not None:
        scores = torch.where(seen, scores, scores.new_full((), NOWHERE))
    weights = scores.softmax(-1)
    if seen is not None:
        # Where nothing is seen, nothing is found.
        weights = torch.where(seen, weights, weights.new_zeros(()))
    return F.dropout(weights, dropout_p) @ value


def flash_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    attn_mask: Tensor | None = None,
    scale: float | None = None,
) -> tuple[Tensor, None]:
    """PyTorch's kernel on the CPU, without the sums that it keeps for its derivative; `torch.nn.MultiheadAttention`
    calls it where no trace sees the function."""
    return attention(query, key, value, attn_mask, dropout_p, is_causal, scale), None
