"""Long sequences in less memory: the forward pass keeps the states at the head of each segment alone, and the backward
pass runs each segment again before it goes back through it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
        x, leaves, starts = tensors[0], tensors[1 + states : end], tensors[end:]
        kept = x.new_empty(kept_elements(compiled, x.shape[0], x.shape[1], sequences.checkpoint_every))
        y, finals = forward_in_segments(compiled, x, tensors[1 : 1 + states], leaves, starts, sequences, kept)
        ctx.compiled, ctx.sequences, ctx.states = compiled, sequences, states
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, kept, *leaves, *starts)
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
    starts: Sequence[Tensor],
    sequences: Sequences,
    kept: Tensor,
) -> tuple[Tensor, list[Tensor]]:
    """As `forward`; the states at the head of each segment are written to `kept`."""
    time, batch, _ = x.shape
    y = outputs_for(compiled, x, sequences)
    steps = 1 if sequences.batch_first else 0
    kept_weights = core().KeptWeights()
    current = [*states] or [x.new_zeros((batch, width)) for width in compiled.widths]
    heads = _heads(compiled, kept, len(_segments(time, sequences)), batch)
    for number, (first, last) in enumerate(_segments(time, sequences)):
        for head, state in zip(heads, current, strict=True):
            head[number].copy_(state)
        part = _part(sequences, first, last)
        current, _ = _reset_between(sequences, last, time, current, starts)
        to = y.narrow(steps, first, last - first)
        given = (x[first:last], current, leaves, starts, part)
        _, current = forward(compiled, compiled.inference, *given, None, y=to, kept_weights=kept_weights)
    return y, current


def backward_in_segments(
    compiled: Compiled,
    x: Tensor,
    kept: Tensor,
    leaves: Sequence[Tensor],
    starts: Sequence[Tensor],
    dy: Tensor | None,
    dfinals: Sequence[Tensor | None],
    needs: Sequence[bool],
    states: int,
    sequences: Sequences,
) -> Gradients:
    """As `backward`, each segment run again first."""
    time, batch, _ = x.shape
    count = len(compiled.widths)
    end = 1 + states + len(leaves)
    # A segment's entering states are always asked for; what resets give is asked for where the user asks for it.
    asked = [needs[0], *[True] * count, *needs[1 + states :]]
    dx = dx_for(compiled, x, sequences) if needs[0] else None
    sums: Gradients = []  # of the leaves
    of_resets: Gradients = [None] * (len(needs) - end)
    kept_weights = core().KeptWeights()
    heads = _heads(compiled, kept, len(_segments(time, sequences)), batch)
    arriving = list(dfinals)
    for number, (first, last) in reversed(list(enumerate(_segments(time, sequences)))):
        part = _part(sequences, first, last)
        entering, cut = _reset_between(sequences, last, time, [head[number] for head in heads], starts)
        segment = x[first:last]
        saved = saved_for(compiled.training, segment, part)
        forward(compiled, compiled.training, segment, entering, leaves, starts, part, saved, kept_weights=kept_weights)
        _, *found = backward(
            compiled,
            segment,
            saved,
            leaves,
            None if dy is None else dy[first:last],
            arriving,
            asked,
            count,
            part,
            dx=None if dx is None else dx[first:last],
            sums=sums,
            kept_weights=kept_weights,
        )
        arriving, sums, of_starts = found[:count], found[count : count + len(leaves)], found[count + len(leaves) :]
        if cut is not None:
            for place, gradient in enumerate(arriving):
                if gradient is not None:
                    if starts:
                        reset_gradient = of_starts[place]
                        if reset_gradient is not None:
                            reset_gradient += torch.where(cut, gradient, 0)
                    arriving[place] = torch.where(cut, 0, gradient)
        for place, gradient in enumerate(of_starts):
            held = of_resets[place]
            of_resets[place] = gradient if held is None or gradient is None else held.add_(gradient)
    return [dx, *(arriving if states else []), *sums, *of_resets]


def _segments(time: int, sequences: Sequences) -> list[tuple[int, int]]:
    """First step and end of each segment, in the order in which they run."""
    every = sequences.checkpoint_every
    found = [(first, min(time, first + every)) for first in range(0, time, every)]
    return found[::-1] if sequences.reversed else found


def _part(sequences: Sequences, first: int, last: int) -> Sequences:
    """The lengths and resets of a segment. A sequence that has no step in it hands its state through."""
    lengths, resets = sequences.lengths, sequences.resets
    return sequences._replace(
        lengths=None if lengths is None else (lengths - first).clamp_(0, last - first),
        resets=None if resets is None else resets[first:last],
        checkpoint_every=0,
        saved=-1,
    )


def _reset_between(
    sequences: Sequences, last: int, time: int, states: Sequence[Tensor], starts: Sequence[Tensor]
) -> tuple[list[Tensor], Tensor | None]:
    """The states that enter a segment, and which rows of them were reset.

    Coming from behind, the gap at which a reset stands may be that between two segments, which neither of them sees.
    """
    if not sequences.reversed or sequences.resets is None or last == time:
        return list(states), None
    cut = sequences.resets[last]
    if sequences.lengths is not None:
        cut = cut & (sequences.lengths > last)
    cut = cut.unsqueeze(-1)
    replaced = [torch.where(cut, starts[n] if starts else 0, state) for n, state in enumerate(states)]
    return replaced, cut


def _heads(compiled: Compiled, kept: Tensor, segments: int, batch: int) -> list[Tensor]:
    """Each state at the heads of all segments, before any reset there: views (segments, batch, size)."""
    sizes = [batch * width for width in compiled.widths]
    parts = torch.split(kept.view(segments, sum(sizes)), sizes, dim=1)
    return [part.view(segments, batch, width) for part, width in zip(parts, compiled.widths, strict=True)]
