"""One line on the terminal while training runs."""

from __future__ import annotations

import sys
import time
from typing import Self

__all__ = ["Progress"]


class Progress:
    """A bar on standard error with epoch, loss, metric, speed and time left.

    Nothing is shown where that is not a terminal.

    Args:
        enabled: False shows nothing.
        epochs: epochs in the plan.
        epoch_steps: steps in an epoch.
        max_seconds: the limit of the training time, or None.
        title: stands in the place of the epoch, where it is given.
    """

    def __init__(
        self, enabled: bool, epochs: int, epoch_steps: int, max_seconds: float | None, title: str = ""
    ) -> None:
        self._title = title
        self._epochs, self._epoch_steps, self._max_seconds = epochs, epoch_steps, max_seconds
        self._bar = None
        self._loss, self._metric = "", ""
        self._shown = 0.0
        self._started: tuple[int, float] | None = None
        if not (enabled and sys.stderr.isatty()):
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TextColumn("{task.fields[words]}"))
        self._bar = Progress(*columns, console=Console(stderr=True), transient=False, refresh_per_second=5)
        self._line = self._bar.add_task("", total=1.0, words="")

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def due(self) -> bool:
        """True a few times a second, so that the loss is not fetched from the device in each step."""
        return self._bar is not None and time.monotonic() - self._shown >= 0.2

    def step(self, step: int, seconds: float, loss: float) -> None:
        """Shows `step` steps done in `seconds` of training, and the epoch's mean training loss so far."""
        if self._bar is None:
            return
        now = time.monotonic()
        self._shown = now
        self._started = self._started or (step, now)
        total = self._epochs * self._epoch_steps
        steps, passed = step - self._started[0], now - self._started[1]
        speed = steps / passed if steps and passed > 0 else 0.0
        share = step / total
        left = (total - step) / speed if speed else None
        if self._max_seconds is not None:
            share = max(share, seconds / self._max_seconds)
            rest = max(0.0, self._max_seconds - seconds)
            left = rest if left is None else min(left, rest)
        epoch = min(self._epochs, step // self._epoch_steps + 1)
        parts = [f"loss {loss:.4g}", self._metric, f"{speed:.1f} steps/s" if speed else "", _left(left)]
        self._bar.update(
            self._line,
            completed=min(1.0, share),
            description=self._title or f"epoch {epoch}/{self._epochs}",
            words="  ".join(p for p in parts if p),
        )

    def validated(self, loss: float, metrics: dict[str, float]) -> None:
        """Shows the newest validation loss, or the metrics in its place."""
        shown = metrics or {"loss": loss}
        self._metric = "  ".join(f"valid {name} {value:.4g}" for name, value in shown.items())


def _left(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d} left" if hours else f"{minutes}:{rest:02d} left"
