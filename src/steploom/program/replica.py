"""A stand-in for a cell, on which its step is looked at while the cell itself may run elsewhere."""

from __future__ import annotations

import copy
import operator
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from steploom.errors import UnsupportedOperation

__all__ = ["replica"]

CONTAINERS = (list, dict, set, deque, tuple)
# So deep, containers within containers are looked into.
DEPTH = 4


@contextmanager
def replica(cell: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[nn.Module]:
    """A stand-in for the cell with other tensors in the place of its parameters and buffers.

    The cell itself is not touched, so that it can run in another thread meanwhile.

    Raises:
        UnsupportedOperation: while it stood in, the step has written an attribute.
    """
    copies: dict[int, nn.Module] = {}

    def copied(module: nn.Module, prefix: str) -> nn.Module:
        if id(module) in copies:
            return copies[id(module)]
        stand_in = type(module).__new__(type(module))
        stand_in.__dict__ = vars(module).copy()
        copies[id(module)] = stand_in
        for name, item in vars(module).items():
            if isinstance(item, Tensor):
                stand_in.__dict__[name] = tensors.get(prefix + name, item)
            else:
                stand_in.__dict__[name] = _copied(item)
        for kind in ("_parameters", "_buffers"):
            given = getattr(module, kind)
            stand_in.__dict__[kind] = {
                name: by_identity.get(id(item), item) if item is not None else None for name, item in given.items()
            }
        stand_in.__dict__["_modules"] = {
            name: copied(child, f"{prefix}{name}.") if child is not None else None
            for name, child in module._modules.items()
        }
        return stand_in

    by_identity: dict[int, Tensor] = {}
    for path, tensor in [*cell.named_parameters(), *cell.named_buffers()]:
        if path in tensors:
            by_identity[id(tensor)] = tensors[path]
    stand_in = copied(cell, "")
    before = {key: _contents(module) for key, module in copies.items()}
    yield stand_in
    for key, module in copies.items():
        after = _contents(module)
        changed = [name for name in after if name not in before[key] or not _same(after[name], before[key][name])]
        if changed:
            raise UnsupportedOperation(
                f"the step of {type(cell).__name__} writes the attribute '{changed[0]}'",
                hint="What a step must remember belongs in a state that forward takes and returns.",
            )


def _contents(module: nn.Module) -> dict[str, Any]:
    return {name: _copied(item) for name, item in vars(module).items()}


def _copied(item: Any, depth: int = DEPTH) -> Any:
    """Lists, dictionaries and the like are copied, and those within them; all else is itself."""
    if not isinstance(item, CONTAINERS) or not depth:
        return item
    if isinstance(item, tuple):
        parts = [_copied(part, depth - 1) for part in item]
        # Most hold no containers; then it is the same object, as a step may ask.
        return item if type(item) is not tuple or all(map(operator.is_, parts, item)) else tuple(parts)
    copied: Any = copy.copy(item)
    if not isinstance(item, set):
        for place, part in item.items() if isinstance(item, dict) else enumerate(item):
            copied[place] = _copied(part, depth - 1)
    return copied


def _same(one: Any, other: Any) -> bool:
    if one is other or not isinstance(one, CONTAINERS) or type(one) is not type(other):
        return one is other
    items = [list(part.values()) if isinstance(part, dict) else list(part) for part in (one, other)]
    return len(one) == len(other) and all(map(_same, *items))
