"""The perplexity of tokens, and that of the naive baseline: how frequent each token was in training."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from steploom.data.text.vocabulary import Vocabulary

__all__ = ["perplexity", "unigram_log_probs"]


def perplexity(nats: float) -> float:
    """The perplexity of so many nats a token; a number for JSON even where that would be infinite."""
    return math.exp(min(nats, 700.0))


def unigram_log_probs(counts: Sequence[int], vocabulary: Vocabulary) -> Tensor:
    """The log-probability of each token (vocabulary,): its share of the training targets, each count raised by one."""
    raised = torch.tensor(counts, dtype=torch.float64) + 1
    if vocabulary.begin is not None:
        # A beginning is read, and never a target.
        raised[vocabulary.begin] = 0
    return torch.log(raised / raised.sum())
