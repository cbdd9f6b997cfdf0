"""Examples of a part that has files of its own which the model is trained on as well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable

from steploom.data.counted import counted

__all__ = ["overlap"]


def overlap(
    noun: str, train: Iterable[Hashable], valid: Iterable[Hashable] = (), test: Iterable[Hashable] = ()
) -> dict[str, str]:
    """How many they are, for each part that has some: "3 of 40 pairs".

    Nothing is kept of the training examples, of which there may be many.

    Args:
        noun: for one example.
        train, valid, test: the examples of each part; none for one that was set aside.
    """
    parts = {"valid": Counter(valid), "test": Counter(test)}
    learnt = set[Hashable]().union(*parts.values())
    learnt = learnt.intersection(train) if learnt else learnt
    found = {part: sum(counts[example] for example in learnt) for part, counts in parts.items()}
    return {part: f"{n:,} of {counted(parts[part].total(), noun)}" for part, n in found.items() if n}
