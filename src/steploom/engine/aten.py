"""The engine of PyTorch's own recurrent kernels: oneDNN and ATen on the CPU, cuDNN on CUDA.

It runs the cells that PyTorch has. Lengths and resets are carried without PackedSequence, whose kernels run step by
step on the CPU and take many times as long: a batch with resets runs in segments from reset to reset, and padding is
kept from the results as `_run_segment` says.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from steploom.cells.cell import Cell
from steploom.cells.gru import GRUCell
from steploom.cells.lstm import LSTMCell
from steploom.cells.simple import RNNCell
from steploom.engine.lengths import last_step, padding
from steploom.engine.watch import HOOKED, has_hooks

__all__ = ["run", "why_not"]

States = tuple[Tensor, ...]

# As the argument of a logistic function it gives exactly 0 or 1 in every floating type, and float16 can hold it.
_SATURATED = 1e4


def why_not(cell: Cell) -> str | None:
    """Why PyTorch's kernels cannot run this cell, or None where they can."""
    if type(cell) not in (RNNCell, LSTMCell, GRUCell):
        return f"PyTorch has no kernel for {type(cell).__name__}"
    if isinstance(cell, RNNCell) and cell.activation not in (torch.tanh, torch.relu):
        return "PyTorch's simple recurrent kernels know tanh and relu only"
    products = _products(cell)
    if any(type(product) is not nn.Linear for product in products):
        return "a product of the cell is not a plain torch.nn.Linear"
    if (products[0].bias is None) != (products[1].bias is None):
        return "one product of the cell has a bias and the other has none"
    if any("forward" in vars(module) for module in (cell, *products)):
        return "a function was put in the place of the step of the cell, or of a product in it"
    if has_hooks(cell):
        return HOOKED
    return None


def run(
    cell: Cell, x: Tensor, state: States, *, lengths: Tensor | None = None, resets: Tensor | None = None
) -> tuple[Tensor, States]:
    """Run a cell for which `why_not` is None over a batch of sequences; arguments and result as `reference.run`."""
    if resets is None:
        return _run_segment(cell, x, state, lengths)
    bounds = sorted({0, *resets.any(1).nonzero().flatten().tolist(), len(x)})
    initial = cell.initial_state(x.shape[1], dtype=x.dtype, device=x.device)
    outputs = []
    for start, end in pairwise(bounds):
        fresh = resets[start].unsqueeze(-1)
        state = tuple(torch.where(fresh, new, old) for new, old in zip(initial, state, strict=True))
        left = (lengths - start).clamp(0, end - start) if lengths is not None else None
        y, state = _run_segment(cell, x[start:end], state, left)
        outputs.append(y)
    return torch.cat(outputs), state


def _run_segment(cell: Cell, x: Tensor, state: States, lengths: Tensor | None) -> tuple[Tensor, States]:
    """Run a cell without resets.

    Padding comes behind the data, so it changes no output at a step that counts; only the final states must be taken
    from before it. A final h is the output at the last step. A final c is in no output, so the LSTM is made to stand
    still in the padding: one more input feature, 1 in the padding and 0 elsewhere, closes the input gate and opens the
    forget gate.
    """
    weights = _weights(cell)
    if lengths is None:
        return _kernel(cell, x, state, weights)
    padded = padding(lengths, len(x))
    if isinstance(cell, LSTMCell):
        x = torch.cat([x, padded.to(x.dtype)], -1)
        stand_still = weights[0].new_tensor([-_SATURATED, _SATURATED, 0.0, 0.0])
        column = stand_still.repeat_interleave(cell.hidden_size).unsqueeze(1)
        weights = [torch.cat([weights[0], column], 1), *weights[1:]]
    y, final = _kernel(cell, x, state, weights)
    return y.masked_fill(padded, 0), (last_step(y, state[0], lengths), *final[1:])


def _weights(cell: Cell) -> list[Tensor]:
    """The cell's own parameters in the order of the kernels; nothing is copied."""
    products = _products(cell)
    biases: list[Tensor | None] = [product.bias for product in products]
    return [*(product.weight for product in products), *(bias for bias in biases if bias is not None)]


def _products(cell: Cell) -> tuple[nn.Linear, nn.Linear]:
    """The cell's products with the input and with the state."""
    return cast(nn.Linear, cell.input), cast(nn.Linear, cell.recurrent)


def _kernel(cell: Cell, x: Tensor, state: States, weights: list[Tensor]) -> tuple[Tensor, States]:
    # cuDNN keeps what a gradient needs only when told that it trains; without dropout this changes no value. What is
    # traced may train later.
    trains = torch.is_grad_enabled() or torch._C._get_tracing_state() is not None
    options = (len(weights) > 3, 1, 0.0, trains, False, False)
    entering = [part.unsqueeze(0) for part in state]
    if isinstance(cell, LSTMCell):
        y, h, c = torch.lstm(x, entering, weights, *options)
        return y, (h.squeeze(0), c.squeeze(0))
    if isinstance(cell, GRUCell):
        y, h = torch.gru(x, entering[0], weights, *options)
    elif isinstance(cell, RNNCell) and cell.activation is torch.relu:
        y, h = torch.rnn_relu(x, entering[0], weights, *options)
    else:
        y, h = torch.rnn_tanh(x, entering[0], weights, *options)
    return y, (h.squeeze(0),)
