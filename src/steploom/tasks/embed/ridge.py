"""Ridge regression from the features of two vectors to a score, its strength chosen without a look at the test."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["STRENGTHS", "Ridge", "fit_ridge", "pair_features"]

STRENGTHS = tuple(10.0 ** (power / 2) for power in range(-4, 11))
"""The strengths that are tried: 0.01 to 100,000."""

# Of the largest eigenvalue: below it, a direction is noise of the arithmetic.
_SMALLEST = 1e-10


@dataclass(frozen=True)
class Ridge:
    """A fitted regression.

    Args:
        mean, scale: of each feature (features,) in the training pairs.
        weight: (features,), for features so standardised.
        intercept: the training pairs' mean score.
        strength: the penalty that was chosen.
    """

    mean: Tensor
    scale: Tensor
    weight: Tensor
    intercept: float
    strength: float

    def __call__(self, features: Tensor) -> Tensor:
        """The scores (pairs,) of `features` (pairs, features)."""
        return ((features.double() - self.mean) / self.scale) @ self.weight + self.intercept


def pair_features(first: Tensor, second: Tensor) -> Tensor:
    """|u - v| and u * v side by side (pairs, 2 * size), for vectors (pairs, size) (Tai et al. 2015)."""
    return torch.cat([(first - second).abs(), first * second], -1)


def fit_ridge(features: Tensor, scores: Tensor, valid: tuple[Tensor, Tensor] | None = None) -> Ridge:
    """The ridge regression with the strength in `STRENGTHS` of the least squared error.

    The error is that on the validation pairs; without them, that of leaving out each training pair in turn, which ridge
    regression gives in closed form: the residual over one minus the pair's leverage.

    Args:
        features: (pairs, features); each is standardised by its mean and deviation here.
        scores: (pairs,).
        valid: features and scores of validation pairs.
    """
    features, scores = features.double(), scores.double()
    mean = features.mean(0)
    spread = features.std(0, correction=0)
    scale = torch.where(spread > 0, spread, 1.0)
    centred, intercept = (features - mean) / scale, scores.mean()
    residual = scores - intercept
    rotated, basis, values = _rotated(centred)
    along = rotated.t() @ residual
    best: tuple[float, float] | None = None
    for strength in STRENGTHS:
        shrunk = along / (values + strength)
        if valid is None:
            leverage = (rotated.square() / (values + strength)).sum(-1) + 1 / len(scores)
            error = ((residual - rotated @ shrunk) / (1 - leverage).clamp(min=1e-9)).square().mean()
        else:
            found = ((valid[0].double() - mean) / scale) @ (basis @ shrunk) + intercept
            error = (found - valid[1].double()).square().mean()
        if best is None or float(error) < best[0]:
            best = float(error), strength
    strength = best[1] if best is not None else STRENGTHS[0]
    return Ridge(mean, scale, basis @ (along / (values + strength)), float(intercept), strength)


def _rotated(centred: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The pairs along the principal directions (pairs, k), the directions (features, k) and their eigenvalues (k,)."""
    pairs, features = centred.shape
    if features <= pairs:
        values, basis = torch.linalg.eigh(centred.t() @ centred)
        kept = values > _SMALLEST * values[-1]
        values, basis = values[kept], basis[:, kept]
        return centred @ basis, basis, values
    values, left = torch.linalg.eigh(centred @ centred.t())
    kept = values > _SMALLEST * values[-1]
    values, left = values[kept], left[:, kept]
    return left * values.sqrt(), centred.t() @ left / values.sqrt(), values
