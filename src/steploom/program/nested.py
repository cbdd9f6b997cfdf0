"""The arguments of PyTorch's operators, which may stand in nested lists, tuples and dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

__all__ = ["flat", "mapped"]

T = TypeVar("T")


def flat(arguments: Any) -> list[Any]:
    """The items, in order."""
    found: list[Any] = []
    _collect([arguments], found)
    return found


def _collect(arguments: Iterable[Any], found: list[Any]) -> None:
    for item in arguments:
        if isinstance(item, (list, tuple)):
            _collect(item, found)
        elif isinstance(item, dict):
            _collect(item.values(), found)
        else:
            found.append(item)


def mapped(arguments: Any, kind: type[T], change: Callable[[T], Any]) -> Any:
    """The same with every item of a kind changed."""
    if isinstance(arguments, kind):
        return change(arguments)
    if isinstance(arguments, (list, tuple)):
        return type(arguments)([mapped(item, kind, change) for item in arguments])
    if isinstance(arguments, dict):
        return {name: mapped(item, kind, change) for name, item in arguments.items()}
    return arguments
