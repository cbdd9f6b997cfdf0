"""Scaling a window of a series to what a network can learn from, and back to the data's unit.

With the logarithm z = (log(y / unit + OFFSET) - location) / spread, else z = (y / unit - location) / spread. The unit
(mean absolute value) and the spread (standard deviation of what is scaled) are those of the series in its training
rows: a window's own spread is unsteady, and scaling by it made forecasts up to a tenth worse. The location is the mean
of the window's rows before the origin, so that the network forecasts changes from the present level. A series that
training did not know is scaled by its window: as long as that holds few values, with the spread that the series of
training have, since few values lie close together by chance. In another unit a series has the same scaled values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["OFFSET", "Moments", "Scale", "suits_logarithm"]

FloatArray = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

OFFSET = 0.01
"""Added before the logarithm, as a share of the unit, so that 0 has one."""

_FLOORS = {True: 1e-2, False: 1e-4}
_LARGEST = 1e4
_MOST_ZEROS = 0.1
_FEW = 10


def suits_logarithm(targets: Sequence[FloatArray]) -> bool:
    """Whether the logarithm suits all series: no value is negative, and at most a tenth of them are 0."""
    zeros, count = 0, 0
    for target in targets:
        values = target[np.isfinite(target)]
        if (values < 0).any():
            return False
        zeros, count = zeros + int((values == 0).sum()), count + len(values)
    return count > 0 and zeros <= _MOST_ZEROS * count


@dataclass(frozen=True)
class Moments:
    """The scales of rows of series; each field is float64 (rows of the input,).

    Attributes:
        unit: the mean absolute value, > 0.
        location, spread: mean and standard deviation of the values in units, of their logarithm where it is taken;
            spread > 0.
    """

    unit: FloatArray
    location: FloatArray
    spread: FloatArray

    @classmethod
    def of(cls, values: FloatArray, observed: Flags, logarithm: bool) -> Self:
        """The moments of each row.

        Args:
            values: (batch, rows), anything where not observed.
            observed: (batch, rows). Without one value the moments are 1, 0 and 1.
            logarithm: whether to take it.
        """
        count = observed.sum(1)
        values = np.where(observed, values, 0.0)
        unit = np.abs(values).sum(1) / np.maximum(count, 1)
        unit = np.where(unit > 0, unit, 1.0)
        squeezed = _squeeze(values / unit[:, None], logarithm)
        location = _mean(squeezed, observed)
        spread = np.sqrt(_mean((squeezed - location[:, None]) ** 2, observed))
        spread = np.where(count > 0, np.maximum(spread, _FLOORS[logarithm]), 1.0)
        return cls(unit, location, spread)


@dataclass(frozen=True)
class Scale:
    """The scales of a batch of windows; each field is float64 (batch,), `logarithm` is the same for all.

    Attributes:
        unit, spread: of the window's series, > 0.
        location: the mean of the window.
        logarithm: whether the logarithm is taken.
    """

    unit: Tensor
    location: Tensor
    spread: Tensor
    logarithm: bool

    @classmethod
    def of(
        cls, values: FloatArray, observed: Flags, series: Moments, logarithm: bool, usual: float | None = None
    ) -> Self:
        """The scales of windows.

        Args:
            values: (batch, rows) before the origin, anything where not observed.
            observed: (batch, rows). A window without one value has its series' location.
            series: moments of each window's series, NaN where it has none: the window's are taken instead.
            logarithm: whether to take it.
            usual: the spread of the series of training, which stands in for that of windows with few values of a
                series without moments; None: nothing does.
        """
        own = Moments.of(values, observed, logarithm)
        unknown = np.isnan(series.unit)
        found = own.spread if usual is None else _spread_of_few(own.spread, observed.sum(1), usual)
        unit, spread = np.where(unknown, own.unit, series.unit), np.where(unknown, found, series.spread)
        location = _mean(_squeeze(np.where(observed, values, 0.0) / unit[:, None], logarithm), observed)
        empty = ~observed.any(1)
        location = np.where(empty, np.where(unknown, own.location, series.location), location)
        return cls(torch.from_numpy(unit), torch.from_numpy(location), torch.from_numpy(spread), logarithm)

    def apply(self, values: FloatArray, observed: Flags) -> FloatArray:
        """(batch, ...) in the data's unit to scaled values; 0 where not observed."""
        unit, location, spread = (_beside(part.numpy(), values) for part in (self.unit, self.location, self.spread))
        scaled = (_squeeze(np.where(observed, values, 0.0) / unit, self.logarithm) - location) / spread
        result: FloatArray = np.where(observed, scaled, 0.0)
        return result

    def relative(self, scaled: Tensor) -> Tensor:
        """Scaled values (batch, ...) in units of `unit`, differentiable; without logarithm less the location, which
        keeps float32 exact for small changes of a large value. With logarithm at least 0 and at most 10,000."""
        _, location, spread = self.parts_like(scaled)
        if not self.logarithm:
            return scaled * spread
        exponent = scaled * spread + location
        return (exponent.clamp(max=float(np.log(_LARGEST))).exp() - OFFSET).clamp(min=0)

    def invert(self, scaled: Tensor) -> Tensor:
        """Scaled values (batch, ...) in the data's unit, float64; with logarithm at least 0."""
        relative = self.relative(scaled.double())
        unit, location, _ = self.parts_like(relative)
        return relative * unit if self.logarithm else (relative + location) * unit

    def parts_like(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Unit, location and spread (batch, 1, ...), to stand beside `values` (batch, ...) in their dtype and place."""
        ones = (1,) * (values.dim() - 1)
        unit, location, spread = (part.to(values).view(-1, *ones) for part in (self.unit, self.location, self.spread))
        return unit, location, spread

    def to_batch(self) -> dict[str, Tensor]:
        """The tensors by name, float32, for a batch that is trained on; `logarithm` is not among them."""
        return {f"scale_{f.name}": getattr(self, f.name).float() for f in fields(self) if f.name != "logarithm"}

    @classmethod
    def from_batch(cls, batch: dict[str, Tensor], logarithm: bool) -> Self:
        """What `to_batch` put into a batch."""
        return cls(batch["scale_unit"], batch["scale_location"], batch["scale_spread"], logarithm)


def _spread_of_few(own: FloatArray, count: npt.NDArray[np.int64], usual: float) -> FloatArray:
    """The spread by which windows of `count` values of unknown series are scaled.

    What few values say of it counts little: a single one would say 0, and its forecast be quite sure. Nor is their mean
    the series' level: it is off by spread / sqrt(count), and the errors of a forecast, which knows of seasons, are
    about half the spread.
    """
    weight = (_FEW / (_FEW + count)) ** 2
    mixed = (1 - weight) * own**2 + weight * usual**2
    result: FloatArray = np.sqrt(mixed * (1 + 4 / np.maximum(count, 1)))
    return result


def _squeeze(relative: FloatArray, logarithm: bool) -> FloatArray:
    result: FloatArray = np.log(np.maximum(relative, 0.0) + OFFSET) if logarithm else relative
    return result


def _mean(values: FloatArray, observed: Flags) -> FloatArray:
    """(batch,) over what was observed, 0 where nothing was."""
    mean: FloatArray = np.where(observed, values, 0.0).sum(1) / np.maximum(observed.sum(1), 1)
    return mean


def _beside(part: FloatArray, values: FloatArray) -> FloatArray:
    return part.reshape(-1, *(1,) * (values.ndim - 1))
