"""Long sequences in less memory: the forward pass keeps the states at the head of each segment alone, and the backward
pass runs each segment again before it goes back through it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from steploom.engine.compiled import Compiled
from steploom.engine.native import once, refuse_batches, time_first
from steploom.engine.passes import Gradients, Sequences, backward, dx_for, forward, outputs_for, saved_for
from steploom.native import core

__all__ = ["RunInSegments", "backward_in_segments", "forward_in_segments", "kept_elements"]


class RunInSegments(torch.autograd.Function):
    """As the function of the native engine, a segment of `sequences.checkpoint_every` steps at a time."""

    @staticmethod
    def forward(ctx: Any, compiled: Compiled, sequences: Sequences, states: int, *tensors: Tensor) -> Any:
        """The outputs and the final states."""
        end = 1 + states + len(compiled.leaf_shapes)
        x, leaves, reset_states = tensors[0], tensors[1 + states : end], tensors[end:]
        kept = x.new_empty(kept_elements(compiled, x.shape[0], x.shape[1], sequences.checkpoint_every))
        y, finals = forward_in_segments(compiled, x, tensors[1 : 1 + states], leaves, reset_states, sequences, kept)
        ctx.compiled, ctx.sequences, ctx.states = compiled, sequences, states
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, kept, *leaves, *reset_states)
        return (y, *(final.unsqueeze(0).clone() for final in finals))

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, *dfinals: Tensor | None) -> Any:
        """The gradients of all tensors that entered."""
        refuse_batches(dy, *dfinals)
        x, kept, *rest = ctx.saved_tensors
        count = len(ctx.compiled.leaf_shapes)
        dy = time_first(dy, ctx.sequences.batch_first)
        with torch.no_grad():
            gradients = backward_in_segments(
                ctx.compiled,
                x,
                kept,
                rest[:count],
                rest[count:],
                dy,
                [None if gradient is None else gradient.squeeze(0) for gradient in dfinals],
                ctx.needs_input_grad[3:],
                ctx.states,
                ctx.sequences,
            )
        if torch.is_grad_enabled():
            gradients = once(gradients, *ctx.saved_tensors, dy, *dfinals)
        return (None, None, None, *gradients)


def kept_elements(compiled: Compiled, time: Any, batch: Any, every: int) -> Any:
    """Numbers that the forward pass keeps: the states at the head of each segment."""
    return (time + every - 1) // every * batch * sum(compiled.widths)


def forward_in_segments(
    compiled: Compiled,
    x: Tensor,
    states: Sequence[Tensor],
    leaves: Sequence[Tensor],
    reset_states: Sequence[Tensor],
    sequences: Sequences,
    kept: Tensor,
) -> tuple[Tensor, list[Tensor]]:
    """As `forward`; the states at the head of each segment are written to `kept`."""
    y = outputs_for(compiled, x, sequences)
    current = [*states] or [x.new_zeros((x.shape[1], width)) for width in compiled.widths]
    for segment in _segments(compiled, x, kept, sequences):
        for head, state in zip(segment.head, current, strict=True):
            head.copy_(state)
        part = y[:, segment.steps] if sequences.batch_first else y[segment.steps]
        given = (x[segment.steps], segment.entering(current, reset_states), leaves, reset_states, segment.sequences)
        _, current = forward(compiled, compiled.inference, *given, None, y=part)
    return y, current


def backward_in_segments(
    compiled: Compiled,
    x: Tensor,
    kept: Tensor,
    leaves: Sequence[Tensor],
    reset_states: Sequence[Tensor],
    dy: Tensor | None,
    dfinals: Sequence[Tensor | None],
    needs: Sequence[bool],
    states: int,
    sequences: Sequences,
) -> Gradients:
    """As `backward`, each segment run again first."""
    count = len(compiled.widths)
    # A segment's entering states are always asked for; what resets give is asked for where the user asks for it.
    asked = [needs[0], *[True] * count, *needs[1 + states :]]
    dx = dx_for(compiled, x, sequences) if needs[0] else None
    sums: Gradients = []  # of the leaves
    dresets = [x.new_zeros(state.shape) for state in reset_states]
    arriving = dfinals
    for segment in reversed(_segments(compiled, x, kept, sequences)):
        steps, part = segment.steps, segment.sequences
        entering = segment.entering(segment.head, reset_states)
        saved = saved_for(compiled.training, x[steps], part)
        forward(compiled, compiled.training, x[steps], entering, leaves, reset_states, part, saved)
        of_steps = None if dy is None else dy[steps]
        given = (compiled, x[steps], saved, leaves, of_steps, arriving, asked, count, part)
        _, *found = backward(*given, dx=None if dx is None else dx[steps], sums=sums)
        sums = found[count : count + len(leaves)]
        # All of these were asked for.
        dstates, resets = cast(list[Tensor], found[:count]), cast(list[Tensor], found[count + len(leaves) :])
        for total, gradient in zip(dresets, resets, strict=True):
            total += gradient
        if segment.cut is not None:
            for total, gradient in zip(dresets, dstates, strict=False):
                total += torch.where(segment.cut, gradient, 0)
            dstates = [torch.where(segment.cut, 0, gradient) for gradient in dstates]
        arriving = dstates
    return [dx, *(arriving if states else []), *sums, *dresets]


class _Segment(NamedTuple):
    """Steps that one call of the core runs.

    Attributes:
        steps: which.
        head: the states before the first of them, and before a reset there: views (batch, size) of what is kept.
        sequences: lengths and resets within these steps. A sequence that has no step here hands its state through.
        cut: bool (batch, 1), sequences that are reset between the segment that ran before and this one, a gap that
            neither of them sees; None where there can be none.
    """

    steps: slice
    head: list[Tensor]
    sequences: Sequences
    cut: Tensor | None

    def entering(self, states: Sequence[Tensor], reset_states: Sequence[Tensor]) -> list[Tensor]:
        """What the segment makes its first step from: `states`; where reset, `reset_states` or zeros."""
        if self.cut is None:
            return list(states)
        return [torch.where(self.cut, reset_states[n] if reset_states else 0, state) for n, state in enumerate(states)]


def _segments(compiled: Compiled, x: Tensor, kept: Tensor, sequences: Sequences) -> list[_Segment]:
    """The segments in the order in which they run. All share the weights as the first call packs them."""
    time, batch, _ = x.shape
    every, lengths, resets = sequences.checkpoint_every, sequences.lengths, sequences.resets
    sequences = sequences._replace(checkpoint_every=0, saved=-1, kept_weights=core().KeptWeights())
    sizes = [batch * width for width in compiled.widths]
    firsts = range(0, time, every)
    segments = []
    heads = kept.view(len(firsts), sum(sizes))
    for first, states in zip(firsts[::-1] if sequences.reversed else firsts, heads, strict=True):
        last = min(time, first + every)
        head = [part.view(batch, width) for part, width in zip(states.split(sizes), compiled.widths, strict=True)]
        part = sequences._replace(
            lengths=None if lengths is None else (lengths - first).clamp_(0, last - first),
            resets=None if resets is None else resets[first:last],
        )
        cut = None
        if resets is not None and sequences.reversed and last < time:
            cut = resets[last] if lengths is None else resets[last] & (lengths > last)
            cut = cut.unsqueeze(-1)
        segments.append(_Segment(slice(first, last), head, part, cut))
    return segments
