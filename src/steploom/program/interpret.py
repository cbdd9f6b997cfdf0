"""Runs programs in plain PyTorch, instruction by instruction: their meaning, and the oracle of the tests."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping, Sequence

import torch
from torch import Tensor

from steploom.program.primitives import PRIMITIVES
from steploom.program.program import Argument, Instruction, MatrixView, Program, Value, VectorView

__all__ = ["execute", "run_program"]

Environment = MutableMapping[Value, Tensor]


def _read(argument: Argument, environment: Environment, leaves: Sequence[Tensor]) -> Tensor | float:
    """The tensor that an argument stands for."""
    if isinstance(argument, float):
        return argument
    view = argument.view
    if isinstance(view, MatrixView):
        part = leaves[view.leaf][view.row0 : view.row1, view.col0 : view.col1]
        return part.mT if view.transposed else part
    if isinstance(view, VectorView):
        return leaves[view.leaf][view.start : view.stop]
    return environment[argument]


def execute(
    instructions: Iterable[Instruction], environment: Environment, leaves: Sequence[Tensor], shape: Sequence[int]
) -> None:
    """Run instructions; results are put into the environment. `shape` is that of rows, without the features."""
    for instruction in instructions:
        args = [_read(argument, environment, leaves) for argument in instruction.args]
        if instruction.op == "fill":
            width, value = int(instruction.attrs["width"]), float(instruction.attrs["value"])
            like = next(iter(environment.values()))
            result = torch.full((*shape, width), value, dtype=like.dtype, device=like.device)
        else:
            result = PRIMITIVES[instruction.op].meaning(*args, **instruction.attrs)
        environment[instruction.out] = result


def run_program(program: Program, leaves: Sequence[Tensor], x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """One step.

    Args:
        program: the step.
        leaves: see `prologue.gather_leaves`.
        x: (batch, input_size).
        states: one tensor (batch, size) a state.
    """
    environment: dict[Value, Tensor] = {program.x: x, **dict(zip(program.states, states, strict=True))}
    execute(program.instructions, environment, leaves, x.shape[:-1])
    return tuple(environment[output] for output in program.outputs)
