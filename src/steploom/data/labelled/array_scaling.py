"""The scaling of sequences of vectors, and scaled sequences as batches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from steploom.data.labelled.arrays import VectorSequences

__all__ = ["ScaledSequences", "Scaler"]

# Examples whose numbers are looked at together.
_CHUNK = 4096
# What lies so many deviations away on average, or varies by so small a share of one, is in another unit. Few numbers
# may vary as little as they like.
_FAR = 10.0
_NARROW = 0.02
_MANY = 500
# What varies less, of its size, is the rounding of a constant.
_NOISE = 1e-13


@dataclass(frozen=True)
class Scaler:
    """What makes the inputs have the mean 0 and the deviation 1: of each feature, or of all together.

    Attributes:
        mean, deviation: one number, or one a feature.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def fitted(cls, sequences: VectorSequences, together: bool) -> Self:
        """The scaler of some sequences; what never changes is only moved to 0.

        Args:
            sequences: what to learn from.
            together: whether all features share one mean and one deviation.
        """
        count = float(sequences.lengths.sum())
        total = torch.zeros(sequences.size, dtype=torch.float64)
        least, most = torch.full_like(total, math.inf), torch.full_like(total, -math.inf)
        for values, padding in _chunks(sequences):
            total += values.masked_fill(padding, 0).sum((0, 1))
            # The padding repeats a step.
            least, most = torch.minimum(least, values.amin((0, 1))), torch.maximum(most, values.amax((0, 1)))
        mean = total / count
        if together:
            mean, least, most = (part.expand(sequences.size) for part in (mean.mean(), least.min(), most.max()))
        # Not by the deviation: that of a constant is no 0 where its mean was rounded.
        constant = most - least <= _NOISE * torch.maximum(least.abs(), most.abs())
        mean = torch.where(constant, least, mean)
        # As shares of the range: the squares of very large numbers, and of very small ones, cannot be written.
        spread = torch.where(constant, torch.ones_like(most), most - least)
        squares = torch.zeros_like(total)
        for values, padding in _chunks(sequences):
            squares += (((values - mean) / spread) ** 2).masked_fill_(padding, 0).sum((0, 1))
        variance = squares / count
        if together:
            mean, variance, constant, spread = mean[:1], variance.mean()[None], constant[:1], spread[:1]
        deviation = torch.where(constant | (variance == 0), torch.ones_like(variance), spread * variance.sqrt())
        return cls(tuple(mean.tolist()), tuple(deviation.tolist()))

    @classmethod
    def none(cls) -> Self:
        """The scaler that changes nothing."""
        return cls((0.0,), (1.0,))

    def fits(self, sequences: VectorSequences) -> bool:
        """Whether sequences have numbers like those it was fitted to, by the first of them: not in another unit."""
        values, padding = next(_chunks(sequences))
        scaled = (values - torch.tensor(self.mean).double()) / torch.tensor(self.deviation).double()
        scaled = scaled.flatten(0, 1)[~padding.flatten()]
        spread = (scaled - scaled.mean(0)).abs().mean()
        varied = any(part != 1 for part in self.deviation)
        narrow = varied and scaled.numel() >= _MANY and bool(spread < _NARROW)
        return not narrow and not bool((scaled.abs().mean(0) > _FAR).any())

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"mean": list(self.mean), "deviation": list(self.deviation)}

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """From what `to_json` gave.

        Raises:
            ValueError: a number is not finite, a deviation not above 0, or one is lacking.
        """
        mean, deviation = (tuple(float(number) for number in values[name]) for name in ("mean", "deviation"))
        if len(mean) != len(deviation) or not mean:
            raise ValueError("'mean' and 'deviation' should have the same number of values")
        if not all(math.isfinite(number) for number in (*mean, *deviation)) or min(deviation) <= 0:
            raise ValueError("'mean' and 'deviation' should be finite, and deviations above 0")
        return cls(mean, deviation)


class ScaledSequences:
    """Scaled vectors as batches (`Encoded` of `steploom.data.labelled.examples`): "vectors", float32 (time, batch,
    size), and "lengths", int64 (batch,), where not all sequences are equally long.

    Args:
        sequences: the vectors.
        scaler: what scales them.
    """

    def __init__(self, sequences: VectorSequences, scaler: Scaler) -> None:
        self.sequences = sequences
        self.lengths = sequences.lengths
        self._ragged = bool((self.lengths != self.lengths[0]).any())
        # Numbers that float32 would round are moved before they are: a time in seconds differs from its mean by little.
        kind = torch.float64 if sequences.values.element_size() > 2 else torch.float32
        self._mean = torch.tensor(scaler.mean, dtype=kind)
        self._factor = 1 / torch.tensor(scaler.deviation, dtype=kind)

    def collate(self, rows: Tensor, padded: int) -> dict[str, Tensor]:
        """The examples `rows`, padded to the length `padded` with zeros."""
        values, padding = self.sequences.padded(rows, padded)
        scaled = ((values - self._mean) * self._factor).float()
        if not self._ragged:
            return {"vectors": scaled}
        return {"vectors": scaled.masked_fill_(padding[:, :, None], 0), "lengths": self.lengths[rows]}


def _chunks(sequences: VectorSequences) -> Iterator[tuple[Tensor, Tensor]]:
    """Some of the examples at a time: values, float64 (time, batch, size), and which are padding (time, batch, 1)."""
    for rows in torch.split(torch.arange(len(sequences)), _CHUNK):
        values, padding = sequences.padded(rows, int(sequences.lengths[rows].max()))
        yield values.double(), padding[:, :, None]
