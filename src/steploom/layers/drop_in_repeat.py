"""Calls of a drop-in layer like one before, which go to the core without finding out again what the first one did."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from steploom.engine import native
from steploom.engine.call_check import check_states
from steploom.engine.compiled import compiled_by_key
from steploom.engine.passes import Sequences
from steploom.engine.repeat import Repeat, add
from steploom.engine.watch import Watch, has_hooks
from steploom.layers.stack import Stack

__all__ = ["RepeatedStack", "note", "repeated", "run_repeated"]

States = tuple[Tensor, ...]

# A module whose weights are replaced so often is one whose weights are replaced at every call.
MOST_WATCHES = 16


class RepeatedStack(NamedTuple):
    """What a call of a layer found out.

    Attributes:
        stack: how the layers and directions work together.
        layers: what each of them runs.
    """

    stack: Stack
    layers: list[Repeat]


@dataclass
class _Known:
    watch: Watch
    watches: int = 1
    calls: dict[Hashable, RepeatedStack] = field(default_factory=dict)


# By the modes of a module, which goes back and forth between training and evaluation.
_known: WeakKeyDictionary[nn.RNNBase, dict[bool, _Known]] = WeakKeyDictionary()


def repeated(module: nn.RNNBase, key: Hashable | None) -> RepeatedStack | None:
    """What the last call of the module with that key, of `key_of`, found out; None where anything is different."""
    modes = _known.get(module)
    known = modes.get(module.training) if modes and key is not None else None
    found = known.calls.get(key) if known is not None else None
    if known is None or found is None or not known.watch.unchanged(module):
        return None
    return found if all(leaf.is_contiguous() for layer in found.layers for leaf in layer.leaves) else None


def note(
    module: nn.RNNBase, key: Hashable, x: Tensor, stack: Stack, layers: Sequence[tuple[str, list[Tensor]]]
) -> None:
    """Note what a call of the native engine found out, where the next one may rely on it.

    Args:
        module: the layer.
        key: of the call, without lengths.
        x: inputs (time, batch, input_size).
        stack: how the layers and directions work together.
        layers: of each of them the key of the plan, and the tensors that it reads.
    """
    modes = _known.setdefault(module, {})
    known = modes.get(module.training)
    if known is None or not known.watch.unchanged(module):
        watches = 1 if known is None else known.watches + 1
        if watches > MOST_WATCHES or has_hooks(module):
            return
        known = modes[module.training] = _Known(Watch(module), watches)
    if not all(known.watch.has(leaves) for _, leaves in layers):
        return
    repeats = []
    for place, (plan, leaves) in enumerate(layers):
        compiled, backwards = compiled_by_key(plan), place % stack.directions > 0
        slices, team, isa = native.threads_of(compiled, x)
        sequences = Sequences(None, backwards, None, slices, team, isa, module.batch_first)
        repeats.append(Repeat(compiled, leaves, sequences))
    add(known.calls, key, RepeatedStack(stack, repeats))


def run_repeated(layer: Repeat, x: Tensor, state: States | None, *_: object) -> tuple[Tensor, States]:
    """Run a layer and direction as before, from the states given or from zeros."""
    if state is not None:
        check_states(layer.compiled, x, state, "state")
    return native.run_plan(layer.compiled, x, state or (), layer.leaves, (), layer.sequences)
