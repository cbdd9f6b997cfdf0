"""Which examples are set aside, for validation or as a test: every so many, or a share of each label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from steploom.data.counted import counted

__all__ = ["every_nth", "every_nth_shown", "share_of_each"]

_ENDINGS = {1: "st", 2: "nd", 3: "rd"}


def every_nth(count: int, every: int) -> tuple[list[int], list[int]]:
    """The rows to keep and the rows to set aside, each in their order: the last of every so many.

    Of fewer than `every` it is the last one, so that of two rows or more at least one is set aside; the first is always
    kept.

    Args:
        count: how many rows there are.
        every: one of how many is set aside, 2 or more; 0: none.

    Raises:
        ValueError: one of every 1 would be all.
    """
    if every == 1:
        raise ValueError("every 1 would set all aside; expected 0, or 2 and more")
    if not every or count < 2:
        return list(range(count)), []
    aside = range(every - 1, count, every) or range(count - 1, count)
    return [row for row in range(count) if row not in aside], list(aside)


def every_nth_shown(count: int, every: int, noun: str) -> str:
    """What `every_nth` sets aside, for people: "every 20th line, 2 lines"."""
    number = len(every_nth(count, every)[1])
    if not number:
        return "none"
    if count < every:
        return f"the last of {count:,} {noun}s"
    ending = "th" if 10 < every % 100 < 20 else _ENDINGS.get(every % 10, "th")
    return f"every {every}{ending} {noun}, {counted(number, noun)}"


def share_of_each(labels: Sequence[str], share: float, seed: int | Sequence[int]) -> tuple[list[int], list[int]]:
    """The rows to keep and the rows to set aside, each part with about the same share of each label.

    A label that occurs once is kept. The rows of both parts are in their order.

    Args:
        labels: one an example.
        share: the share to set aside.
        seed: of the choice.
    """
    shuffled = np.random.default_rng(seed).permutation(len(labels)).tolist()
    counts = Counter(labels)
    ordered = sorted(shuffled, key=lambda row: labels[row])
    aside = {
        row
        for place, row in enumerate(ordered)
        if int((place + 1) * share) > int(place * share) and counts[labels[row]] > 1
    }
    return [row for row in range(len(labels)) if row not in aside], sorted(aside)
