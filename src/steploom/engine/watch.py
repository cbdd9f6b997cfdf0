"""Whether a cell is still as it was when its step was traced."""

from __future__ import annotations

import types
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple, TypeGuard

import numpy as np
import torch
from torch import Tensor, nn

from steploom.native import core
from steploom.program.casts import is_inexact

__all__ = ["HOOKED", "Watch", "has_hooks"]

HOOKED = "hooks on the cell must see every step"
"""Why an engine that does not call the cell at every step cannot run it."""


class _Slots:
    """The values of an object whose class has `__slots__` in the place of a `__dict__`."""

    def __init__(self, thing: object, names: list[str]) -> None:
        self._thing, self._names = thing, names

    def __iter__(self) -> Iterator[Any]:
        return (getattr(self._thing, name, None) for name in self._names)


Holder = dict[Any, Any] | list[Any] | set[Any] | deque[Any] | _Slots

# What torch.nn keeps of its own in every module, and every cell the arguments it was made with: no step reads it.
OWN = (frozenset(vars(nn.Module())) | {"_arguments"}) - {"training", "_parameters", "_buffers", "_modules"}
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
OPAQUE = (Tensor, type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType)
DEPTH = 4
# Arrays of more bytes are not looked into: it would take longer than to run the step.
SMALL_ARRAY = 1 << 16


class _Form(NamedTuple):
    """What a program depends on of a tensor: its shape, and which of the tensors of the cell it is. Whole numbers and
    truth values may choose among features, so of those it depends on the contents."""

    shape: torch.Size
    dtype: torch.dtype
    number: int
    contents: tuple[int, int] | None


_form = attrgetter("__class__", "shape", "dtype", "device")


def _numbers(tensor: Tensor) -> tuple[int, int] | None:
    """What tells whether the numbers of a tensor that may choose among features are still the same."""
    if is_inexact(tensor):
        return None
    return id(tensor), -1 if tensor.is_inference() else tensor._version


class Watch:
    """Remembers all of a cell that its step can read, and tells at each call whether it is still the same.

    Parameters and buffers may be replaced by others of their shape. Every other attribute of the cell and its
    submodules must be the same object, and the lists, sets, deques, dictionaries and attributes of objects that are
    reached from there in a few steps must hold the same objects, small NumPy arrays the same numbers. Global variables
    and large arrays are not looked into.
    """

    def __init__(self, cell: nn.Module) -> None:
        arrays: list[np.ndarray[Any, Any]] = []
        self._holders = list(_holders(cell, arrays))
        self._arrays = [(array, _bytes(array)) for array in arrays]
        own = [holder for holder in self._holders if _is_of_module(holder)]
        others = [holder for holder in self._holders if not _is_of_module(holder)]
        modules = list(cell.modules())
        # The root is not kept, or it would never be forgotten; its class is looked at with `unchanged`.
        self._root, self._type = weakref.ref(cell), type(cell)
        self._types = [(module, type(module)) for module in modules if module is not cell]
        self._hooks = [(vars(module), kind) for module in modules for kind in HOOKS]
        attributes = [(holder, name, value) for holder in own for name, value in holder.items() if name not in OWN]
        contents = [(holder, _contents(holder)) for holder in others]
        # The core borrows what stands in these lists.
        self._given = [(holder, len(holder)) for holder in own], attributes, contents, self._hooks, self._types
        self._same = core().Unchanged(*self._given)
        values = [value for _, _, value in attributes] + [value for holder in others for value in _values(holder)]
        self._tensors = list({id(value): value for value in values if isinstance(value, Tensor)}.values())
        self._choosing = [tensor for tensor in self._tensors if not is_inexact(tensor)]
        self._shapes = list(map(_form, self._tensors))
        self._chosen = list(map(_numbers, self._choosing))
        self._seen_before = self._seen()

    def holds(self, cell: nn.Module) -> bool:
        """Whether nothing has changed that the step of `cell` can see."""
        if self.unchanged(cell):
            return True
        same_types = (
            self._root() is cell
            and type(cell) is self._type
            and all(type(module) is kind for module, kind in self._types)
        )
        hooked = any(attributes.get(kind) for attributes, kind in self._hooks)
        return same_types and not hooked and self._same_forms() and self._same_arrays()

    def unchanged(self, cell: nn.Module) -> bool:
        """As `holds`, and whether the tensors are the same objects too; this is asked before every run of a layer."""
        return (
            self._root() is cell  # and not one that says it is equal
            and type(cell) is self._type
            and self._same.holds()
            and list(map(_form, self._tensors)) == self._shapes
            and (not self._choosing or list(map(_numbers, self._choosing)) == self._chosen)
            and (not self._arrays or self._same_arrays())
        )

    def has(self, tensors: Iterable[Tensor]) -> bool:
        """Whether all of these are tensors of the cell."""
        return set(map(id, tensors)) <= set(map(id, self._tensors))

    def _same_forms(self) -> bool:
        now, before = self._seen(), self._seen_before
        return len(now) == len(before) and all(
            new is old or (type(new) is _Form and type(old) is _Form and new == old)
            for new, old in zip(now, before, strict=True)
        )

    def _same_arrays(self) -> bool:
        return all(_bytes(array) == before for array, before in self._arrays)

    def _seen(self) -> list[Any]:
        """All that the step can see, in order, tensors by their form."""
        numbers: dict[int, int] = {}
        seen: list[Any] = []
        for holder in self._holders:
            if isinstance(holder, dict):
                seen += holder
            for value in _values(holder):
                if isinstance(value, Tensor):
                    number = numbers.setdefault(id(value), len(numbers))
                    seen.append(_Form(value.shape, value.dtype, number, _numbers(value)))
                else:
                    seen.append(value)
        return seen


def _is_of_module(holder: Holder) -> TypeGuard[dict[Any, Any]]:
    return isinstance(holder, dict) and "_parameters" in holder and "_backward_hooks" in holder


def has_hooks(cell: nn.Module) -> bool:
    """Whether hooks on the cell or its submodules must see every step."""
    return any(getattr(module, kind) for module in cell.modules() for kind in HOOKS)


def _contents(holder: Holder) -> list[Any]:
    """The elements; of a dictionary a key and its value in turn."""
    return list(chain.from_iterable(holder.items())) if isinstance(holder, dict) else list(holder)


def _bytes(array: np.ndarray[Any, Any]) -> bytes:
    return f"{array.dtype.str}{array.shape}".encode() + array.tobytes()


def _values(holder: Holder) -> Iterable[Any]:
    return holder.values() if isinstance(holder, dict) else holder


def _holders(cell: nn.Module, arrays: list[np.ndarray[Any, Any]]) -> Iterator[Holder]:
    """What holds all that the step can see: of every module, and of plain objects. Adds to `arrays` those found."""
    seen: set[int] = set()

    def within(thing: Any, depth: int) -> Iterator[Holder]:
        if id(thing) in seen or isinstance(thing, OPAQUE) or depth > DEPTH:
            return
        seen.add(id(thing))
        if isinstance(thing, nn.Module):
            yield from of_module(thing)
        elif isinstance(thing, np.ndarray):
            if thing.nbytes <= SMALL_ARRAY:
                arrays.append(thing)
        elif isinstance(thing, (dict, list, set, deque)):
            yield thing
            for value in list(_values(thing)):
                yield from within(value, depth + 1)
        elif isinstance(thing, (tuple, frozenset)):
            for value in thing:
                yield from within(value, depth + 1)
        else:
            if isinstance(holder := getattr(thing, "__dict__", None), dict):
                yield from within(holder, depth + 1)
            if names := _slots(type(thing)):
                slots = _Slots(thing, names)
                yield slots
                for value in list(slots):
                    yield from within(value, depth + 1)

    def of_module(module: nn.Module) -> Iterator[Holder]:
        attributes = vars(module)
        yield attributes
        for name, value in list(attributes.items()):
            if name in ("_parameters", "_buffers", "_modules"):
                yield value
            elif name not in OWN:
                yield from within(value, 0)

    for module in cell.modules():
        if id(module) not in seen:
            seen.add(id(module))
            yield from of_module(module)


def _slots(kind: type) -> list[str]:
    """The names of the attributes that `__slots__` of a class and of its bases give to an object."""
    names = []
    for base in kind.__mro__:
        own = vars(base).get("__slots__", ())
        for name in (own,) if isinstance(own, str) else own:
            mangled = name.startswith("__") and not name.endswith("__")
            names.append(f"_{base.__name__.lstrip('_')}{name}" if mangled else name)
    return [name for name in names if name not in ("__dict__", "__weakref__")]
