"""The native engine as an operator of PyTorch, `steploom::run`, for graphs: torch.compile, torch.export, torch.func.

It does what `native.run_plan` does. A plan is named by a digest, so that a graph holds nothing but plain values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from steploom.engine.call_check import check_call
from steploom.engine.checkpoint import backward_in_segments, forward_in_segments, kept_elements
from steploom.engine.compiled import Compiled, compiled_by_key
from steploom.engine.native import FIRST_DERIVATIVES_ALONE, threads_of, time_first
from steploom.engine.passes import Sequences, backward, forward
from steploom.errors import OptionError
from steploom.native import core

__all__ = ["run_operator"]


def run_operator(
    key: str,
    x: Tensor,
    states: Sequence[Tensor],
    leaves: Sequence[Tensor],
    reset_states: Sequence[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    backwards: bool,
    batch_first: bool,
    every: int = 0,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run the plan that `key` names; arguments and result as `native.run_plan`."""
    tensors = [x, *states, *leaves, *reset_states]
    training = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    run = torch.ops.steploom.run
    y, finals, _, _ = run(
        x, list(states), list(leaves), list(reset_states), lengths, resets, key, backwards, batch_first, training, every
    )
    return (y.transpose(0, 1) if batch_first else y), tuple(finals)


@torch.library.custom_op("steploom::run", mutates_args=(), device_types="cpu")
def _run(
    x: Tensor,
    states: list[Tensor],
    leaves: list[Tensor],
    reset_states: list[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    key: str,
    backwards: bool,
    batch_first: bool,
    training: bool,
    every: int,
) -> tuple[Tensor, list[Tensor], Tensor, Tensor]:
    compiled = compiled_by_key(key)
    check_call(compiled, x, states, leaves, reset_states, lengths, resets)
    if lengths is not None and x.shape[1] and not 0 <= int(lengths.min()) <= int(lengths.max()) <= x.shape[0]:
        raise OptionError(
            f"lengths must lie between 0 and the {x.shape[0]} steps of x, "
            f"found {int(lengths.min())} to {int(lengths.max())}."
        )
    slices, team, isa = threads_of(compiled, x)
    sequences = Sequences(_whole(lengths), backwards, _whole(resets), slices, team, isa, batch_first, every)
    saved = x.new_empty(_saved_size(compiled, training, x.shape[0], x.shape[1], every))
    leaves = [leaf.contiguous() for leaf in leaves]
    if every and training:
        y, finals = forward_in_segments(compiled, x, states, leaves, reset_states, sequences, saved)
    else:
        one_way = compiled.training if training else compiled.inference
        y, finals = forward(compiled, one_way, x, states, leaves, reset_states, sequences, saved)
    return y, finals, saved, torch.tensor([slices, team])


@_run.register_fake
def _(
    x: Tensor,
    states: list[Tensor],
    leaves: list[Tensor],
    reset_states: list[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    key: str,
    backwards: bool,
    batch_first: bool,
    training: bool,
    every: int,
) -> tuple[Tensor, list[Tensor], Tensor, Tensor]:
    compiled = compiled_by_key(key)
    time, batch, _ = x.shape
    width = compiled.widths[0]
    y = x.new_empty((batch, time, width) if batch_first else (time, batch, width))
    saved = x.new_empty(_saved_size(compiled, training, time, batch, every))
    finals = [x.new_empty((batch, width)) for width in compiled.widths]
    return y, finals, saved, torch.empty(2, dtype=torch.int64)


@torch.library.custom_op("steploom::run_backward", mutates_args=(), device_types="cpu")
def _run_backward(
    dy: Tensor | None,
    dfinals: Sequence[Tensor | None],
    x: Tensor,
    saved: Tensor,
    threads: Tensor,
    leaves: list[Tensor],
    reset_states: list[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    key: str,
    needs: list[bool],
    states: int,
    backwards: bool,
    every: int,
) -> list[Tensor]:
    compiled = compiled_by_key(key)
    slices, team = threads.tolist()
    _, _, isa = threads_of(compiled, x)
    sequences = Sequences(_whole(lengths), backwards, _whole(resets), slices, team, isa, False, every)
    leaves = [leaf.contiguous() for leaf in leaves]
    if every:
        gradients = backward_in_segments(
            compiled, x, saved, leaves, reset_states, dy, dfinals, needs, states, sequences
        )
    else:
        gradients = backward(compiled, x, saved, leaves, dy, dfinals, needs, states, sequences)
    return [x.new_empty(0) if gradient is None else gradient for gradient in gradients]


@_run_backward.register_fake
def _(
    dy: Tensor | None,
    dfinals: Sequence[Tensor | None],
    x: Tensor,
    saved: Tensor,
    threads: Tensor,
    leaves: list[Tensor],
    reset_states: list[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    key: str,
    needs: list[bool],
    states: int,
    backwards: bool,
    every: int,
) -> list[Tensor]:
    compiled = compiled_by_key(key)
    batch = x.shape[1]
    of_states = [x.new_empty((batch, width)) for width in compiled.widths]
    end = 1 + states + len(leaves)
    dx = x.new_empty(x.shape) if needs[0] else x.new_empty(0)
    of_leaves = [
        torch.empty_like(leaf, memory_format=torch.contiguous_format) if needed else x.new_empty(0)
        for leaf, needed in zip(leaves, needs[1 + states : end], strict=True)
    ]
    of_resets = [torch.empty_like(gradient) for gradient in of_states] if len(needs) > end else []
    return [dx, *(of_states if states else []), *of_leaves, *of_resets]


def _setup_context(ctx: Any, inputs: Any, output: Any) -> None:
    x, states, leaves, reset_states, lengths, resets, ctx.key, ctx.backwards, ctx.batch_first, _, ctx.every = inputs
    _, _, saved, threads = output
    ctx.set_materialize_grads(False)
    ctx.counts = (len(states), len(leaves), len(reset_states))
    ctx.save_for_backward(x, saved, threads, lengths, resets, *leaves, *reset_states)


def _differentiate(ctx: Any, dy: Tensor | None, dfinals: list[Tensor | None], *_: Any) -> Any:
    x, saved, threads, lengths, resets, *rest = ctx.saved_tensors
    of_x, of_states, of_leaves, of_resets, *_ = ctx.needs_input_grad
    states, count, reset_count = ctx.counts
    leaves, reset_states = rest[:count], rest[count:]
    needs = [bool(of_x), *_each(of_states, states), *_each(of_leaves, count), *_each(of_resets, reset_count)]
    found = torch.ops.steploom.run_backward(
        time_first(dy, ctx.batch_first),
        list(dfinals),
        x,
        saved,
        threads,
        leaves,
        reset_states,
        lengths,
        resets,
        ctx.key,
        needs,
        states,
        ctx.backwards,
        ctx.every,
    )
    gradients = [g if needed else None for g, needed in zip(found, needs, strict=True)]
    first, second = 1 + states, 1 + states + count
    return (gradients[0], gradients[1:first], gradients[first:second], gradients[second:], *[None] * 7)


def _each(needs: Any, count: int) -> list[bool]:
    return [bool(need) for need in needs] if isinstance(needs, (list, tuple)) else [bool(needs)] * count


def _refuse_second(*_: Any) -> Any:
    raise OptionError(FIRST_DERIVATIVES_ALONE)


_run.register_autograd(_differentiate, setup_context=_setup_context)
_run_backward.register_autograd(_refuse_second)
_run.register_vmap(_refuse_second)
_run_backward.register_vmap(_refuse_second)


def _saved_size(compiled: Compiled, training: bool, time: Any, batch: Any, every: int) -> Any:
    """Elements kept for the backward pass; with unequal lengths not all of them are used, nor touched."""
    if not training:
        return 0
    if every:
        return kept_elements(compiled, time, batch, every)
    widths = compiled.training.saved_widths
    return (time + 1) * batch * core().saved_elements(widths, 0, 1, 0, 1) if widths else 0


def _whole(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()
