"""How long a training has run, and what it is time for."""

from __future__ import annotations

import time

from steploom.training.options import TrainOptions

__all__ = ["Clock"]


class Clock:
    """Runs from when it is made.

    Args:
        options: `max_minutes`, `checkpoint_minutes`, `checkpoint_steps`.
        before: seconds that the training took before.
    """

    def __init__(self, options: TrainOptions, before: float) -> None:
        self._options, self._before = options, before
        self._limit = None if options.max_minutes is None else 60 * options.max_minutes
        self._began = self._saved = time.monotonic()
        self._validation_began, self._validation_seconds = 0.0, 0.0

    @property
    def seconds(self) -> float:
        """Time spent in training, resumes included."""
        return self._before + time.monotonic() - self._began

    @property
    def share(self) -> float:
        """The part of the time limit that has passed, 0 without a limit."""
        return min(1.0, self.seconds / self._limit) if self._limit else 0.0

    def time_is_up(self) -> bool:
        """Whether the training must end: the validation that follows must fit in as well."""
        return self._limit is not None and self.seconds + self._validation_seconds >= self._limit

    def was_up(self) -> bool:
        """Whether the time was used up before this clock began."""
        return self._limit is not None and self._before >= self._limit

    def begins_validation(self) -> None:
        """A validation begins."""
        self._validation_began = time.monotonic()

    def ends_validation(self) -> None:
        """It has ended: the next one is expected to take as long."""
        self._validation_seconds = time.monotonic() - self._validation_began

    def save_is_due(self, step: int) -> bool:
        """Whether it is time for a checkpoint after `step` steps."""
        every = self._options.checkpoint_steps
        if every:
            return step % every == 0
        return time.monotonic() - self._saved >= 60 * self._options.checkpoint_minutes

    def saved(self) -> None:
        """A checkpoint was written."""
        self._saved = time.monotonic()
