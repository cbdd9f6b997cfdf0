"""How often training feeds the decoder the true token: the schedules of scheduled sampling."""

from __future__ import annotations

import math
from dataclasses import dataclass

from steploom.errors import OptionError, nearest

__all__ = ["SCHEDULES", "SamplingSchedule"]

SCHEDULES = ("linear", "exponential", "inverse_sigmoid")
"""The names of the schedules."""


@dataclass(frozen=True)
class SamplingSchedule:
    """The probability that a token fed to the decoder is the true one, as it falls over the updates (Bengio et al.
    2015, "Scheduled sampling for sequence prediction with recurrent neural networks", section 2.4).

        linear            1 - u / updates
        exponential       k ** u, with k such that it is 0.01 after `updates`
        inverse_sigmoid   k / (k + exp(u / k)), with k such that it is 0.5 after half of `updates`

    Args:
        kind: one of `SCHEDULES`.
        updates: over how many updates u it falls.
        floor: what it never falls below, from 0 to 1.

    Raises:
        OptionError: a value is out of its range.
    """

    kind: str = "inverse_sigmoid"
    updates: int = 5000
    floor: float = 0.0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if self.kind not in SCHEDULES:
            raise OptionError(
                f"sampling schedule: expected one of {', '.join(SCHEDULES)}, found '{self.kind}'."
                f"{nearest(self.kind, SCHEDULES)}"
            )
        if self.updates < 1 or not 0 <= self.floor <= 1:
            raise OptionError(
                f"sampling schedule: expected 1 update or more and a floor from 0 to 1, found {self.updates} and "
                f"{self.floor}"
            )

    def true_share(self, update: int) -> float:
        """The probability at an update, counted from 0."""
        if self.kind == "linear":
            share = 1 - update / self.updates
        elif self.kind == "exponential":
            share = 0.01 ** (update / self.updates)
        else:
            share = _inverse_sigmoid(update, self.updates)
        return max(self.floor, share)


def _inverse_sigmoid(update: int, updates: int) -> float:
    # k log k is the update of 0.5: Newton's method finds k, whose speed of fall is thereby set.
    middle = max(updates / 2, 1.0)
    k = max(middle / math.log(middle + 2), math.e)
    for _ in range(20):
        k = max((middle + k) / (math.log(k) + 1), 1.5)
    return 1 / (1 + math.exp(min(update / k, 700.0)) / k)
