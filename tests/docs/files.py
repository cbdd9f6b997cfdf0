"""The small files that the pages of the documentation work with."""

from __future__ import annotations

import math
import random
from datetime import datetime, timedelta
from pathlib import Path

__all__ = ["write_files"]

WORDS = ["loom", "thread", "river", "night", "stone", "light", "winter", "song", "field", "morning"]


def write_files(folder: Path) -> None:
    """Writes power.csv (an hourly series), book.txt (prose) and poems.txt (a poem a line)."""
    draw = random.Random(0)
    start = datetime(2024, 1, 1)
    rows = ["time,load"]
    for hour in range(24 * 60):
        load = 50 + 20 * math.sin(2 * math.pi * hour / 24) + draw.gauss(0, 2)
        rows.append(f"{start + timedelta(hours=hour):%Y-%m-%d %H:%M:%S},{load:.2f}")
    (folder / "power.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    prose = [
        f"The {draw.choice(WORDS)} and the {draw.choice(WORDS)} went by the {draw.choice(WORDS)}." for _ in range(400)
    ]
    (folder / "book.txt").write_text("\n".join(prose) + "\n", encoding="utf-8")
    poems = [", ".join(" ".join(draw.choices(WORDS, k=3)) for _ in range(2)) + "." for _ in range(300)]
    (folder / "poems.txt").write_text("\n".join(poems) + "\n", encoding="utf-8")
