"""The arguments of PyTorch's operators, which may stand in nested lists, tuples and dictionaries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["flat", "mapped"]

T = TypeVar("T")


def flat(arguments: Any) -> list[Any]:
    """The items, in order."""
    if isinstance(arguments, dict):
        return flat(list(arguments.values()))
    if isinstance(arguments, (list, tuple)):
        return [found for item in arguments for found in flat(item)]
    return [arguments]


def mapped(arguments: Any, kind: type[T], change: Callable[[T], Any]) -> Any:
    """The same with every item of a kind changed."""
    if isinstance(arguments, kind):
        return change(arguments)
    if isinstance(arguments, (list, tuple)):
        return type(arguments)([mapped(item, kind, change) for item in arguments])
    if isinstance(arguments, dict):
        return {name: mapped(item, kind, change) for name, item in arguments.items()}
    return arguments
