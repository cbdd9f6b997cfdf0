"""The native engine: a plan run over a batch of sequences by the compiled core, forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import is_legacy_batchedtensor
from torch.autograd import forward_ad

from steploom.cells.cell import Cell, real_weight
from steploom.engine.call_check import check_call
from steploom.engine.compiled import Compiled
from steploom.engine.kernels import kernels
from steploom.engine.passes import Gradients, Sequences, backward, forward, saved_elements, saved_for
from steploom.engine.seen import refuse_within_a_step
from steploom.engine.threads import decide
from steploom.errors import OptionError
from steploom.program.program import Program
from steploom.program.prologue import gather_leaves

__all__ = [
    "FIRST_DERIVATIVES_ALONE",
    "first_states",
    "gather",
    "in_dtype",
    "once",
    "refuse_batches",
    "run",
    "run_leaves",
    "run_plan",
    "threads_of",
    "time_first",
    "without_lengths",
]

States = tuple[Tensor, ...]

_requires_grad = attrgetter("requires_grad")

FIRST_DERIVATIVES_ALONE = (
    "The native engine has first derivatives alone: no gradient of a gradient, no forward-mode differentiation, and "
    "no torch.vmap or other transform of torch.func, nor batches of gradients (`is_grads_batched`, `vectorize`). Use "
    "engine='reference' or `with steploom.use_engine('reference')` for this."
)


def run(
    cell: Cell,
    compiled: Compiled,
    x: Tensor,
    state: States,
    *,
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    backwards: bool = False,
    batch_first: bool = False,
    checkpoint_every: int = 0,
) -> tuple[Tensor, States]:
    """Run a cell over a batch of sequences.

    Args:
        cell: the step.
        compiled: its plan.
        x: inputs (time, batch, input_size), of any strides; anything may stand in the padding.
        state: the states before the first step, one tensor (batch, size) a state; empty for zeros.
        lengths: steps of each sequence, int64 (batch,).
        resets: bool (time, batch); where true, the cell's initial state replaces the state before that step.
        backwards: whether each sequence runs from its last step to its first.
        batch_first: whether the outputs shall lie in memory as (batch, time, size).
        checkpoint_every: see `Sequences`.

    Returns:
        The outputs (time, batch, hidden_size), 0 in the padding, and the states at each sequence's last step, each
        (1, batch, size) as one layer of a stack has them.

    Raises:
        OptionError: weights of other dtypes or devices than `x`, or an unknown STEPLOOM_ISA.
    """
    if torch.is_autocast_enabled("cpu"):
        x, state = in_dtype(real_weight(cell, x).dtype, x, state)
    reset_states = first_states(cell, x) if resets is not None else ()
    leaves = gather(compiled.program, cell, x)
    return run_leaves(
        compiled, leaves, x, state, reset_states, lengths, resets, backwards, batch_first, checkpoint_every
    )


def run_leaves(
    compiled: Compiled,
    leaves: Sequence[Tensor],
    x: Tensor,
    state: States,
    reset_states: States,
    lengths: Tensor | None,
    resets: Tensor | None,
    backwards: bool,
    batch_first: bool,
    checkpoint_every: int = 0,
) -> tuple[Tensor, States]:
    """As `run`, with the leaves of the program and the states after a reset in the place of the cell."""
    if torch._C._are_functorch_transforms_active():
        raise OptionError(FIRST_DERIVATIVES_ALONE)
    refuse_within_a_step()
    check_call(compiled, x, state, leaves, reset_states, lengths, resets)
    # The backward pass reads them again, and they are the caller's, who may write to them before that.
    lengths = lengths.clone(memory_format=torch.contiguous_format) if lengths is not None else None
    resets = resets.clone(memory_format=torch.contiguous_format) if resets is not None else None
    sequences = Sequences(lengths, backwards, resets, *threads_of(compiled, x), batch_first, checkpoint_every)
    return run_plan(compiled, x, state, leaves, reset_states, sequences)


def threads_of(compiled: Compiled, x: Tensor) -> tuple[int, int, str]:
    """The slices and the team for a batch, and the build of the kernels that the environment asks for.

    Raises:
        OptionError: STEPLOOM_ISA names none that this processor can run.
    """
    time, batch, _ = x.shape
    one_way = compiled.inference
    return *decide(time, batch, one_way.work, one_way.weight_bytes[x.element_size()]), kernels()


def without_lengths(
    compiled: Compiled, x: Tensor, backwards: bool, batch_first: bool, checkpoint_every: int = 0
) -> Sequences:
    """How batches of the shape of `x` are run that have neither lengths nor resets; see `run`."""
    slices, team, isa = threads_of(compiled, x)
    # Under no_grad nobody has asked for the pass of training, which takes milliseconds to make.
    unknown = checkpoint_every or not torch.is_grad_enabled()
    saved = -1 if unknown else saved_elements(compiled.training, x.shape[0], x.shape[1], None, slices)
    return Sequences(None, backwards, None, slices, team, isa, batch_first, checkpoint_every, saved)


def in_dtype(dtype: torch.dtype, x: Tensor, state: States) -> tuple[Tensor, States]:
    """The input and the states in the dtype of the weights; autocast may have given some of them another one."""
    if torch.is_autocast_enabled("cpu"):
        return x.to(dtype), tuple(part.to(dtype) for part in state)
    return x, state


def first_states(cell: Cell, x: Tensor) -> States:
    """The cell's initial states for the batch of `x`; none where they are zeros."""
    # That of the cell, not of its class: a function may have been put in its place.
    if getattr(cell.initial_state, "__func__", None) is Cell.initial_state:
        return ()
    return tuple(cell.initial_state(x.shape[1], dtype=x.dtype, device=x.device))


def gather(program: Program, cell: Cell, x: Tensor | None = None) -> list[Tensor]:
    """The tensors that the program reads from a cell, each contiguous; see `gather_leaves`."""
    if program.prologue is None or not torch.is_autocast_enabled("cpu"):
        leaves = gather_leaves(program, cell, x)
    else:
        with torch.autocast("cpu", enabled=False):
            leaves = gather_leaves(program, cell, x)
    return [leaf if leaf.is_contiguous() else leaf.contiguous() for leaf in leaves]


def run_plan(
    compiled: Compiled,
    x: Tensor,
    states: Sequence[Tensor],
    leaves: Sequence[Tensor],
    reset_states: Sequence[Tensor],
    sequences: Sequences,
) -> tuple[Tensor, States]:
    """Run a plan; differentiable with respect to `x`, `states`, `leaves` and `reset_states`.

    Args:
        compiled: the plan.
        x: (time, batch, input_size).
        states: entering states (batch, size); empty for zeros.
        leaves: what the program reads besides, in its order; contiguous.
        reset_states: what a reset sets the states to, (batch, size) each; empty for zeros.
        sequences: lengths, direction, resets and threads.

    Returns:
        The outputs (time, batch, size), 0 in the padding, and the final states (1, batch, size).
    """
    tensors = (x, *states, *leaves, *reset_states)
    if forward_ad._current_level >= 0 and any(_is_dual(t) for t in tensors):
        raise OptionError(FIRST_DERIVATIVES_ALONE)
    if torch.is_grad_enabled() and any(map(_requires_grad, tensors)):
        apply = _apply
        if 0 < sequences.checkpoint_every < x.shape[0]:
            from steploom.engine.checkpoint import RunInSegments

            apply = RunInSegments.apply
        y, *finals = apply(compiled, sequences, len(states), *tensors)
    else:
        y, finals = forward(compiled, compiled.inference, x, states, leaves, reset_states, sequences, None, (1,))
    # Here and not within the function of autograd, whose results may not be written to where they are views.
    return (y.transpose(0, 1) if sequences.batch_first else y), tuple(finals)


def _is_dual(tensor: Tensor) -> bool:
    dual: Any = forward_ad
    return dual.unpack_dual(tensor).tangent is not None


class _Run(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, compiled: Compiled, sequences: Sequences, states: int, *tensors: Tensor) -> Any:
        end = 1 + states + len(compiled.leaf_shapes)
        x, leaves = tensors[0], tensors[1 + states : end]
        saved = saved_for(compiled.training, x, sequences)
        y, finals = forward(
            compiled, compiled.training, x, tensors[1 : 1 + states], leaves, tensors[end:], sequences, saved, (1,)
        )
        ctx.compiled, ctx.sequences, ctx.states = compiled, sequences, states
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, saved, *leaves)
        return (y, *finals)

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, *dfinals: Tensor | None) -> Any:
        refuse_batches(dy, *dfinals)
        x, saved, *leaves = ctx.saved_tensors
        dy = time_first(dy, ctx.sequences.batch_first)
        given = (ctx.compiled, x, saved, leaves, dy, dfinals, ctx.needs_input_grad[3:], ctx.states, ctx.sequences)
        if not torch.is_grad_enabled():
            return (None, None, None, *backward(*given))
        with torch.no_grad():
            gradients = backward(*given)
        return (None, None, None, *once(gradients, *ctx.saved_tensors, dy, *dfinals))


# Function.apply itself first looks for tensors of torch.func, which `run_leaves` has refused; that takes longer than
# most of what is done in Python here.
_apply: Callable[..., Any] = super(torch.autograd.Function, _Run).apply


def refuse_batches(*gradients: Tensor | None) -> None:
    """Raises OptionError where PyTorch has put several gradients into one."""
    for gradient in gradients:
        if gradient is not None and is_legacy_batchedtensor(gradient):
            raise OptionError(FIRST_DERIVATIVES_ALONE)


def time_first(dy: Tensor | None, batch_first: bool) -> Tensor | None:
    """The gradient of the outputs as (time, batch, size)."""
    return dy.transpose(0, 1) if dy is not None and batch_first else dy


def once(gradients: Gradients, *origins: Tensor | None) -> Gradients:
    """The gradients, whose own gradients with respect to what they come from are refused rather than wrong."""
    function: Any = _Once
    return [gradient if gradient is None else function.apply(gradient, *origins) for gradient in gradients]


class _Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *origins: Tensor | None) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        raise OptionError(FIRST_DERIVATIVES_ALONE)
