"""Whether a cell is still as it was when its step was traced."""

from __future__ import annotations

import types
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from itertools import chain
from operator import attrgetter, call, is_, itemgetter
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["Watch", "has_hooks"]

Holder = dict[Any, Any] | list[Any] | set[Any]

# What torch.nn keeps of its own in every module and no step reads.
OWN = frozenset(vars(nn.Module())) - {"training", "_parameters", "_buffers", "_modules"}
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
OPAQUE = (Tensor, type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType)
DEPTH = 4


class _Form(NamedTuple):
    """What a program depends on of a tensor: its shape, and which of the tensors of the cell it is. Whole numbers and
    truth values may choose among features, so of those it depends on the contents."""

    shape: torch.Size
    dtype: torch.dtype
    number: int
    contents: tuple[int, int] | None


_form = attrgetter("shape", "dtype", "device")


def _contents(tensor: Tensor) -> tuple[int, int] | None:
    """What tells whether the numbers of a tensor that may choose among features are still the same."""
    if tensor.is_floating_point():
        return None
    return id(tensor), -1 if tensor.is_inference() else tensor._version


class Watch:
    """Remembers all of a cell that its step can read, and tells at each call whether it is still the same.

    Parameters and buffers may be replaced by others of their shape. Every other attribute of the cell and its
    submodules must be the same object, and lists, dictionaries and objects among them must hold the same objects.
    Global variables are not watched.
    """

    def __init__(self, cell: nn.Module) -> None:
        self._holders = list(_holders(cell))
        self._readers = [_reader(holder) for holder in self._holders]
        self._dictionaries = [h for h in self._holders if isinstance(h, dict) and not _is_of_module(h)]
        self._hooks = [partial(itemgetter(*HOOKS), vars(module)) for module in cell.modules()]
        self._lengths = list(map(len, self._holders))
        self._keys = list(chain.from_iterable(self._dictionaries))
        self._values = list(chain.from_iterable(map(call, self._readers)))
        self._tensors = list({id(value): value for value in self._values if isinstance(value, Tensor)}.values())
        self._choosing = [tensor for tensor in self._tensors if not tensor.is_floating_point()]
        self._shapes = list(map(_form, self._tensors))
        self._chosen = list(map(_contents, self._choosing))
        # The root is not kept, or it would never be forgotten; its class is looked at with `unchanged`.
        self._modules = [module for module in cell.modules() if module is not cell]
        self._types = list(map(type, self._modules))
        self._type = type(cell)
        self._seen_before = self._seen()

    def holds(self, cell: nn.Module) -> bool:
        """Whether nothing has changed that the step of `cell` can see."""
        if self.unchanged(cell):
            return True
        same_modules = type(cell) is self._type and list(map(type, self._modules)) == self._types
        return same_modules and not any(chain.from_iterable(map(call, self._hooks))) and self._same_forms()

    # This is asked before every run of a layer, often with the caches full of numbers, when each function of Python
    # takes several times as long as it otherwise would: hence one of them, and loops that are not Python's.
    def unchanged(self, cell: nn.Module) -> bool:
        """As `holds`, and whether the tensors are the same objects too."""
        try:
            values = list(chain.from_iterable(map(call, self._readers)))
        except KeyError:  # an attribute of a module is gone
            return False
        return (
            type(cell) is self._type
            and len(values) == len(self._values)
            and all(map(is_, values, self._values))
            and list(map(len, self._holders)) == self._lengths
            and list(chain.from_iterable(self._dictionaries)) == self._keys
            and list(map(_form, self._tensors)) == self._shapes
            and not any(chain.from_iterable(map(call, self._hooks)))
            and list(map(type, self._modules)) == self._types
            and (not self._choosing or list(map(_contents, self._choosing)) == self._chosen)
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
                    seen.append(_Form(value.shape, value.dtype, number, _contents(value)))
                else:
                    seen.append(value)
        return seen


def _reader(holder: Holder) -> Callable[[], Iterable[Any]]:
    """What reads the values of a holder, quickly; of the attributes of a module, those that a step can see."""
    if not isinstance(holder, dict):
        return holder.__iter__
    if _is_of_module(holder):
        return partial(itemgetter(*(name for name in holder if name not in OWN)), holder)
    return holder.values


def _is_of_module(holder: Holder) -> bool:
    return isinstance(holder, dict) and "_parameters" in holder and "_backward_hooks" in holder


def has_hooks(cell: nn.Module) -> bool:
    """Whether hooks on the cell or its submodules must see every step."""
    return any(getattr(module, kind) for module in cell.modules() for kind in HOOKS)


def _values(holder: Holder) -> Collection[Any]:
    return holder.values() if isinstance(holder, dict) else holder


def _holders(cell: nn.Module) -> Iterator[Holder]:
    """The dictionaries, lists and sets that hold what the step can see: of every module, and of plain objects."""
    seen: set[int] = set()

    def within(thing: Any, depth: int) -> Iterator[Holder]:
        if id(thing) in seen or isinstance(thing, OPAQUE) or depth > DEPTH:
            return
        seen.add(id(thing))
        if isinstance(thing, nn.Module):
            yield from of_module(thing)
        elif isinstance(thing, (dict, list, set)):
            yield thing
            for value in list(_values(thing)):
                yield from within(value, depth + 1)
        elif isinstance(thing, (tuple, frozenset)):
            for value in thing:
                yield from within(value, depth + 1)
        elif isinstance(holder := getattr(thing, "__dict__", None), dict) and holder:
            yield from within(holder, depth + 1)

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
