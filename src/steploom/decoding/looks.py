"""Where the hypotheses under construction have looked so far."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from steploom.decoding.settings import DecodingSettings
from steploom.decoding.step import AttentiveModel, State, StepModel
from steploom.errors import OptionError

__all__ = ["Looks"]


@dataclass(frozen=True)
class Looks:
    """The attention of the steps behind each row, as far as it is wanted.

    Args:
        adds: whether the sum over the steps is wanted, for the coverage.
        keeps: whether the weights of each step are.
        total: the sum (rows, source time); None before the first step and where it is not wanted.
        steps: the weights (rows, steps, source time); None likewise.
    """

    adds: bool
    keeps: bool
    total: Tensor | None = None
    steps: Tensor | None = None

    @classmethod
    def wanted(cls, settings: DecodingSettings) -> Looks:
        """Nothing seen yet."""
        return cls(settings.num_beams > 1 and settings.coverage_penalty > 0, settings.keep_attention)

    def with_step(self, model: StepModel[State], state: State) -> Looks:
        """With where the step that led to `state` looked.

        Raises:
            OptionError: the coverage is wanted and the model has no attention.
        """
        if not (self.adds or self.keeps):
            return self
        weights = model.attention(state) if isinstance(model, AttentiveModel) else None
        if weights is None:
            if self.adds:
                raise OptionError("coverage_penalty: this model has no attention that could cover the source")
            return self
        total, steps = None, None
        if self.adds:
            total = weights if self.total is None else self.total + weights
        if self.keeps:
            new = weights[:, None]
            steps = new if self.steps is None else torch.cat([self.steps, new], 1)
        return replace(self, total=total, steps=steps)

    def select(self, rows: Tensor) -> Looks:
        """Those of some rows."""
        if self.total is None and self.steps is None:
            return self
        total = None if self.total is None else self.total[rows]
        return replace(self, total=total, steps=None if self.steps is None else self.steps[rows])

    def coverage(self, beams: int) -> Tensor | None:
        """The sums (starts, beams, source time)."""
        return None if self.total is None else self.total.view(-1, beams, self.total.shape[-1])

    def weights(self, beams: int) -> Tensor | None:
        """The weights (starts, beams, steps, source time)."""
        return None if self.steps is None else self.steps.view(-1, beams, *self.steps.shape[1:])
