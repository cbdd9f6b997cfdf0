"""Numbers of things, for people."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """The number and its noun: "1 pair", "1,200 pairs".

    Args:
        number: how many there are.
        noun: for one of them.
        plural: for others; None: the noun with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
