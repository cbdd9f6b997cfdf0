"""`RNN`, `LSTM` and `GRU` in the place of torch.nn's: same constructor, call, parameters and `state_dict` keys.

They are torch.nn's own modules, which remain the aten engine. What is added: every engine can run them, and on the CPU
a `PackedSequence` runs as a padded batch with lengths, where torch.nn goes step by step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from steploom.cells.cell import Cell
from steploom.engine import native
from steploom.engine.choice import engine_asked_for, native_obstacle
from steploom.engine.compiled import compiled_by_key
from steploom.engine.seen import own_operations, why_looked_at
from steploom.errors import OptionError
from steploom.layers.drop_in_plans import NAMES, cell_of, endings_of, kind_of, plan_of, stack_of
from steploom.layers.drop_in_repeat import Way, short_way

__all__ = ["GRU", "LSTM", "RNN"]

States = tuple[Tensor, ...]
Layer = tuple[str, list[Tensor]]


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


# A class of the user's may compute its weights, and one with a parametrization does.
OWN = (RNN, LSTM, GRU)


def _run(module: nn.RNNBase, input: Any, hx: Any, torch_forward: Callable[[Any, Any], Any]) -> Any:
    if type(module) in OWN and (way := short_way(module, input)) is not None:
        if hx is not None:
            _check_dimensions(module, input, hx)
            return _run_cells(module, input, hx, way)
        y, state = way.from_zeros(module, input)
        return y, state if isinstance(module, nn.LSTM) else state[0]
    _check_dimensions(module, input, hx)
    name = engine_asked_for()
    if name in ("auto", "native"):
        obstacle = _native_obstacle(module, input)
        if obstacle is None:
            return _run_cells(module, input, hx, _natively)
        if name == "native":
            raise OptionError(
                f"The engine 'native' cannot run this layer: {obstacle}. Use use_engine('auto') or 'reference'."
            )
    # Packed on the CPU, torch.nn's LSTM runs step by step without oneDNN: twice to many times as long as padded.
    packed = isinstance(input, PackedSequence) and isinstance(module, nn.LSTM) and not module.proj_size
    if name == "reference" or (packed and input.data.device.type == "cpu"):
        return _run_cells(module, input, hx, _by_cells)
    return torch_forward(input, hx)


def _check_dimensions(module: nn.RNNBase, input: object, hx: object) -> None:
    """Raises what torch.nn raises where the input, or the state beside it, has dimensions that no layer takes."""
    if isinstance(input, PackedSequence):
        return
    name = type(module).__name__
    if not isinstance(input, Tensor):
        raise TypeError(
            f"{name}: Expected input to be a tensor or a PackedSequence, got {type(input).__name__} instead"
        )
    if input.dim() not in (2, 3):
        raise ValueError(f"{name}: Expected input to be 2D or 3D, got {input.dim()}D instead")
    steps = input.shape[1 if module.batch_first and input.dim() == 3 else 0]
    if not steps:
        raise RuntimeError(f"{name}: Expected sequence length to be larger than 0")
    for part in hx if isinstance(hx, tuple | list) else (hx,):
        if isinstance(part, Tensor) and part.dim() != input.dim():
            form = "batched 3-D" if input.dim() == 3 else "unbatched 2-D"
            raise RuntimeError(f"For {form} input, hx should also be {input.dim()}-D but got {part.dim()}-D tensor")


def _native_obstacle(module: nn.RNNBase, input: Tensor | PackedSequence) -> str | None:
    weight = cast(Tensor, module.weight_ih_l0)
    obstacle = native_obstacle(weight.dtype, weight.device.type)
    if obstacle is not None or torch.compiler.is_compiling():
        return obstacle
    x = input.data if isinstance(input, PackedSequence) else input
    return why_looked_at() or own_operations((x, *module.parameters()))


def _run_cells(module: nn.RNNBase, input: Tensor | PackedSequence, hx: Any, way: Way) -> tuple[Any, Any]:
    if isinstance(input, PackedSequence):
        return _run_packed(module, input, hx, way)
    if input.dim() == 2:
        batch_dim = 0 if module.batch_first else 1
        if hx is not None:
            hx = tuple(part.unsqueeze(1) for part in hx) if isinstance(hx, tuple) else hx.unsqueeze(1)
        y, final = _run_cells(module, input.unsqueeze(batch_dim), hx, way)
        squeezed = tuple(part.squeeze(1) for part in final) if isinstance(final, tuple) else final.squeeze(1)
        return y.squeeze(batch_dim), squeezed
    state = _initial_state(module, input, None, hx)
    x = input.transpose(0, 1) if module.batch_first else input
    y, state = way(module, x, state, None)
    return (y.transpose(0, 1) if module.batch_first else y), state if isinstance(module, nn.LSTM) else state[0]


def _natively(module: nn.RNNBase, x: Tensor, state: States | None, lengths: Tensor | None) -> tuple[Tensor, States]:
    layers = _leaves(module)
    return stack_of(module).run_layers(
        _run_native, layers, module.training, x, state, lengths, None, module.batch_first
    )


def _by_cells(module: nn.RNNBase, x: Tensor, state: States | None, lengths: Tensor | None) -> tuple[Tensor, States]:
    return stack_of(module).run(_cells(module), x, state, lengths, None)


def _run_packed(module: nn.RNNBase, packed: PackedSequence, hx: Any, way: Way) -> tuple[PackedSequence, Any]:
    # Without the order of the user's batch, it stays in the order of decreasing length until the results are known.
    x, lengths = pad_packed_sequence(PackedSequence(packed.data, packed.batch_sizes))
    state = _initial_state(module, packed.data, packed.batch_sizes, hx)
    if state is not None and packed.sorted_indices is not None:
        state = tuple(part.index_select(1, packed.sorted_indices) for part in state)
    y, state = way(module, x, state, lengths.to(x.device))
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
    kind = kind_of(module)
    layers: list[Layer] = []
    for ending in endings_of(module.num_layers, 2 if module.bidirectional else 1):
        key, names = plan_of(kind, getattr(module, f"weight_ih{ending}").shape[1])
        layers.append((key, [getattr(module, name + ending) for name in names]))
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


def _cells(module: nn.RNNBase) -> list[Cell]:
    """Cells that hold the module's own parameters, one a layer and direction.

    They are made anew for each run: the parameters may have been moved or replaced since the last one.
    """
    kind = kind_of(module)
    cells = []
    for names in module._all_weights:
        weights = {name.rsplit("_l", 1)[0]: getattr(module, name) for name in names}
        with torch.device("meta"):
            cell = cell_of(kind, weights["weight_ih"].shape[1])
        for product, ending in NAMES.items():
            for part in ("weight", "bias"):
                if (weight := weights.get(f"{part}_{ending}")) is not None:
                    # Under torch.func.functional_call the module's weights are tensors and no parameters.
                    delattr(getattr(cell, product), part)
                    setattr(getattr(cell, product), part, weight)
        cells.append(cell.train(module.training))
    return cells
