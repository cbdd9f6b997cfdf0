"""What a training leaves to read: metrics.jsonl, train.log and curves.png."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from steploom.training.atomic import write_atomically

__all__ = ["Record", "panels", "shown"]

_CURVES_EVERY_SECONDS = 60.0


def shown(
    losses: dict[str, float], describe: Callable[[float], dict[str, float]], comparable: bool = True
) -> dict[str, float]:
    """Losses of "train" and "valid" under the names of metrics.jsonl, each with what `describe` makes of it.

    Unless they are `comparable`, `describe` is about that of "valid" alone.
    """
    named: dict[str, float] = {}
    for part, loss in losses.items():
        described = describe(loss) if comparable or part == "valid" else {}
        named |= {f"{part}_{name}": value for name, value in {"loss": loss, **described}.items()}
    return named


def panels(rows: list[dict[str, Any]]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """What is drawn over the epochs: the loss, and the first two metrics that were validated.

    A loss of the validation part that is another one than in training stands in its metrics alone: two units share no
    axis.

    Returns:
        name of a panel to "train" and "valid" to points of epoch and value; a part without points is not there.
    """
    names = {name.removeprefix("valid_"): None for row in rows for name in row if name.startswith("valid_")}
    metrics = [name for name in names if name != "loss"]
    comparable = not metrics or any(f"train_{metrics[0]}" in row for row in rows)
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for name in ["loss", *metrics[:2]]:
        for part in ("train", "valid") if comparable or name != "loss" else ("train",):
            points = [(row["epoch"], row[f"{part}_{name}"]) for row in rows if f"{part}_{name}" in row]
            if points:
                found.setdefault(name, {})[part] = points
    return found


class Record:
    """Writes the records of a training into its directory; writes nothing where `enabled` is False."""

    def __init__(self, directory: Path, enabled: bool = True) -> None:
        self._directory, self._enabled = directory, enabled
        self._drawn = time.monotonic()

    def log(self, line: str) -> None:
        """Adds a line with the time to train.log."""
        if self._enabled:
            with (self._directory / "train.log").open("a", encoding="utf-8") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")

    def metrics(self, rows: list[dict[str, Any]]) -> None:
        """Makes metrics.jsonl hold exactly `rows`: after a resume, what was written beyond the checkpoint is gone."""
        if self._enabled:
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            write_atomically(self._directory / "metrics.jsonl", lines.encode())

    def row(self, rows: list[dict[str, Any]]) -> None:
        """Records the newest of `rows`; draws the curves seldom enough to cost nothing."""
        self.metrics(rows)
        words = (
            f"{name} {value:.6g}" if isinstance(value, float) else f"{name} {value}" for name, value in rows[-1].items()
        )
        self.log(", ".join(words))
        if time.monotonic() - self._drawn >= _CURVES_EVERY_SECONDS:
            self.curves(rows)

    def curves(self, rows: list[dict[str, Any]]) -> None:
        """Draws what `panels` says into curves.png."""
        if not (self._enabled and rows):
            return
        self._drawn = time.monotonic()
        drawn_panels = panels(rows)
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.4 * len(drawn_panels), 4.4), layout="constrained")
        FigureCanvasAgg(figure)
        columns = figure.subplots(1, len(drawn_panels), squeeze=False)[0]
        # A single epoch has no line to be seen by.
        size = 3.5 if len(rows) > 1 else 9
        for panel, (name, parts) in zip(columns, drawn_panels.items(), strict=True):
            for part, points in parts.items():
                style = "o-" if len(points) <= 60 else "-"
                label, colour = ("training", "#7f8fa6") if part == "train" else ("validation", "#c0392b")
                panel.plot(*zip(*points, strict=True), style, color=colour, label=label, markersize=size)
            best = min((r for r in rows if "valid_loss" in r), key=lambda r: r["valid_loss"], default=None)
            if best is not None:
                panel.axvline(best["epoch"], color="#c0392b", linewidth=0.8, linestyle=":", label="best weights")
            panel.set_xlabel("epoch")
            if len(rows) == 1:
                panel.set_xlim(0, rows[0]["epoch"] + 1)
            panel.set_ylabel(name.replace("_", " "))
            panel.xaxis.get_major_locator().set_params(integer=True)
            panel.grid(alpha=0.3)
            panel.legend(frameon=False)
        drawn = io.BytesIO()
        # matplotlib writing to the file itself would say nothing of a disk that is full.
        figure.savefig(drawn, format="png", dpi=110)
        write_atomically(self._directory / "curves.png", drawn.getvalue())
