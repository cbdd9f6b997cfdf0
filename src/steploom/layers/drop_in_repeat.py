"""The short way of a drop-in layer to the core: what calls of one kind have in common is found out once.

Nothing of a module is kept. What a call runs follows from plain values, and the parameters are looked up at each call.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from steploom.engine import native
from steploom.engine.call_check import check_states
from steploom.engine.choice import engine_wanted, native_obstacle
from steploom.engine.compiled import Compiled
from steploom.engine.passes import Sequences
from steploom.engine.repeat import MOST_SHAPES, key_of
from steploom.layers.drop_in_plans import Kind, endings_of, kind_of, make_plan, stack_of
from steploom.layers.stack import Stack

__all__ = ["ShortWay", "Way", "short_way"]

States = tuple[Tensor, ...]

# Other classes say themselves what an operation does to them.
PLAIN = (Tensor, nn.Parameter)


class Way(Protocol):
    """Runs all layers and directions of a module on an input (time, batch, size)."""

    def __call__(
        self, module: nn.RNNBase, x: Tensor, state: States | None, lengths: Tensor | None, /
    ) -> tuple[Tensor, States]: ...


class _Layer(NamedTuple):
    """What a layer and direction runs: its plan, the names and shapes of what that reads, direction and threads."""

    compiled: Compiled
    names: tuple[str, ...]
    shapes: list[tuple[int, ...]]
    sequences: Sequences


class ShortWay(NamedTuple):
    """What a call like one before runs, with the parameters of this one."""

    stack: Stack
    layers: list[tuple[_Layer, list[Tensor]]]

    def __call__(
        self, module: nn.RNNBase, x: Tensor, state: States | None, lengths: Tensor | None, /
    ) -> tuple[Tensor, States]:
        return self.stack.run_layers(
            _run_layer, self.layers, module.training, x, state, lengths, None, module.batch_first
        )

    def from_zeros(self, module: nn.RNNBase, input: Tensor) -> tuple[Tensor, States]:
        """As the module is called, without a state: the input, and the outputs, may be batch first."""
        batch_first = module.batch_first
        x = input.transpose(0, 1) if batch_first else input
        if len(self.layers) > 1:
            y, state = self(module, x, None, None)
        else:
            layer, leaves = self.layers[0]
            y, state = native.run_plan(layer.compiled, x, (), leaves, (), layer.sequences)
        return (y.transpose(0, 1) if batch_first else y), state


_known: dict[Hashable, tuple[Stack, list[_Layer]]] = {}


def short_way(module: nn.RNNBase, input: Tensor) -> ShortWay | None:
    """How to run a module natively on an input, without lengths; None where that has to be found out the long way.

    Args:
        module: of a class that torch.nn's forward would serve, and no parametrization has changed.
        input: as the caller gives it.
    """
    if torch.compiler.is_compiling() or type(input) is not Tensor or input.dim() != 3 or not input.numel():
        return None
    if engine_wanted() not in ("auto", "native"):
        return None
    sizes = module.input_size, module.num_layers, module.bidirectional, module.dropout
    key = key_of("auto", input, kind_of(module), sizes, module.batch_first)
    if key is None:
        return None
    found = _known.get(key)
    if found is None:
        if native_obstacle(input.dtype, input.device.type) is not None:
            return None
        module.check_input(input, None)
        if len(_known) >= MOST_SHAPES:
            _known.clear()
        found = _known[key] = _find(module, input)
    stack, layers = found
    parameters: dict[str, Any] = module._parameters
    ready = []
    for layer in layers:
        leaves: list[Any] = [parameters.get(name) for name in layer.names]
        for leaf, shape in zip(leaves, layer.shapes, strict=True):
            # What is wrong with it, or how it can be run nevertheless, the long way says.
            if type(leaf) not in PLAIN or leaf.dtype is not input.dtype or leaf.shape != shape:
                return None
            if not (leaf.is_cpu and leaf.is_contiguous()):
                return None
        ready.append((layer, leaves))
    return ShortWay(stack, ready)


def _find(module: nn.RNNBase, input: Tensor) -> tuple[Stack, list[_Layer]]:
    stack, kind = stack_of(module), kind_of(module)
    x = input.transpose(0, 1) if module.batch_first else input
    layers, size = [], module.input_size
    for place, ending in enumerate(endings_of(module.num_layers, stack.directions)):
        compiled, names = make_plan(kind, size if place < stack.directions else _output_size(kind) * stack.directions)
        sequences = native.without_lengths(compiled, x, place % stack.directions > 0, module.batch_first)
        layers.append(_Layer(compiled, tuple(name + ending for name in names), list(compiled.leaf_shapes), sequences))
    return stack, layers


def _output_size(kind: Kind) -> int:
    _, hidden_size, _, proj_size, _ = kind
    return proj_size or hidden_size


def _run_layer(
    ready: tuple[_Layer, list[Tensor]], x: Tensor, state: States | None, *_: object
) -> tuple[Tensor, States]:
    # Direction and memory layout, which follow, are in its sequences; lengths and resets there are none.
    layer, leaves = ready
    if state is not None:
        check_states(layer.compiled, x, state, "state")
    return native.run_plan(layer.compiled, x, state or (), leaves, (), layer.sequences)
