"""PyTorch's attention in products and a softmax; its own kernels would be one operator that no program knows."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional as F

__all__ = ["attention"]


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
    """`scaled_dot_product_attention` (Vaswani et al. 2017), taken apart where no mask of truth values enters it."""
    if is_causal or enable_gqa or (attn_mask is not None and not attn_mask.is_floating_point()):
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )
    scores = query @ key.mT * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if attn_mask is not None:
        scores = scores + attn_mask
    return F.dropout(scores.softmax(-1), dropout_p) @ value
