"""`RNN`, `LSTM` and `GRU` in the place of torch.nn's: same constructor, call, parameters and `state_dict` keys.

They are torch.nn's own modules, which remain the aten engine. What is added: every engine can run them, and on the CPU
a `PackedSequence` runs as a padded batch with lengths, where torch.nn goes step by step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from steploom.cells.cell import Cell
from steploom.cells.gru import GRUCell
from steploom.cells.lstm import LSTMCell, ProjectedLSTMCell
from steploom.cells.simple import RNNCell
from steploom.engine import native
from steploom.engine.choice import engine_asked_for, native_obstacle
from steploom.engine.compiled import Compiled, compiled_by_key, compiled_cell
from steploom.engine.graphs import same_in_a_graph
from steploom.engine.repeat import key_of
from steploom.engine.seen import own_operations, why_looked_at
from steploom.errors import OptionError
from steploom.layers.drop_in_repeat import RepeatedStack, note, repeated, run_repeated
from steploom.layers.stack import Stack

__all__ = ["GRU", "LSTM", "RNN"]

States = tuple[Tensor, ...]
Kind = tuple[str, int, bool, int, str]
Layer = tuple[str, list[Tensor]]

# What torch.nn calls the products of a cell.
NAMES = {"input": "ih", "recurrent": "hh", "projection": "hr"}


class RNN(nn.RNN):
    """`torch.nn.RNN`, run by any engine: same arguments, call and `state_dict`."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        """As `torch.nn.RNN`: sequences, one sequence or a `PackedSequence`, and perhaps the initial state, to outputs
        in the form of the input and the final state.
        """
        return _run(self, input, hx, super().forward)


class LSTM(nn.LSTM):
    """`torch.nn.LSTM`, run by any engine: same arguments, call and `state_dict`, projections included."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        """As `torch.nn.LSTM`: sequences, one sequence or a `PackedSequence`, and perhaps the initial states (h, c), to
        outputs in the form of the input and the final states.
        """
        return _run(self, input, hx, super().forward)


class GRU(nn.GRU):
    """`torch.nn.GRU`, run by any engine: same arguments, call and `state_dict`."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        """As `torch.nn.GRU`: sequences, one sequence or a `PackedSequence`, and perhaps the initial state, to outputs
        in the form of the input and the final state.
        """
        return _run(self, input, hx, super().forward)


def _run(module: nn.RNNBase, input: Any, hx: Any, torch_forward: Callable[[Any, Any], Any]) -> Any:
    key = None
    if not torch.compiler.is_compiling() and type(input) is Tensor and input.dim() == 3:
        key = key_of("auto", input)
        if (found := repeated(module, key)) is not None:
            return _run_again(module, input, hx, found)
    name = engine_asked_for()
    if name in ("auto", "native"):
        obstacle = _native_obstacle(module, input)
        if obstacle is None:
            result = _run_cells(module, input, hx, native=True)
            if key is not None:
                x = input.transpose(0, 1) if module.batch_first else input
                note(module, key, x, _stack(module), _leaves(module))
            return result
        if name == "native":
            raise OptionError(
                f"The engine 'native' cannot run this layer: {obstacle}. Use use_engine('auto') or 'reference'."
            )
    # Packed on the CPU, torch.nn's LSTM runs step by step without oneDNN: twice to many times as long as padded.
    packed = isinstance(input, PackedSequence) and isinstance(module, nn.LSTM) and not module.proj_size
    if name == "reference" or (packed and input.data.device.type == "cpu"):
        return _run_cells(module, input, hx)
    return torch_forward(input, hx)


def _run_again(module: nn.RNNBase, input: Tensor, hx: Any, found: RepeatedStack) -> tuple[Any, Any]:
    state = None if hx is None else _initial_state(module, input, None, hx)
    x = input.transpose(0, 1) if module.batch_first else input
    y, state = found.stack.run_layers(
        run_repeated, found.layers, module.training, x, state, None, None, module.batch_first
    )
    return (y.transpose(0, 1) if module.batch_first else y), state if isinstance(module, nn.LSTM) else state[0]


def _native_obstacle(module: nn.RNNBase, input: Tensor | PackedSequence) -> str | None:
    weight = cast(Tensor, module.weight_ih_l0)
    obstacle = native_obstacle(weight.dtype, weight.device.type)
    if obstacle is not None or torch.compiler.is_compiling():
        return obstacle
    x = input.data if isinstance(input, PackedSequence) else input
    return why_looked_at() or own_operations((x, *module.parameters()))


def _run_cells(module: nn.RNNBase, input: Tensor | PackedSequence, hx: Any, native: bool = False) -> tuple[Any, Any]:
    if isinstance(input, PackedSequence):
        return _run_packed(module, input, hx, native)
    if input.dim() == 2:
        batch_dim = 0 if module.batch_first else 1
        if hx is not None:
            hx = tuple(part.unsqueeze(1) for part in hx) if isinstance(hx, tuple) else hx.unsqueeze(1)
        y, final = _run_cells(module, input.unsqueeze(batch_dim), hx, native)
        squeezed = tuple(part.squeeze(1) for part in final) if isinstance(final, tuple) else final.squeeze(1)
        return y.squeeze(batch_dim), squeezed
    state = _initial_state(module, input, None, hx)
    x = input.transpose(0, 1) if module.batch_first else input
    y, state = _run_layers(module, x, state, None, native)
    return (y.transpose(0, 1) if module.batch_first else y), state if isinstance(module, nn.LSTM) else state[0]


def _run_layers(
    module: nn.RNNBase, x: Tensor, state: States | None, lengths: Tensor | None, native: bool
) -> tuple[Tensor, States]:
    stack = _stack(module)
    if not native:
        return stack.run(_cells(module), x, state, lengths, None)
    layers = _leaves(module)
    return stack.run_layers(_run_native, layers, module.training, x, state, lengths, None, module.batch_first)


def _stack(module: nn.RNNBase) -> Stack:
    return Stack(directions=2 if module.bidirectional else 1, dropout=module.dropout)


def _run_packed(module: nn.RNNBase, packed: PackedSequence, hx: Any, native: bool) -> tuple[PackedSequence, Any]:
    # Without the order of the user's batch, it stays in the order of decreasing length until the results are known.
    x, lengths = pad_packed_sequence(PackedSequence(packed.data, packed.batch_sizes))
    state = _initial_state(module, packed.data, packed.batch_sizes, hx)
    if state is not None and packed.sorted_indices is not None:
        state = tuple(part.index_select(1, packed.sorted_indices) for part in state)
    y, state = _run_layers(module, x, state, lengths.to(x.device), native)
    if packed.unsorted_indices is not None:
        state = tuple(part.index_select(1, packed.unsorted_indices) for part in state)
    data = pack_padded_sequence(y, lengths).data
    output = PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
    return output, state if isinstance(module, nn.LSTM) else state[0]


def _initial_state(module: nn.RNNBase, input: Tensor, batch_sizes: Tensor | None, hx: Any) -> States | None:
    """The states that enter, checked; None for zeros."""
    if hx is None:
        module.check_input(input, batch_sizes)
        return None
    module.check_forward_args(input, hx, batch_sizes)
    return tuple(hx) if isinstance(module, nn.LSTM) else (hx,)


def _leaves(module: nn.RNNBase) -> list[Layer]:
    """The key of the plan of each layer and direction, and the module's own parameters that it reads."""
    kind = _kind(module)
    layers: list[Layer] = []
    for layer in range(module.num_layers):
        for suffix in ("", "_reverse") if module.bidirectional else ("",):
            end = f"_l{layer}{suffix}"
            key, names = _plan(kind, getattr(module, f"weight_ih{end}").shape[1])
            layers.append((key, [getattr(module, name + end) for name in names]))
    return layers


def _run_native(
    layer: Layer,
    x: Tensor,
    state: States | None,
    lengths: Tensor | None,
    resets: Tensor | None,
    backwards: bool,
    batch_first: bool,
) -> tuple[Tensor, States]:
    key, leaves = layer
    x, state = native.in_dtype(leaves[0].dtype, x, state or ())
    if torch.compiler.is_compiling():
        from steploom.engine.operator import run_operator

        y, state = run_operator(key, x, state, leaves, (), lengths, resets, backwards, batch_first)
        return y, tuple(part.unsqueeze(0) for part in state)
    leaves = [leaf.contiguous() for leaf in leaves]
    return native.run_leaves(compiled_by_key(key), leaves, x, state, (), lengths, resets, backwards, batch_first)


@same_in_a_graph
def _plan(kind: Kind, input_size: int) -> tuple[str, tuple[str, ...]]:
    """The key of a layer's plan, and the module's names, without their ends, for what the plan reads."""
    return _make_plan(kind, input_size)


@cache
def _make_plan(kind: Kind, input_size: int) -> tuple[str, tuple[str, ...]]:
    with torch.random.fork_rng(devices=[]):
        cell = _cell(kind, input_size)
    compiled = compiled_cell(cell)
    if not isinstance(compiled, Compiled):
        raise TypeError(f"{kind[0]} has no plan: {compiled}")
    paths = [str(leaf.path).split(".") for leaf in compiled.program.leaves]
    return compiled.key, tuple(f"{part}_{NAMES[product]}" for product, part in paths)


def _cells(module: nn.RNNBase) -> list[Cell]:
    """Cells that hold the module's own parameters, one a layer and direction.

    They are made anew for each run: the parameters may have been moved or replaced since the last one.
    """
    layer = _kind(module)
    cells = []
    for names in module._all_weights:
        weights = {name.rsplit("_l", 1)[0]: getattr(module, name) for name in names}
        with torch.device("meta"):
            cell = _cell(layer, weights["weight_ih"].shape[1])
        for product, ending in NAMES.items():
            for part in ("weight", "bias"):
                if (weight := weights.get(f"{part}_{ending}")) is not None:
                    # Under torch.func.functional_call the module's weights are tensors and no parameters.
                    delattr(getattr(cell, product), part)
                    setattr(getattr(cell, product), part, weight)
        cells.append(cell.train(module.training))
    return cells


def _cell(kind: Kind, input_size: int) -> Cell:
    name, hidden_size, bias, proj_size, nonlinearity = kind
    if name == "RNN":
        return RNNCell(input_size, hidden_size, nonlinearity, bias)
    if name == "GRU":
        return GRUCell(input_size, hidden_size, bias)
    if proj_size:
        return ProjectedLSTMCell(input_size, hidden_size, proj_size, bias)
    return LSTMCell(input_size, hidden_size, bias)


def _kind(module: nn.RNNBase) -> Kind:
    """What tells one kind of layer from another, but for the size of the input."""
    name = next(name for name in ("LSTM", "GRU", "RNN") if isinstance(module, getattr(nn, name)))
    nonlinearity = module.nonlinearity if isinstance(module, nn.RNN) else ""
    return name, module.hidden_size, module.bias, module.proj_size, nonlinearity
