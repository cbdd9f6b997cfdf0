"""The native engine: a plan run over a batch of sequences by the compiled core, forward and backward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from steploom.cells.cell import Cell
from steploom.engine.lowering import Lowered, lower_backward, lower_forward
from steploom.native import core
from steploom.program.plan import Plan
from steploom.program.program import MatrixView

__all__ = ["Sequences", "run_plan"]

States = tuple[Tensor, ...]


@dataclass
class Compiled:
    """A plan in the form of the core; each form is made when it is first needed."""

    plan: Plan
    plan_without_dx: Plan

    @cached_property
    def inference(self) -> Lowered:
        """The forward pass that keeps nothing."""
        return lower_forward(self.plan, training=False)

    @cached_property
    def training(self) -> Lowered:
        """The forward pass that keeps what the backward pass reads."""
        return lower_forward(self.plan, training=True)

    @cached_property
    def backward(self) -> Lowered:
        """The backward pass."""
        return lower_backward(self.plan)

    @cached_property
    def backward_without_dx(self) -> Lowered:
        """The backward pass where nobody asks for the gradient of the input."""
        return lower_backward(self.plan_without_dx)


@dataclass(frozen=True)
class Sequences:
    """How a batch is run: everything that is not differentiated.

    Attributes:
        lengths: int64 (batch,) on the CPU, or None.
        reversed: whether each sequence runs from its last step to its first.
        resets: bool (time, batch) or None.
        slices: parts of the batch that run by themselves, one a thread.
        team: threads that share a slice.
        isa: which build of the kernels runs; empty for the best.
    """

    lengths: Tensor | None = None
    reversed: bool = False
    resets: Tensor | None = None
    slices: int = 1
    team: int = 1
    isa: str = ""


@dataclass
class _Result:
    y: Tensor
    finals: list[Tensor]
    saved: Tensor | None = field(default=None)


def run_plan(
    compiled: Compiled,
    x: Tensor,
    states: States,
    leaves: Sequence[Tensor],
    reset_states: States,
    sequences: Sequences,
) -> tuple[Tensor, States]:
    """Run a plan; differentiable with respect to `x`, `states`, `leaves` and `reset_states`.

    Args:
        compiled: the plan.
        x: (time, batch, input_size).
        states: entering states (batch, size).
        leaves: what the program reads besides, in its order.
        reset_states: what a reset sets the states to, (batch, size) each; empty where there are no resets.
        sequences: lengths, direction, resets and threads.

    Returns:
        The outputs (time, batch, size), 0 in the padding, and the final states (batch, size).
    """
    tensors = (x, *states, *leaves, *reset_states)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        y, *finals = _Run.apply(compiled, sequences, len(states), len(leaves), *tensors)
        return y, tuple(finals)
    result = _forward(compiled.inference, x, states, leaves, reset_states, sequences)
    return result.y, tuple(result.finals)


class _Run(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, compiled: Compiled, sequences: Sequences, states: int, leaves: int, *tensors: Tensor) -> Any:
        x, entering = tensors[0], tensors[1 : 1 + states]
        read, reset_states = tensors[1 + states : 1 + states + leaves], tensors[1 + states + leaves :]
        result = _forward(compiled.training, x, entering, read, reset_states, sequences)
        ctx.compiled, ctx.sequences, ctx.counts = compiled, sequences, (states, leaves)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, result.saved, *read)
        return (result.y, *result.finals)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, dy: Tensor | None, *dfinals: Tensor | None) -> Any:
        x, saved, *leaves = ctx.saved_tensors
        states, count = ctx.counts
        needs = ctx.needs_input_grad[4:]
        lowered = ctx.compiled.backward if needs[0] else ctx.compiled.backward_without_dx
        return (
            None,
            None,
            None,
            None,
            *_backward(lowered, ctx.compiled.plan, x, saved, leaves, dy, dfinals, needs, states, count, ctx.sequences),
        )


def _forward(
    lowered: Lowered, x: Tensor, states: Sequence[Tensor], leaves: Sequence[Tensor], reset_states: Sequence[Tensor],
    sequences: Sequences,
) -> _Result:
    native = core()
    time, batch, _ = x.shape
    x = x if x.stride(2) == 1 else x.contiguous()
    states = [state.contiguous() for state in states]
    reset_states = [state.contiguous() for state in reset_states]
    shape = (time, batch, states[0].shape[1])
    y = x.new_zeros(shape) if sequences.lengths is not None else _empty(x, *shape)
    finals = [torch.empty_like(state) for state in states]
    lengths = 0 if sequences.lengths is None else sequences.lengths.data_ptr()
    saved = None
    if lowered.saved_widths:
        count = native.saved_elements(list(lowered.saved_widths), time, batch, lengths, sequences.slices)
        saved = _empty(x, count)
    _run(
        lowered, x, sequences, [_sequence(x), _sequence(y)], states, finals, reset_states, leaves, {}, [], saved
    )
    return _Result(y, finals, saved)


def _backward(
    lowered: Lowered, plan: Plan, x: Tensor, saved: Tensor | None, leaves: Sequence[Tensor], dy: Tensor | None,
    dfinals: Sequence[Tensor | None], needs: Sequence[bool], states: int, count: int, sequences: Sequences,
) -> list[Tensor | None]:
    time, batch, _ = x.shape
    widths = [state.width for state in plan.program.states]
    x = x if x.stride(2) == 1 else x.contiguous()
    if dy is None:
        dy = x.new_zeros(time, batch, widths[0])
    dy = dy if dy.stride(2) == 1 else dy.contiguous()
    dx = None
    if needs[0]:
        dx = torch.zeros_like(x) if sequences.lengths is not None or plan.dx is None else _empty(x, *x.shape)
    arriving = [None if g is None else g.contiguous() for g in dfinals]
    dstates = [x.new_empty(batch, width) for width in widths]
    dresets = [x.new_zeros(batch, width) for width in widths] if sequences.resets is not None else []
    gradients = {
        number: torch.zeros_like(leaf, memory_format=torch.contiguous_format)
        for number, leaf in enumerate(leaves)
        if needs[1 + states + number]
    }
    slots = [gradients.get(leaf) for leaf in lowered.vector_gradients]
    places = [_sequence(x), _sequence(dy), (0, 0, 0) if dx is None else _sequence(dx)]
    _run(lowered, x, sequences, places, arriving, dstates, dresets, leaves, gradients, slots, saved)
    return [dx, *dstates, *(gradients.get(number) for number in range(count)), *dresets]


def _run(
    lowered: Lowered, like: Tensor, sequences: Sequences, places: list[tuple[int, int, int]],
    states: Sequence[Tensor | None], finals: Sequence[Tensor], reset_states: Sequence[Tensor],
    leaves: Sequence[Tensor], gradients: dict[int, Tensor], slots: list[Tensor | None], saved: Tensor | None,
) -> None:
    time, batch = like.shape[:2]
    size = like.element_size()
    vectors = [leaves[v.leaf].data_ptr() + v.start * leaves[v.leaf].stride(0) * size for v in lowered.vectors]
    core().run(
        lowered.schedule,
        like.dtype == torch.float64,
        sequences.isa,
        time,
        batch,
        0 if sequences.lengths is None else sequences.lengths.data_ptr(),
        sequences.reversed,
        0 if sequences.resets is None else sequences.resets.data_ptr(),
        places,
        [0 if state is None else state.data_ptr() for state in states],
        [final.data_ptr() for final in finals],
        [state.data_ptr() for state in reset_states] or [0] * len(finals),
        [_matrix(view, leaves[view.leaf], gradients.get(view.leaf), size) for view in lowered.matrices],
        vectors,
        [0 if slot is None else slot.data_ptr() for slot in slots],
        0 if saved is None else saved.data_ptr(),
        sequences.slices,
        sequences.team,
    )


def _sequence(x: Tensor) -> tuple[int, int, int]:
    return x.data_ptr(), x.stride(0), x.stride(1)


def _matrix(view: MatrixView, leaf: Tensor, gradient: Tensor | None, size: int) -> tuple[int, int, int, int, int, int]:
    data, row, column = _corner(view, leaf, size)
    if gradient is None:
        return data, row, column, 0, 0, 0
    return (data, row, column, *_corner(view, gradient, size))


def _corner(view: MatrixView, leaf: Tensor, size: int) -> tuple[int, int, int]:
    row, column = leaf.stride()
    data = leaf.data_ptr() + (view.row0 * row + view.col0 * column) * size
    return (data, column, row) if view.transposed else (data, row, column)


def _empty(like: Tensor, *shape: int) -> Tensor:
    """Memory not yet written, in large pages where there is much of it."""
    fresh = like.new_empty(shape)
    if (size := fresh.nbytes) >= 1 << 22:
        core().prefer_large_pages(fresh.data_ptr(), size)
    return fresh
