"""What must see each operation of a step: the compiled core shows none of them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.overrides import _get_current_function_mode_stack

from steploom.errors import UnsupportedOperation
from steploom.program.cell_source import cell_line
from steploom.program.step_functions import StepFunctions

__all__ = ["is_looked_at", "own_operations", "refuse_within_a_step", "why_looked_at"]


def is_looked_at() -> bool:
    """Whether somebody takes note of PyTorch's operations here: torch.jit.trace, make_fx, another TorchDispatchMode."""
    return torch._C._len_torch_dispatch_stack() > 0 or torch._C._get_tracing_state() is not None


def why_looked_at() -> str | None:
    """Who takes note of PyTorch's operations here, in words; None for nobody.

    Raises:
        UnsupportedOperation: a step is being traced in this thread.
    """
    refuse_within_a_step()
    if torch._C._get_tracing_state() is not None:
        return "torch.jit.trace takes note of PyTorch's own operations"
    if torch._C._len_torch_dispatch_stack():
        return "a TorchDispatchMode takes note of PyTorch's own operations"
    return None


def own_operations(tensors: Iterable[Tensor]) -> str | None:
    """Which of the tensors says itself what operations do to it, as those without numbers of their own do; None for
    plain ones."""
    for tensor in tensors:
        if type(tensor).__torch_dispatch__ is not Tensor.__torch_dispatch__:
            return f"a {type(tensor).__name__} says itself what each operation does"
    return None


def refuse_within_a_step() -> None:
    """Refuse to run a layer natively while a step is traced that it is part of: there are no numbers to run it on.

    Raises:
        UnsupportedOperation: a step is being traced in this thread.
    """
    if not torch._C._len_torch_function_stack():
        return
    for mode in _get_current_function_mode_stack():  # type: ignore[no-untyped-call] # of PyTorch
        if isinstance(mode, StepFunctions):
            raise UnsupportedOperation("the step runs a layer of its own on the native engine", source=cell_line())
