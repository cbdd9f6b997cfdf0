"""What a forecaster has to know of the windows that it is given."""

from __future__ import annotations

from typing import Protocol

__all__ = ["WindowLayout"]


class WindowLayout(Protocol):
    """The sizes of what a batch of windows holds; `steploom.data.series.window_layout` learns them from series."""

    @property
    def context(self) -> int:
        """Rows before the origin."""

    @property
    def horizon(self) -> int:
        """Rows forecast."""

    @property
    def logarithm(self) -> bool:
        """Whether targets are scaled with the logarithm."""

    @property
    def nonnegative(self) -> bool:
        """Whether forecasts below 0 are taken for 0."""

    @property
    def lags(self) -> tuple[int, ...]:
        """The season lengths in whole rows."""

    @property
    def static(self) -> tuple[int, ...]:
        """Number of categories of each static column."""

    @property
    def series(self) -> tuple[str, ...]:
        """Names of the training series."""

    @property
    def vectors(self) -> bool:
        """Whether each series has a vector of its own in the network."""

    @property
    def lag_count(self) -> int:
        """Values of earlier seasons beside each row."""

    @property
    def seasonal_count(self) -> int:
        """Values of the same place in earlier seasons beside each row forecast."""

    @property
    def level_count(self) -> int:
        """Numbers that describe what came before the origin."""

    @property
    def covariate_count(self) -> int:
        """Features of a row besides the target."""
