"""What a forecaster says about one value: quantiles, or the parameters of a distribution.

An output reads `size` numbers a value from the network. `at` gives quantiles at any levels, so that drawing a sample
is asking for the quantile at a uniform random level. Values are scaled ones (see `steploom.models.scaling`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from steploom.errors import OptionError, nearest
from steploom.models.quantile_functions import (
    negative_binomial_log_prob,
    negative_binomial_quantile,
    spread_out,
    student_t_quantile,
)
from steploom.models.scaling import Scale

__all__ = [
    "LEVELS",
    "OUTPUTS",
    "GaussianOutput",
    "NegativeBinomialOutput",
    "Output",
    "QuantileOutput",
    "StudentTOutput",
    "make_output",
]

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

_SMALLEST = 1e-3
_RARE, _LEAST_MEAN = 0.01, 1e-9  # of counts, in spreads and in units


class Output(ABC):
    """What the numbers that a network gives a value say about it.

    Attributes:
        size: numbers the network gives a value.
        counts: whether values are counts, whose mean a few quantiles do not tell.
    """

    size: int
    counts = False

    @abstractmethod
    def parameters(self, raw: Tensor, scale: Scale) -> Tensor:
        """What the network's numbers stand for: quantiles, or a distribution's parameters.

        Args:
            raw: (batch, ..., size).
            scale: of the windows.

        Returns:
            (batch, ..., size).
        """

    @abstractmethod
    def score(self, parameters: Tensor, target: Tensor, scale: Scale) -> Tensor:
        """The loss of each value, (batch, steps), from what `parameters` gives."""

    def loss(self, raws: Sequence[Tensor], target: Tensor, scale: Scale) -> Tensor:
        """The loss of each value, (batch, steps).

        Of several members, that of the forecast whose parameters are the mean of theirs. The mean of quantiles, or of
        normal distributions' means and deviations, is the forecast that is made: its quantiles are the mean of the
        members'. Of the other distributions it is the nearest one of their kind.

        Args:
            raws: of each member (batch, steps, size).
            target: (batch, steps), scaled; any finite value where missing.
            scale: of the windows.
        """
        found = [self.parameters(raw, scale) for raw in raws]
        return self.score(torch.stack(found).mean(0) if len(found) > 1 else found[0], target, scale)

    @abstractmethod
    def at(self, raw: Tensor, levels: Tensor, scale: Scale) -> Tensor:
        """Quantiles (..., K), scaled and rising with the level.

        Args:
            raw: (batch, ..., size).
            levels: between 0 and 1, broadcast with (..., K).
            scale: of the windows.
        """

    def mean(self, raw: Tensor, scale: Scale) -> Tensor | None:
        """The mean (batch, ...) in the data's unit, float64; None where it is that of the quantiles."""
        return None

    def possible(self, values: Tensor) -> Tensor:
        """The nearest values, in the data's unit, that can be: all of them, unless an output knows better."""
        return values


class QuantileOutput(Output):
    """The quantiles at `LEVELS`, trained by the pinball loss in units (Koenker & Bassett 1978).

    The network gives the median and the eight steps between neighbours, which softplus keeps positive: quantiles never
    cross. Between the levels they are interpolated; beyond them the last step goes on.
    """

    size = len(LEVELS)

    def score(self, parameters: Tensor, target: Tensor, scale: Scale) -> Tensor:
        error = scale.relative(target)[..., None] - scale.relative(parameters)
        level = torch.tensor(LEVELS, dtype=parameters.dtype, device=parameters.device)
        return torch.maximum(level * error, (level - 1) * error).mean(-1)

    def at(self, raw: Tensor, levels: Tensor, scale: Scale) -> Tensor:
        knots = self.parameters(raw, scale)
        place = spread_out((levels * 10 - 1).to(raw), knots[..., :1])
        left = place.floor().clamp(0, self.size - 2).long()
        low, high = knots.gather(-1, left), knots.gather(-1, left + 1)
        return low + (high - low) * (place - left)

    def parameters(self, raw: Tensor, scale: Scale) -> Tensor:
        median, steps = raw[..., :1], F.softplus(raw[..., 1:] - 2)
        below, above = steps[..., :4].cumsum(-1), steps[..., 4:].cumsum(-1)
        return torch.cat((median - below.flip(-1), median, median + above), -1)


class GaussianOutput(Output):
    """A normal distribution of the scaled value: of the data a normal, or with logarithm a log-normal one."""

    size = 2

    def parameters(self, raw: Tensor, scale: Scale) -> Tensor:
        return torch.stack((raw[..., 0], _positive(raw[..., 1])), -1)

    def score(self, parameters: Tensor, target: Tensor, scale: Scale) -> Tensor:
        mean, deviation = parameters.unbind(-1)
        return 0.5 * ((target - mean) / deviation) ** 2 + deviation.log() + 0.5 * math.log(2 * math.pi)

    def at(self, raw: Tensor, levels: Tensor, scale: Scale) -> Tensor:
        standard: Tensor = torch.special.ndtri(levels.to(raw))
        mean, deviation = (part[..., None] for part in self.parameters(raw, scale).unbind(-1))
        return mean + deviation * standard


class StudentTOutput(Output):
    """Student's t distribution of the scaled value, with more than two degrees of freedom: its variance exists."""

    size = 3

    def parameters(self, raw: Tensor, scale: Scale) -> Tensor:
        return torch.stack((raw[..., 0], _positive(raw[..., 1]), 2 + _positive(raw[..., 2])), -1)

    def score(self, parameters: Tensor, target: Tensor, scale: Scale) -> Tensor:
        mean, spread, freedom = _exact(parameters).unbind(-1)
        z = (target.to(mean) - mean) / spread
        shape = torch.lgamma((freedom + 1) / 2) - torch.lgamma(freedom / 2) - 0.5 * (freedom * math.pi).log()
        return (spread.log() - shape + (freedom + 1) / 2 * torch.log1p(z * z / freedom)).to(parameters)

    def at(self, raw: Tensor, levels: Tensor, scale: Scale) -> Tensor:
        mean, spread, freedom = (part[..., None] for part in self.parameters(raw, scale).unbind(-1))
        return mean + spread * student_t_quantile(freedom, levels.to(raw))


class NegativeBinomialOutput(Output):
    """A negative binomial distribution of counts 0, 1, 2, ... (Salinas et al. 2020, "DeepAR", section 3.1).

    The network gives the mean, and the excess of the variance over a Poisson's: variance = mean + excess * mean^2. It
    says both in the window's scale, so that counts of any size begin at the window's mean, with the variance of their
    series. It needs windows without logarithm.
    """

    size = 2
    counts = True

    def parameters(self, raw: Tensor, scale: Scale) -> Tensor:
        """The mean in units, and the excess; float64."""
        exact = _exact(raw)
        _, location, spread = scale.parts_like(exact[..., 0])
        # Where the spread is small the mean is location + spread * raw, as of a normal distribution; where counts are
        # rare it is about location * exp(raw). A window of zeros is no reason to think that none will ever come.
        start = (location / spread).clamp(min=_RARE)
        mean = spread * F.softplus(exact[..., 0] + start + torch.log(-torch.expm1(-start)))
        return torch.stack((mean + _LEAST_MEAN, spread**2 * _positive(exact[..., 1])), -1)

    def score(self, parameters: Tensor, target: Tensor, scale: Scale) -> Tensor:
        mean, excess = self._mean_and_excess(parameters, scale)
        count = _counts(target.to(mean), scale)
        return -negative_binomial_log_prob(count, mean, excess).to(target)

    def at(self, raw: Tensor, levels: Tensor, scale: Scale) -> Tensor:
        mean, excess = self._mean_and_excess(self.parameters(raw, scale), scale)
        count = negative_binomial_quantile(mean, excess, levels.to(mean))
        unit, location, spread = scale.parts_like(count)
        return ((count / unit - location) / spread).to(raw)

    def possible(self, values: Tensor) -> Tensor:
        """Whole numbers of at least 0: widened intervals and averaged members leave them."""
        return values.clamp(min=0).round()

    def mean(self, raw: Tensor, scale: Scale) -> Tensor:
        return self._mean_and_excess(self.parameters(raw, scale), scale)[0].to(raw.device)

    def _mean_and_excess(self, parameters: Tensor, scale: Scale) -> tuple[Tensor, Tensor]:
        mean, excess = parameters.unbind(-1)
        return mean * scale.parts_like(mean)[0], excess


OUTPUTS: dict[str, type[Output]] = {
    "quantile": QuantileOutput,
    "gaussian": GaussianOutput,
    "student_t": StudentTOutput,
    "negative_binomial": NegativeBinomialOutput,
}
"""The outputs by name."""


def make_output(name: str) -> Output:
    """The output of that name.

    Raises:
        OptionError: there is none.
    """
    if name not in OUTPUTS:
        raise OptionError(f"output: expected one of {', '.join(OUTPUTS)}, found '{name}'.{nearest(name, OUTPUTS)}")
    return OUTPUTS[name]()


def _positive(raw: Tensor) -> Tensor:
    return F.softplus(raw) + _SMALLEST


def _exact(values: Tensor) -> Tensor:
    """The values in float64, for parts that nearly cancel: on the CPU where their device has no such numbers."""
    return values.to("cpu" if values.device.type == "mps" else values.device, torch.float64)


def _counts(target: Tensor, scale: Scale) -> Tensor:
    unit, location, spread = scale.parts_like(target)
    return ((target * spread + location) * unit).round().clamp(min=0)
