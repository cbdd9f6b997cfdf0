"""What the native core is about to read as it lies in memory, checked."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from steploom.engine.compiled import Compiled
from steploom.errors import OptionError
from steploom.program.program import Program

__all__ = ["check_call", "check_leaves", "check_states"]


def check_call(
    compiled: Compiled,
    x: Tensor,
    states: Sequence[Tensor],
    leaves: Sequence[Tensor],
    reset_states: Sequence[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
) -> None:
    """Check what the core is about to read as it lies in memory.

    Raises:
        OptionError: an argument is not what the plan was made for; names it.
    """
    program = compiled.program
    if x.dim() != 3 or not x.shape[0] or x.shape[2] != program.x.width:
        raise OptionError(f"x must be (time, batch, {program.x.width}) with at least one step, found {tuple(x.shape)}.")
    time, batch, _ = x.shape
    if x.dtype not in (torch.float32, torch.float64) or x.device.type != "cpu":
        raise OptionError(
            f"x is {x.dtype} on {x.device}, but the native engine runs in float32 and float64 on the CPU."
        )
    check_states(compiled, x, states, "state")
    check_states(compiled, x, reset_states, "initial state")
    check_leaves(program, leaves, x)
    if lengths is not None and (lengths.dtype is not torch.int64 or not lengths.is_cpu or lengths.shape != (batch,)):
        _refuse("lengths", lengths, torch.int64, (batch,))
    if resets is not None and (resets.dtype is not torch.bool or not resets.is_cpu or resets.shape != (time, batch)):
        _refuse("resets", resets, torch.bool, (time, batch))


def check_states(compiled: Compiled, x: Tensor, states: Sequence[Tensor], what: str) -> None:
    """Check states that the core is about to read; none stand for zeros.

    Raises:
        OptionError: there are too many or too few, or one has the wrong shape, dtype or device; says which, of `what`.
    """
    widths, batch = compiled.widths, x.shape[1]
    if len(states) not in (0, len(widths)):
        raise OptionError(f"There must be {len(widths)} tensors of the {what}, found {len(states)}.")
    for value, tensor in zip(compiled.program.states, states, strict=False):
        if tensor.dtype is not x.dtype or tensor.device != x.device or tensor.shape != (batch, value.width):
            _refuse(f"{what} `{value.name}`", tensor, x.dtype, (batch, value.width))


def check_leaves(program: Program, leaves: Sequence[Tensor], x: Tensor) -> None:
    """Check the tensors that a program reads besides its input and its states.

    Raises:
        OptionError: one has another shape than in the program, or another dtype or device than `x`; names it.
    """
    if len(leaves) != len(program.leaves):
        raise OptionError(f"There must be {len(program.leaves)} weights, found {len(leaves)}.")
    for leaf, tensor in zip(program.leaves, leaves, strict=True):
        if tensor.dtype is not x.dtype or tensor.device != x.device:
            raise OptionError(
                f"x is {x.dtype} on {x.device}, but `{leaf.name}` is {tensor.dtype} on {tensor.device}. "
                f"Convert one: x.to({tensor.dtype})."
            )
        if tensor.shape != leaf.shape:
            _refuse(f"`{leaf.name}`", tensor, x.dtype, leaf.shape)


def _refuse(name: str, tensor: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    raise OptionError(
        f"{name} must be {dtype} {tuple(shape)} on the CPU beside x, "
        f"found {tensor.dtype} {tuple(tensor.shape)} on {tensor.device}."
    )
