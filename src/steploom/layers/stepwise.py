"""The layers of a `Recurrent` a step at a time: for networks whose next input depends on what a step gave."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from steploom.cells.cell import Cell
from steploom.engine import reference
from steploom.layers.dropout import dropout_mask
from steploom.layers.recurrent import Recurrent

__all__ = ["LayerStates", "Stepwise", "stack_state"]

States = tuple[Tensor, ...]

LayerStates = tuple[States, ...]
"""For each layer its states, (batch, size) each."""


class Stepwise:
    """The layers over one batch of sequences, one step a call, with gradients.

    Masks that hold for a whole sequence are drawn at the first step: there must be a new object for each batch. A step
    calls the cells themselves: over one step no engine is faster, for the weights would be made ready for that step
    alone.

    Args:
        recurrent: the layers, in one direction.
    """

    def __init__(self, recurrent: Recurrent) -> None:
        self._cells = cast(list[Cell], list(recurrent.cells))
        # What masks a sequence is multiplied in here; the stack would draw anew at each step.
        self._stack = recurrent.stack
        self._training = recurrent.training
        self._zoneout = self._stack.zoneout if any(self._stack.zoneout) else None
        self._input_masks: dict[int, Tensor] = {}
        self._recurrent_masks: dict[int, Tensor] = {}
        self._plain = len(self._cells) == 1 and not self._stack.residual

    def __call__(self, x: Tensor, states: LayerStates) -> tuple[Tensor, LayerStates]:
        """One step: `x` (batch, input_size) and the states to the output (batch, hidden_size) and the new states."""
        if self._plain:
            y, new = self._run(0, x, states[0])
            return y, (new,)
        made: list[States] = []
        for layer, entering in enumerate(states):
            inputs = x
            if layer and self._stack.dropout and self._training:
                inputs = inputs * dropout_mask(len(x), x.shape[-1], self._stack.dropout, x)
            y, new = self._run(layer, inputs, entering)
            made.append(new)
            x = y + x if self._stack.residual and x.shape == y.shape else y
        return x, tuple(made)

    def _run(self, layer: int, x: Tensor, states: States) -> tuple[Tensor, States]:
        cell, stack = self._cells[layer], self._stack
        rate = stack.further_input_dropout if layer else stack.input_dropout
        if rate and self._training:
            x = x * self._mask(self._input_masks, layer, x.shape[-1], rate, x)
        if self._zoneout is None and not (stack.recurrent_dropout and self._training):
            new = cell(x, *states)
            return new[0], new
        mask = None
        if stack.recurrent_dropout and self._training:
            mask = self._mask(self._recurrent_masks, layer, cell.hidden_size, stack.recurrent_dropout, x)
        y, new = reference.run(cell, x[None], states, recurrent_mask=mask, zoneout=self._zoneout)
        return y[0], new

    @staticmethod
    def _mask(masks: dict[int, Tensor], layer: int, size: int, rate: float, like: Tensor) -> Tensor:
        if layer not in masks:
            masks[layer] = dropout_mask(len(like), size, rate, like)
        return masks[layer]


def stack_state(states: LayerStates) -> States:
    """The states of each layer as `Recurrent` takes and returns them."""
    return tuple(torch.stack(parts) for parts in zip(*states, strict=True))
