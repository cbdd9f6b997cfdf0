"""What is to happen after a step, the same in all processes of a training."""

from __future__ import annotations

import torch
from torch import Tensor

from steploom.training.clock import Clock
from steploom.training.interruption import Interruption
from steploom.training.options import TrainOptions
from steploom.training.state import State
from steploom.training.together import Together

__all__ = ["Wishes"]


class Wishes:
    """Whether to save, and whether to stop.

    Args:
        options: `epochs` and `patience`.
        clock: of this process; that of the first one counts.
        interruption: tells that the user wants to stop; that of any process counts.
        together: the processes.

    Attributes:
        save: whether a checkpoint is due.
        stop: why the training ends with the step: "interrupted", "time", or "" where it goes on.
    """

    def __init__(self, options: TrainOptions, clock: Clock, interruption: Interruption, together: Together) -> None:
        self._options, self._clock, self._interruption, self._together = options, clock, interruption, together
        self.save, self.stop = False, ""
        self._asked = self._ends_epoch = False

    @property
    def leaving(self) -> bool:
        """True once the user's wish to stop was taken up: what is left to do is to save."""
        return self.stop == "interrupted"

    def ask(self, step: int, ends_epoch: bool = False) -> None:
        """Finds out what this process would do when there have been `step` steps, the last of them maybe an epoch's."""
        self.save, self._ends_epoch = self._clock.save_is_due(step), ends_epoch
        self._decide(self._interruption.asked, self._clock.time_is_up())

    def _decide(self, asked: bool, time_is_up: bool) -> None:
        self._asked = asked
        self.stop = "interrupted" if asked else "time" if time_is_up else ""
        if asked and self._ends_epoch:
            # An epoch that has ended is validated first, as no resuming comes back to it; then `reason_to_end` says so.
            self.stop = ""

    def agree(self, counted: Tensor) -> tuple[Tensor, float]:
        """Makes of what each process would do what all of them do.

        Args:
            counted: numbers to be summed over the processes on the way (numbers,).

        Returns:
            the sums, and the part of the time limit that has passed.
        """
        first = self._together.first
        wishes = [
            float(first and self.save),
            float(first and self.stop == "time"),
            float(self._asked),
            self._clock.share if first else 0.0,
        ]
        both = torch.cat((counted, torch.tensor(wishes, dtype=counted.dtype, device=counted.device)))
        both = self._together.sum(both)
        save, time_up, interrupted, time_share = both[len(counted) :].tolist()
        self.save = save > 0
        self._decide(interrupted > 0, time_up > 0)
        return both[: len(counted)], time_share

    def reason_to_end(self, state: State, validates: bool) -> str:
        """Why training ends with the epoch that has just ended, in the words of `State.stopped`; "" where it goes on.

        Args:
            state: the place in training.
            validates: whether there are validations to be patient with.
        """
        return self._together.of_the_first(self._own_reason(state, validates))

    def _own_reason(self, state: State, validates: bool) -> str:
        options = self._options
        if (self._asked or self._interruption.asked) and state.epoch < options.epochs:
            return "interrupted"
        if state.epoch >= options.epochs:
            return "epochs"
        if validates and options.patience and state.waited >= options.patience:
            return "patience"
        return "time" if self._clock.time_is_up() else ""
