"""The forward and the backward pass of a plan: one call of the compiled core each, on memory that PyTorch manages."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from steploom.engine.compiled import Compiled, Pass
from steploom.engine.kernels import uses_tiles
from steploom.engine.threads import inlines
from steploom.native import CoreKeptWeights, core

__all__ = ["Gradients", "Sequences", "backward", "dx_for", "forward", "outputs_for", "saved_elements", "saved_for"]

# Bytes from which on fresh memory is costly: the system clears it page by page.
LARGE = 1 << 22

Gradients = list[Tensor | None]


class Sequences(NamedTuple):
    """How a batch is run: everything that is not differentiated.

    Attributes:
        lengths: int64 (batch,) on the CPU, or None.
        reversed: whether each sequence runs from its last step to its first.
        resets: bool (time, batch) or None.
        slices: parts of the batch that run by themselves, one a thread.
        team: threads that share a slice.
        isa: which build of the kernels runs; empty for the best.
        batch_first: whether the outputs are (batch, time, size).
        checkpoint_every: steps of a segment, of which the forward pass keeps the entering states alone; 0: it keeps
            what the backward pass needs of every step.
        saved: how much the forward pass of training keeps, see `saved_elements`; negative where nobody has asked yet.
        kept_weights: the weights as the first of several calls packed them, where calls with the same ones follow each
            other.
    """

    lengths: Tensor | None = None
    reversed: bool = False
    resets: Tensor | None = None
    slices: int = 1
    team: int = 1
    isa: str = ""
    batch_first: bool = False
    checkpoint_every: int = 0
    saved: int = -1
    kept_weights: CoreKeptWeights | None = None


def forward(
    compiled: Compiled,
    one_way: Pass,
    x: Tensor,
    states: Sequence[Tensor],
    leaves: Sequence[Tensor],
    reset_states: Sequence[Tensor],
    sequences: Sequences,
    saved: Tensor | None,
    finals_of: tuple[int, ...] = (),
    y: Tensor | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """The outputs, as they lie in memory, and the final states (*finals_of, batch, size); what the backward pass reads
    is written to `saved`. The outputs go to `y` where it is given; its padding is left as it is."""
    batch = x.shape[1]
    if one_way.inline is not None:
        tiles = x.dtype is torch.float32 and uses_tiles(sequences.isa)
        weights = one_way.inline.weight_bytes[x.element_size()] // sequences.team
        if inlines(-(-batch // sequences.slices), x.shape[0], x.shape[2], tiles, weights):
            one_way = one_way.inline
    widths = compiled.widths
    if x.stride(2) != 1:
        x = x.contiguous()
    if y is None:
        y = outputs_for(compiled, x, sequences)
    finals = [x.new_empty((*finals_of, batch, width)) for width in widths]
    row, step = y.stride()[:2] if sequences.batch_first else y.stride()[1::-1]
    places = [(x.data_ptr(), x.stride(0), x.stride(1)), (y.data_ptr(), step, row)]
    _run(one_way, x, sequences, places, states, finals, reset_states, leaves, (), saved)
    return y, finals


def outputs_for(compiled: Compiled, x: Tensor, sequences: Sequences) -> Tensor:
    """Room for the outputs, with 0 where there is padding: the core writes the steps of each sequence alone."""
    time, batch, _ = x.shape
    shape = (batch, time) if sequences.batch_first else (time, batch)
    return _room(x, (*shape, compiled.widths[0]), whole=sequences.lengths is None)


def dx_for(compiled: Compiled, x: Tensor, sequences: Sequences) -> Tensor:
    """Room for the gradient of x, with 0 where there is padding, and everywhere for a cell that does not read x."""
    # Not empty_like, which takes over what strides x has: the core writes the features of a step side by side.
    return _room(x, x.shape, whole=sequences.lengths is None and compiled.plan.dx is not None)


def saved_elements(one_way: Pass, time: int, batch: int, lengths: Tensor | None, slices: int) -> int:
    """How much the forward pass keeps."""
    if not one_way.saved_widths:
        return 0
    at = 0 if lengths is None else lengths.data_ptr()
    return core().saved_elements(one_way.saved_widths, time, batch, at, slices)


def saved_for(one_way: Pass, x: Tensor, sequences: Sequences) -> Tensor | None:
    """Room for what the forward pass keeps."""
    count = sequences.saved
    if count < 0:
        count = saved_elements(one_way, x.shape[0], x.shape[1], sequences.lengths, sequences.slices)
    if not count:
        return None
    size = x.element_size() * count
    if size < LARGE:
        return x.new_empty(count)
    # Nobody but the core reads it, so PyTorch may give it its type.
    return torch.frombuffer(core().memory(size), dtype=x.dtype)


def backward(
    compiled: Compiled,
    x: Tensor,
    saved: Tensor | None,
    leaves: Sequence[Tensor],
    dy: Tensor | None,
    dfinals: Sequence[Tensor | None],
    needs: Sequence[bool],
    states: int,
    sequences: Sequences,
    dx: Tensor | None = None,
    sums: Gradients | None = None,
) -> Gradients:
    """The gradients of x, the entering states, the leaves and the states of resets: those that `needs` asks for. That
    of x goes to `dx` where it is given, its padding left as it is; those of the leaves are added to `sums`."""
    time, batch, _ = x.shape
    widths = compiled.widths
    one_way = compiled.backward if needs[0] else compiled.backward_without_dx
    if x.stride(2) != 1:
        x = x.contiguous()
    if dy is None:
        dy = x.new_zeros((time, batch, widths[0]))
    elif dy.stride(2) != 1:
        dy = dy.contiguous()
    places = [(x.data_ptr(), x.stride(0), x.stride(1)), (dy.data_ptr(), dy.stride(0), dy.stride(1))]
    if needs[0] and dx is None:
        dx = dx_for(compiled, x, sequences)
    places.append((0, 0, 0) if dx is None else (dx.data_ptr(), dx.stride(0), dx.stride(1)))
    dstates = [x.new_empty((batch, width)) for width in widths] if states else []
    end = 1 + states + len(leaves)
    dresets = [x.new_zeros((batch, width)) for width in widths] if len(needs) > end else []
    gradients = sums or [
        None if not needed else _unwritten_like(leaf) if written else torch.zeros_like(leaf)
        for leaf, needed, written in zip(leaves, needs[1 + states : end], one_way.written, strict=True)
    ]
    _run(one_way, x, sequences, places, dfinals, dstates, dresets, leaves, gradients, saved, bool(sums))
    return [dx, *dstates, *gradients, *dresets]


def _run(
    one_way: Pass,
    like: Tensor,
    sequences: Sequences,
    places: list[tuple[int, int, int]],
    entering: Sequence[Tensor | None],
    leaving: Sequence[Tensor],
    of_resets: Sequence[Tensor],
    leaves: Sequence[Tensor],
    gradients: Sequence[Tensor | None],
    saved: Tensor | None,
    adds: bool = False,
) -> None:
    time, batch, _ = like.shape
    # What is made contiguous here must live until the core has run.
    if entering:
        entering = [None if state is None else state.contiguous() for state in entering]
    if of_resets:
        of_resets = [state.contiguous() for state in of_resets]
    core().run(
        one_way.schedule,
        like.dtype is torch.float64,
        sequences.isa,
        time,
        batch,
        0 if sequences.lengths is None else sequences.lengths.data_ptr(),
        sequences.reversed,
        0 if sequences.resets is None else sequences.resets.data_ptr(),
        places,
        _places(entering) if entering else [],  # one function of Python less
        list(map(Tensor.data_ptr, leaving)),
        list(map(Tensor.data_ptr, of_resets)),
        list(map(Tensor.data_ptr, leaves)),
        _places(gradients) if gradients else [],
        0 if saved is None else saved.data_ptr(),
        sequences.slices,
        sequences.team,
        adds,
        sequences.kept_weights,
    )


def _places(tensors: Sequence[Tensor | None]) -> list[int]:
    return [0 if tensor is None else tensor.data_ptr() for tensor in tensors]


def _room(like: Tensor, shape: Sequence[int], whole: bool) -> Tensor:
    # `whole`: all of it will be written.
    return unwritten(like, *shape) if whole else like.new_zeros(shape)


def _unwritten_like(leaf: Tensor) -> Tensor:
    # The shorter way for the small ones, of which there are several at each step of training.
    return torch.empty_like(leaf) if leaf.nbytes < LARGE else unwritten(leaf, *leaf.shape)


def unwritten(like: Tensor, *shape: int) -> Tensor:
    """Memory not yet written. Where there is much of it, it is the core's, which keeps what becomes free for the next
    call: fresh memory is cleared page by page."""
    size = like.element_size() * prod(shape)
    if size < LARGE:
        return like.new_empty(shape)
    # Shaped by NumPy, since PyTorch's own views may not be written to where a function of autograd returns them.
    dtype = "float64" if like.dtype is torch.float64 else "float32"
    return torch.from_numpy(core().memory(size).view(dtype).reshape(shape))
