"""`RNN`, `LSTM` and `GRU` in the place of torch.nn's: same constructor, call, parameters and `state_dict` keys.

They are torch.nn's own modules, which remain the aten engine. What is added: every engine can run them, and an LSTM on
the CPU runs a `PackedSequence` as a padded batch with lengths, where torch.nn goes step by step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from steploom.cells.cell import Cell
from steploom.cells.gru import GRUCell
from steploom.cells.lstm import LSTMCell, ProjectedLSTMCell
from steploom.cells.simple import RNNCell
from steploom.engine.choice import wanted
from steploom.layers.stack import Stack

__all__ = ["GRU", "LSTM", "RNN"]

States = tuple[Tensor, ...]


class RNN(nn.RNN):
    """`torch.nn.RNN`, run by any engine: same arguments, call and `state_dict`."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        """As `torch.nn.RNN`: sequences, one sequence or a `PackedSequence`, and perhaps the initial state, to outputs
        in the form of the input and the final state.
        """
        return super().forward(input, hx) if _torch_runs(self, input) else _run_cells(self, input, hx)


class LSTM(nn.LSTM):
    """`torch.nn.LSTM`, run by any engine: same arguments, call and `state_dict`, projections included."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        """As `torch.nn.LSTM`: sequences, one sequence or a `PackedSequence`, and perhaps the initial states (h, c), to
        outputs in the form of the input and the final states.
        """
        return super().forward(input, hx) if _torch_runs(self, input) else _run_cells(self, input, hx)


class GRU(nn.GRU):
    """`torch.nn.GRU`, run by any engine: same arguments, call and `state_dict`."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        """As `torch.nn.GRU`: sequences, one sequence or a `PackedSequence`, and perhaps the initial state, to outputs
        in the form of the input and the final state.
        """
        return super().forward(input, hx) if _torch_runs(self, input) else _run_cells(self, input, hx)


def _torch_runs(module: nn.RNNBase, input: Tensor | PackedSequence) -> bool:
    if wanted() == "reference":
        return False
    if not (isinstance(input, PackedSequence) and isinstance(module, nn.LSTM)) or module.proj_size:
        return True
    # Packed on the CPU, torch.nn's LSTM runs step by step without oneDNN: twice to many times as long as padded.
    return input.data.device.type != "cpu"


def _run_cells(module: nn.RNNBase, input: Tensor | PackedSequence, hx: Any) -> tuple[Any, Any]:
    if isinstance(input, PackedSequence):
        return _run_packed(module, input, hx)
    time_dim, batch_dim = (1, 0) if module.batch_first else (0, 1)
    if input.dim() == 2:
        if hx is not None:
            hx = tuple(part.unsqueeze(1) for part in hx) if isinstance(hx, tuple) else hx.unsqueeze(1)
        y, final = _run_cells(module, input.unsqueeze(batch_dim), hx)
        squeezed = tuple(part.squeeze(1) for part in final) if isinstance(final, tuple) else final.squeeze(1)
        return y.squeeze(batch_dim), squeezed
    state = _initial_state(module, input, None, hx)
    y, state = _stack(module).run(_cells(module), input.transpose(0, time_dim), state, None, None)
    return y.transpose(0, time_dim), state if isinstance(module, nn.LSTM) else state[0]


def _run_packed(module: nn.RNNBase, packed: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
    # Without the order of the user's batch, it stays in the order of decreasing length until the results are known.
    x, lengths = pad_packed_sequence(PackedSequence(packed.data, packed.batch_sizes))
    state = _initial_state(module, packed.data, packed.batch_sizes, hx)
    if hx is not None and packed.sorted_indices is not None:
        state = tuple(part.index_select(1, packed.sorted_indices) for part in state)
    y, state = _stack(module).run(_cells(module), x, state, lengths.to(x.device), None)
    if packed.unsorted_indices is not None:
        state = tuple(part.index_select(1, packed.unsorted_indices) for part in state)
    data = pack_padded_sequence(y, lengths).data
    output = PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
    return output, state if isinstance(module, nn.LSTM) else state[0]


def _stack(module: nn.RNNBase) -> Stack:
    return Stack(directions=2 if module.bidirectional else 1, dropout=module.dropout)


def _initial_state(module: nn.RNNBase, input: Tensor, batch_sizes: Tensor | None, hx: Any) -> States:
    if hx is None:
        layers, batch, size = module.get_expected_hidden_size(input, batch_sizes)
        sizes = [size, module.hidden_size] if isinstance(module, nn.LSTM) else [size]
        zeros = tuple(input.new_zeros(layers, batch, size) for size in sizes)
        hx = zeros if isinstance(module, nn.LSTM) else zeros[0]
    module.check_forward_args(input, hx, batch_sizes)
    return tuple(hx) if isinstance(module, nn.LSTM) else (hx,)


def _cells(module: nn.RNNBase) -> list[Cell]:
    """Cells that hold the module's own parameters, one a layer and direction.

    They are made anew for each run: the parameters may have been moved or replaced since the last one.
    """
    cells = []
    for names in module._all_weights:
        weights = {name.rsplit("_l", 1)[0]: getattr(module, name) for name in names}
        with torch.device("meta"):
            cell = _cell(module, weights["weight_ih"].shape[1])
        for product, kind in (("input", "ih"), ("recurrent", "hh"), ("projection", "hr")):
            for part in ("weight", "bias"):
                if (weight := weights.get(f"{part}_{kind}")) is not None:
                    # Under torch.func.functional_call the module's weights are tensors and no parameters.
                    delattr(getattr(cell, product), part)
                    setattr(getattr(cell, product), part, weight)
        cells.append(cell.train(module.training))
    return cells


def _cell(module: nn.RNNBase, input_size: int) -> Cell:
    if isinstance(module, nn.RNN):
        return RNNCell(input_size, module.hidden_size, module.nonlinearity, module.bias)
    if isinstance(module, nn.GRU):
        return GRUCell(input_size, module.hidden_size, module.bias)
    if module.proj_size:
        return ProjectedLSTMCell(input_size, module.hidden_size, module.proj_size, module.bias)
    return LSTMCell(input_size, module.hidden_size, module.bias)
