"""Ctrl-C and SIGTERM end training after the step, not within it, and the message says how to go on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Self

from steploom.training.command import command

__all__ = ["Interruption", "explained_interruption"]


@contextmanager
def explained_interruption(path: Path, cell: str) -> Iterator[None]:
    """Gives an interruption that says nothing, such as a second Ctrl-C, words about what is kept.

    Args:
        path: the model directory.
        cell: the model's cell.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        if str(error) or not (path / "last" / "checkpoint.pt").exists():
            raise
        told = f"stopped at once; {path} keeps the last state of the training that was written. "
        raise KeyboardInterrupt(f"{told}Go on with: {command('resume', path, cell=cell)}") from None


class Interruption:
    """While it is entered, the first SIGINT or SIGTERM only sets `asked`.

    The second one acts as it would have without this.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
            self.listen()
        return self

    def listen(self) -> None:
        """Takes the signals; again after something else took them."""
        if threading.current_thread() is threading.main_thread() and not self.asked:
            for number in self._before:
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __exit__(self, *_: object) -> None:
        if not self.asked:
            self._restore()
