"""What ranks the hypotheses of a beam, and the best rank that an unfinished one can still reach."""

from __future__ import annotations

import torch
from torch import Tensor

from steploom.decoding.settings import DecodingSettings

__all__ = ["attainable", "rank"]

# A position that got no attention at all would make every hypothesis as bad as every other.
_LEAST_COVERAGE = 1e-4


def rank(
    log_prob: Tensor, length: int, settings: DecodingSettings, coverage: Tensor | None, source_lengths: Tensor | None
) -> Tensor:
    """The score of hypotheses of one length: log_prob / length ** length_penalty + coverage_penalty * coverage.

    The coverage is the sum over source positions of log(min(c, 1)), at most 0 (Wu et al. 2016, equation 14).

    Args:
        log_prob: (starts, hypotheses).
        length: their tokens, the end token included.
        settings: the two penalties.
        coverage: c, the attention of each source position in all steps (starts, hypotheses, source time), or None.
        source_lengths: of the sources (starts,); None: all positions count.
    """
    score: Tensor = log_prob / float(max(length, 1)) ** settings.length_penalty
    if coverage is None:
        return score
    logs = coverage.clamp(_LEAST_COVERAGE, 1).log()
    covered = logs.masked_fill(_outside(coverage, source_lengths), 0).sum(-1)
    return score + settings.coverage_penalty * covered


def attainable(
    log_prob: Tensor,
    length: int,
    most: Tensor,
    settings: DecodingSettings,
    coverage: Tensor | None,
    source_lengths: Tensor | None,
    any_length: bool = True,
) -> Tensor:
    """A bound: no continuation of these hypotheses, of one more token at least, has a higher rank.

    A log-probability never rises when a token is added, and is never above 0. So log_prob / length ** p is at most
    log_prob / most ** p for a penalty p of 0 or more, and at most log_prob / (length + 1) ** p for one below 0. The
    coverage is bounded too. Let c_i be a position's coverage now, and R the steps that are left. A step's weights sum
    to 1 at most, so the sum of all min(c_i, 1) rises by R at most. The logarithm is concave, so the sum of S logarithms
    is at most S times the logarithm of the mean (Jensen): S log(min(1, (sum of min(c_i, 1) + R) / S)).

    Args:
        log_prob: (starts, hypotheses).
        length: their tokens.
        most: the most tokens of each start (starts,).
        settings: the two penalties.
        coverage, source_lengths: as for `rank`.
        any_length: False bounds the first term at the present length alone: a rule of thumb, and no proof.
    """
    penalty = settings.length_penalty
    reach = most if penalty > 0 else torch.clamp(most, max=length + 1)
    if not any_length:
        reach = torch.full_like(most, length)
    bound = log_prob / reach.to(log_prob.dtype)[:, None] ** penalty
    if coverage is None:
        return bound
    outside = _outside(coverage, source_lengths)
    covered = coverage.clamp(_LEAST_COVERAGE, 1).masked_fill(outside, 0).sum(-1)
    positions = (~outside).sum(-1).to(log_prob.dtype).clamp(min=1)
    mean = (covered + (most - length)[:, None].clamp(min=0)) / positions
    return bound + settings.coverage_penalty * positions * mean.clamp(max=1).log()


def _outside(coverage: Tensor, source_lengths: Tensor | None) -> Tensor:
    """True in the padding of the sources (starts, 1, source time)."""
    places = torch.arange(coverage.shape[-1], device=coverage.device)
    if source_lengths is None:
        return torch.zeros_like(places, dtype=torch.bool).expand(coverage.shape[0], 1, -1)
    return (places >= source_lengths[:, None])[:, None]
