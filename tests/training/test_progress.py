"""The bar: loss, metric, speed and time left on a terminal, nothing elsewhere."""

import io
import sys

from steploom.training import progress as module
from steploom.training.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_loss_metric_speed_and_time_left(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    clock = iter(range(100))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(clock)))
    with Progress(True, epochs=2, epoch_steps=100, max_seconds=None) as bar:
        bar.step(10, 1.0, 3.0)
        bar.validated(1.5, {"perplexity": 4.48})
        bar.step(110, 2.0, 2.5)
    shown = screen.getvalue()
    for part in ("epoch 2/2", "loss 2.5", "valid perplexity 4.48", "steps/s", "left"):
        assert part in shown


def test_nothing_is_shown_where_there_is_no_terminal_or_no_wish(monkeypatch, capsys):
    for enabled in (True, False):
        with Progress(enabled, 2, 100, 60.0) as bar:
            assert not bar.due()
            bar.step(10, 1.0, 3.0)
    assert capsys.readouterr() == ("", "")
