"""A forecaster: windows of series in, quantiles of what follows them out."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from steploom.errors import OptionError, nearest
from steploom.models.forecast_heads import AutoregressiveHead, DirectHead, Head
from steploom.models.interval_width import Misses, outside, widening
from steploom.models.network import Carry, Loss, Network
from steploom.models.outputs import LEVELS, make_output
from steploom.models.recent_bias import half_width, lasting_share, mean_error
from steploom.models.recurrent_shape import RecurrentShape
from steploom.models.scaling import Scale
from steploom.models.window import WindowLayout

__all__ = ["HEADS", "Forecaster"]

HEADS: dict[str, type[Head]] = {"direct": DirectHead, "autoregressive": AutoregressiveHead}
"""The heads by name."""

_PATHS = 200
_MEAN_LEVELS = 20


class Forecaster(Network):
    """Several networks of one kind, trained side by side from different first weights; their quantiles are averaged.

    Args:
        shape: the recurrent layers of each network.
        layout: what the windows hold.
        head: "direct" or "autoregressive".
        output: a name from `steploom.models.outputs.OUTPUTS`.
        members: how many networks.

    Raises:
        OptionError: an option is unknown, or the output does not fit the layout.
    """

    widening: Tensor
    lasting: Tensor

    def __init__(
        self,
        shape: RecurrentShape,
        layout: WindowLayout,
        *,
        head: str = "direct",
        output: str = "quantile",
        members: int = 1,
    ) -> None:
        super().__init__()
        if head not in HEADS:
            raise OptionError(f"head: expected one of {', '.join(HEADS)}, found '{head}'.{nearest(head, HEADS)}")
        if output == "negative_binomial" and layout.logarithm:
            raise OptionError("output: counts ('negative_binomial') are not scaled with a logarithm")
        self.layout, self.output = layout, make_output(output)
        self.members = nn.ModuleList([HEADS[head](shape, layout, self.output) for _ in range(members)])
        self.register_buffer("widening", torch.ones(()))
        self.register_buffer("lasting", torch.zeros(()))

    @property
    def heads(self) -> list[Head]:
        """The networks."""
        return [cast(Head, member) for member in self.members]

    def loss(self, batch: dict[str, Tensor], carry: Carry | None = None) -> Loss:
        """The loss over the measured values of the horizon.

        In training it is the mean of the members' own losses. In evaluation mode it is that of the forecast which the
        members make together; not of the autoregressive head, whose forecast is drawn: there each step is scored by
        itself, from true values, as in training.
        """
        scale = Scale.from_batch(batch, self.layout.logarithm)
        observed = batch["target_observed"]
        nothing = torch.zeros_like(observed)
        # Twice `where`, not a product: a missing value must reach neither loss nor gradient, even as 0 times infinity.
        target = torch.where(observed > 0, batch["target"], nothing)
        raws = [head.raw(batch) for head in self.heads]
        together = not self.training and isinstance(self.heads[0], DirectHead)
        groups = [raws] if together else [[raw] for raw in raws]
        losses = torch.stack([self.output.loss(group, target, scale) for group in groups]).mean(0)
        total = torch.where(observed > 0, losses, nothing).sum()
        return Loss(total, observed.sum())

    @torch.no_grad()
    def predict(
        self, batch: dict[str, Tensor], scale: Scale, bias: Tensor | None = None, width: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Forecasts in the data's unit; only what lies before the origin is looked at.

        Args:
            batch, scale: what `Windows.at` gives.
            bias: (batch,) of the forecasts before each, see `steploom.models.recent_bias`; None: 0. The part of it that
                lasts is added.
            width: (batch,) how much further the quantiles are spread around the median than `calibrate` found, see
                `steploom.models.interval_width`; None: 1.

        Returns:
            mean (batch, horizon) and quantiles (batch, horizon, 9) at 0.1 to 0.9, rising; float64.
        """
        quantiles, grid, mean = self._quantiles(batch, scale)
        if bias is not None:
            shift = self._correction(quantiles, bias)
            quantiles, grid = quantiles + shift, grid + shift
        median = quantiles[..., 4:5]
        spread = self.widening if width is None else self.widening * width.to(median)[:, None, None]
        quantiles, grid = (median + (q - median) * spread for q in (quantiles, grid))
        if mean is None:
            mean = self._possible(scale.invert(grid)).mean(-1)
        return mean, self._possible(scale.invert(quantiles))

    def _possible(self, values: Tensor) -> Tensor:
        """The nearest values, in the data's unit, that can be."""
        values = self.output.possible(values)
        return values.clamp(min=0) if self.layout.nonnegative else values

    @torch.no_grad()
    def misses(self, batch: dict[str, Tensor], scale: Scale) -> Misses:
        """How far each forecast lay from what was measured, before its own correction and widening."""
        quantiles, target, observed = self._quantiles(batch, scale)[0], batch["target"], batch["target_observed"]
        median = quantiles[..., 4]
        return Misses(
            mean_error(quantiles, target, observed),
            torch.where(observed > 0, target - median, torch.nan),
            median - quantiles[..., 0],
            quantiles[..., 8] - median,
        )

    def outside(self, misses: Misses, bias: Tensor | None) -> Tensor:
        """How far outside of the forecasts, as `predict` gives them without a width, lay what was measured.

        Args:
            misses: what `misses` found.
            bias: (forecasts,) of the forecasts before each; None: 0.

        Returns:
            (forecasts, horizon), NaN where nothing was measured; see `steploom.models.interval_width`.
        """
        _, error, below, above = misses
        if bias is not None:
            error = error - self.lasting * bias[:, None] * (below + above) / 2
        return outside(error, below * self.widening, above * self.widening)

    def calibrate(
        self, batch: dict[str, Tensor], scale: Scale, bias: Tensor | None, days: float, *, widen: bool = True
    ) -> None:
        """Sets how much of the last forecasts' bias is taken to last, and how wide the intervals are.

        Args:
            batch, scale: windows that training did not see, with their targets.
            bias: (batch,) of the forecasts before each, as `predict` takes it; None: none is taken to last.
            days: how many horizons of rows the windows cover: windows that overlap tell little more than one. Those
                that were not measured tell nothing and are taken off.
            widen: whether to set the width; else the intervals are as the network says them.
        """
        quantiles, target, observed = self._quantiles(batch, scale)[0], batch["target"], batch["target_observed"]
        days *= float(observed.mean())
        self.lasting.fill_(0.0)
        self.widening.fill_(1.0)
        if bias is not None:
            self.lasting.fill_(lasting_share(mean_error(quantiles, target, observed), bias, days))
            quantiles = quantiles + self._correction(quantiles, bias)
        if widen:
            self.widening.fill_(widening(quantiles, target, observed, days))

    def _correction(self, quantiles: Tensor, bias: Tensor) -> Tensor:
        """What is added to the quantiles of each step, (batch, horizon, 1)."""
        return (self.lasting * bias[:, None] * half_width(quantiles))[..., None]

    @torch.no_grad()
    def _quantiles(self, batch: dict[str, Tensor], scale: Scale) -> tuple[Tensor, Tensor, Tensor | None]:
        """Scaled quantiles at `LEVELS` (batch, horizon, 9), and at evenly spaced levels for the mean (..., 20).

        Of counts also the mean itself (batch, horizon), in the data's unit: no 20 quantiles tell how rare they are, and
        the width of the intervals is no part of it.
        """
        middles = (torch.arange(_MEAN_LEVELS) + 0.5) / _MEAN_LEVELS
        levels = torch.cat((torch.tensor(LEVELS), middles)).to(batch["values"])
        if isinstance(self.heads[0], AutoregressiveHead):
            generator = torch.Generator().manual_seed(0)
            share = -(-_PATHS // len(self.heads))
            uniform = torch.rand(share * len(self.heads), self.layout.horizon, generator=generator).to(levels)
            # At level 0 a normal distribution would have the value minus infinity.
            uniform = uniform.clamp(1e-6, 1 - 1e-6)
            paths = [
                cast(AutoregressiveHead, head).sample(batch, part, scale)
                for head, part in zip(self.heads, uniform.view(-1, share, uniform.shape[1]), strict=True)
            ]
            drawn = torch.cat(paths, 1)
            quantiles = drawn.quantile(levels, 1).permute(1, 2, 0)
            mean = self.output.possible(scale.invert(drawn)).mean(1) if self.output.counts else None
        else:
            raws = [head.raw(batch) for head in self.heads]
            quantiles = torch.stack([self.output.at(raw, levels, scale) for raw in raws]).mean(0)
            means = [mean for raw in raws if (mean := self.output.mean(raw, scale)) is not None]
            mean = torch.stack(means).mean(0) if means else None
        return quantiles[..., : len(LEVELS)], quantiles[..., len(LEVELS) :], mean
