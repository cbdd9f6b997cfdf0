"""Cells stacked in layers and directions, on time-major batches whose arguments have been checked."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from steploom.cells.cell import Cell, real_weight
from steploom.engine import aten, native, reference
from steploom.engine.call_check import check_states
from steploom.engine.choice import Choice, choose, engine_asked_for, warn_once
from steploom.engine.lengths import padding, reverse, reverse_resets
from steploom.engine.repeat import key_of, remember, repeat_of
from steploom.engine.seen import own_operations, why_looked_at
from steploom.layers.arguments import autocasts, check_dtype
from steploom.layers.dropout import dropout_mask

__all__ = ["Runner", "Stack"]

States = tuple[Tensor, ...]


# Runs one layer and direction: called with it and x, state, lengths, resets, backwards, batch_first; see `Stack.run`.
# It gives the outputs and the final states, each (1, batch, size).
Runner = Callable[..., tuple[Tensor, States]]


@dataclass(frozen=True)
class Stack:
    """How the cells of a stack work together.

    Attributes:
        directions: 1, or 2 for bidirectional layers.
        dropout: rate of the dropout between layers.
        residual: whether a layer's input is added to its output where the two have the same size.
        input_dropout: rate of the dropout on the first layer's input with one mask a sequence.
        further_input_dropout: that on the input of the layers behind it.
        recurrent_dropout: rate of the dropout in the recurrent products with one mask a sequence.
        zoneout: for each state the share of units that keep their value at a step.
        engine: what the layer asks for.
        checkpoint_every: steps of a segment, of which the native engine keeps the entering states alone; 0: all steps.
    """

    directions: int = 1
    dropout: float = 0.0
    residual: bool = False
    input_dropout: float = 0.0
    further_input_dropout: float = 0.0
    recurrent_dropout: float = 0.0
    zoneout: tuple[float, ...] = ()
    engine: str = "auto"
    checkpoint_every: int = 0

    def choose(self, cell: Cell) -> Choice:
        """The engine that runs `cell` in its present mode, and why."""
        return choose(cell, self.engine, self._needs_reference(cell) or _own_operations(cell))

    def _needs_reference(self, cell: Cell) -> str | None:
        if any(self.zoneout):
            return "zoneout mixes the states at every step"
        if self.recurrent_dropout and cell.training:
            return "variational dropout masks the recurrent product"
        return None

    def run(
        self,
        cells: Sequence[Cell],
        x: Tensor,
        state: States | None,
        lengths: Tensor | None,
        resets: Tensor | None,
        batch_first: bool = False,
    ) -> tuple[Tensor, States]:
        """Run the stack.

        Args:
            cells: the cell of each layer and direction, the directions of a layer side by side.
            x: inputs (time, batch, input_size).
            state: for each state of the cell one tensor (layers * directions, batch, size); None is the initial state.
            lengths: int64 (batch,) or None.
            resets: bool (time, batch) or None.
            batch_first: whether the outputs should lie in memory as (batch, time, size).

        Returns:
            The outputs (time, batch, size * directions), 0 in the padding, and the final states (layers * directions,
            batch, size).
        """
        return self.run_layers(self._run_cell, cells, cells[0].training, x, state, lengths, resets, batch_first)

    def run_layers(
        self,
        run: Runner,
        layers: Sequence[Any],
        training: bool,
        x: Tensor,
        state: States | None,
        lengths: Tensor | None,
        resets: Tensor | None,
        batch_first: bool = False,
    ) -> tuple[Tensor, States]:
        """As `run`, with anything in the place of the cells, and what runs each of them."""
        entering: list[States | None] = [None] * len(layers)
        if state is not None:
            entering = list(zip(*(part.unbind(0) for part in state), strict=True))
        finals: list[States] = []
        for first in range(0, len(layers), self.directions):
            inputs = x
            if first and self.dropout:
                inputs = F.dropout(inputs, self.dropout, training)
            rate = self.further_input_dropout if first else self.input_dropout
            if rate and training:
                inputs = inputs * dropout_mask(inputs.shape[1], inputs.shape[2], rate, inputs)
            outputs = []
            for place in range(first, first + self.directions):
                y, final = run(layers[place], inputs, entering[place], lengths, resets, place > first, batch_first)
                outputs.append(y)
                finals.append(final)
            y = outputs[0] if self.directions == 1 else torch.cat(outputs, -1)
            if self.residual and x.shape == y.shape:
                # The padding may hold anything, NaN too.
                y = y + (x if first or lengths is None else x.masked_fill(padding(lengths, len(x)), 0))
            x = y
        if len(finals) == 1:
            return x, finals[0]
        return x, tuple(torch.cat(parts) for parts in zip(*finals, strict=True))

    def _run_cell(
        self,
        cell: Cell,
        x: Tensor,
        state: States | None,
        lengths: Tensor | None,
        resets: Tensor | None,
        backwards: bool,
        batch_first: bool,
    ) -> tuple[Tensor, States]:
        how = backwards, batch_first, self.checkpoint_every
        plain = lengths is None and resets is None and not (self.recurrent_dropout or any(self.zoneout))
        compiling = torch.compiler.is_compiling()
        # All that `choose` and the checks below look at is the same as at the call that is repeated.
        key: Hashable = None
        if plain and not compiling:
            key = key_of(self.engine, x, *how)
            if (repeat := repeat_of(cell, key)) is not None:
                if state is None:
                    state = native.first_states(cell, x)
                    if state:
                        check_states(repeat.compiled, x, state, "state")
                return native.run_plan(repeat.compiled, x, state, repeat.leaves, (), repeat.sequences)
        dtype, device = x.dtype, x.device.type
        if autocasts(x):
            dtype = real_weight(cell, x).dtype
        if compiling:
            from steploom.engine.in_graph import choose_for_graph, run_in_graph

            engine, plan = choose_for_graph(cell, self.engine, self._needs_reference(cell), dtype, device)
            if plan is None:
                check_dtype(cell, x)
                return self._run_in_pytorch(engine, cell, x, state, lengths, resets, backwards)
            y, state = run_in_graph(plan, cell, x, state, lengths, resets, *how)
            return y, tuple(part.unsqueeze(0) for part in state)
        needs_reference, not_native = self._needs_reference(cell), None
        if needs_reference is None and engine_asked_for(self.engine) != "reference":
            not_native = why_looked_at()
            needs_reference = _own_operations(cell, x, *(state or ()))
        choice = choose(cell, self.engine, needs_reference, dtype, device, not_native)
        if choice.compiled is not None:
            if state is None:
                state = native.first_states(cell, x)
            result = native.run(
                cell,
                choice.compiled,
                x,
                state,
                lengths=lengths,
                resets=resets,
                backwards=backwards,
                batch_first=batch_first,
                checkpoint_every=self.checkpoint_every,
            )
            if plain:
                remember(cell, key, x, choice.compiled, *how)
            return result
        check_dtype(cell, x)
        warn_once(choice)
        return self._run_in_pytorch(choice.engine, cell, x, state, lengths, resets, backwards)

    def _run_in_pytorch(
        self,
        engine: str,
        cell: Cell,
        x: Tensor,
        state: States | None,
        lengths: Tensor | None,
        resets: Tensor | None,
        backwards: bool,
    ) -> tuple[Tensor, States]:
        """Run a cell on one of the engines that are made of PyTorch's own operations."""
        if state is None:
            state = cell.initial_state(x.shape[1], dtype=x.dtype, device=x.device)
        if lengths is not None:
            # The padding may hold anything, NaN too, which a product with 0 would not keep out of the gradients.
            padded = padding(lengths, len(x))
            x = x.masked_fill(padded, 0)
            resets = resets & ~padded.squeeze(-1) if resets is not None else None
        if backwards:
            x = reverse(x, lengths)
            resets = reverse_resets(resets, lengths) if resets is not None else None
        if engine == "aten":
            y, state = aten.run(cell, x, state, lengths=lengths, resets=resets)
        else:
            mask = None
            if self.recurrent_dropout and cell.training:
                mask = dropout_mask(x.shape[1], cell.hidden_size, self.recurrent_dropout, x)
            y, state = reference.run(
                cell,
                x,
                state,
                lengths=lengths,
                resets=resets,
                recurrent_mask=mask,
                zoneout=self.zoneout if any(self.zoneout) else None,
            )
        return (reverse(y, lengths) if backwards else y), tuple(part.unsqueeze(0) for part in state)


def _own_operations(cell: Cell, *tensors: Tensor) -> str | None:
    return own_operations((*tensors, *cell.parameters(), *cell.buffers()))
