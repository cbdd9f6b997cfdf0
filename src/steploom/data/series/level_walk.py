"""Random changes of the level of windows, to learn from levels that a short series never had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from steploom.data.series.series import FloatArray
from steploom.models.scaling import OFFSET

__all__ = ["LevelWalk"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LevelWalk:
    """A random walk of each window's level.

    A network that has only seen a steady level copies the last season and is wrong for weeks once the level moves.
    Windows whose level wanders teach it how much of the latest change stays.

    Attributes:
        change: (batch, rows) how far each row is moved, as a share of its value where the logarithm is taken, else of
            the series' unit; 0 in the last row before the origin.
        first: (batch,) the row of the series that each window's first change belongs to.
    """

    change: FloatArray
    first: Ints

    @classmethod
    def drawn(cls, random: np.random.Generator, origins: Ints, before: int, horizon: int, size: float) -> Self:
        """Walks of windows.

        Args:
            random: what draws them.
            origins: (batch,) the first row forecast.
            before: rows before the origin that a window looks at.
            horizon: rows from the origin on.
            size: the standard deviation of the change over a horizon.
        """
        steps = random.normal(size=(len(origins), before + horizon)) * size / np.sqrt(horizon)
        path = steps.cumsum(1)
        return cls(path - path[:, before - 1 : before], origins - before)

    def __getitem__(self, windows: slice) -> LevelWalk:
        """The walks of some of the windows."""
        return LevelWalk(self.change[windows], self.first[windows])

    def apply(self, values: FloatArray, rows: Ints, unit: FloatArray, logarithm: bool) -> FloatArray:
        """Values with their level moved.

        Args:
            values: (batch, ...) in the data's unit.
            rows: (batch, ...) the rows of the series where they stand.
            unit: (batch,) of the series.
            logarithm: whether the series are scaled with it.
        """
        shape = (-1, *(1,) * (values.ndim - 1))
        place = np.clip(rows - self.first.reshape(shape), 0, self.change.shape[1] - 1)
        change = np.take_along_axis(self.change, place.reshape(len(values), -1), 1).reshape(values.shape)
        if not logarithm:
            return values + change * unit.reshape(shape)
        # The offset of the logarithm moves along: the scaled values then move by the change and nothing else.
        offset = OFFSET * unit.reshape(shape)
        moved: FloatArray = np.maximum((values + offset) * np.exp(change) - offset, 0.0)
        return moved
