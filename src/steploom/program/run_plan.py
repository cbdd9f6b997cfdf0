"""Runs a plan over a sequence in plain PyTorch, exactly as it is arranged: the oracle of the native engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from steploom.program.interpret import execute
from steploom.program.plan import Plan
from steploom.program.program import MatrixView, Value, VectorView

__all__ = ["Forward", "Gradients", "run_plan", "run_plan_backward"]


@dataclass(frozen=True)
class Forward:
    """What the forward pass gives.

    Attributes:
        y: outputs (time, batch, size of the first state).
        finals: the states after the last step.
        saved: for the backward pass, values over all steps (time, batch, width): those of `Plan.saved`, the entering
            states and `x` where they are read.
    """

    y: Tensor
    finals: tuple[Tensor, ...]
    saved: dict[Value, Tensor]


@dataclass(frozen=True)
class Gradients:
    """What the backward pass gives: the gradients of the input, of the initial states and of the leaves."""

    dx: Tensor | None
    dstates: tuple[Tensor, ...]
    leaves: list[Tensor]


def run_plan(plan: Plan, leaves: Sequence[Tensor], x: Tensor, states: Sequence[Tensor]) -> Forward:
    """The forward pass.

    Args:
        plan: the plan.
        leaves: see `prologue.gather_leaves`.
        x: (time, batch, input_size), of at least one step.
        states: the initial states, (batch, size) each.
    """
    program = plan.program
    whole: dict[Value, Tensor] = {program.x: x}
    execute(plan.hoisted, whole, leaves, x.shape[:-1])
    entering, outputs = [], []
    stored: dict[Value, list[Tensor]] = {value: [] for value in (*plan.stored, *plan.saved) if value not in whole}
    for step in range(len(x)):
        environment = {value: tensor[step] for value, tensor in whole.items()}
        environment |= dict(zip(program.states, states, strict=True))
        execute(plan.loop, environment, leaves, x.shape[1:-1])
        for value, steps in stored.items():
            if value in environment:
                steps.append(environment[value])
        entering.append(tuple(states))
        states = tuple(environment.get(output, old) for output, old in zip(program.outputs, states, strict=True))
        outputs.append(states)
    whole |= {value: torch.stack(steps) for value, steps in stored.items() if steps}
    before = {state: torch.stack([step[n] for step in entering]) for n, state in enumerate(program.states)}
    execute(plan.sunk, after := whole | before, leaves, x.shape[:-1])
    over_time = [torch.stack([step[n] for step in outputs]) for n in range(len(program.states))]
    sunk = {instruction.out for instruction in plan.sunk}
    over_time = [after[o] if o in sunk else all for o, all in zip(program.outputs, over_time, strict=True)]
    kept = {value: after[value] for value in plan.saved}
    kept |= {state: before[state] for state, is_read in zip(program.states, plan.saves_state, strict=True) if is_read}
    kept |= {program.x: x} if plan.saves_x else {}
    return Forward(over_time[0], tuple(all[-1] for all in over_time), kept)


def run_plan_backward(
    plan: Plan, leaves: Sequence[Tensor], forward: Forward, dy: Tensor, dfinals: Sequence[Tensor]
) -> Gradients:
    """The backward pass.

    Args:
        plan: the plan.
        leaves: as in the forward pass.
        forward: what the forward pass gave.
        dy: gradient of the outputs, (time, batch, size).
        dfinals: gradients of the final states, (batch, size) each.
    """
    shape = dy.shape[:-1]
    carried = tuple(dfinals)
    kept: dict[Value, list[Tensor]] = {value: [] for value in plan.kept}
    for step in reversed(range(len(dy))):
        environment = {value: tensor[step] for value, tensor in forward.saved.items()}
        carried = (carried[0] + dy[step], *carried[1:])
        environment |= dict(zip(plan.derivative.inputs, carried, strict=True))
        execute(plan.recomputed, environment, leaves, shape[1:])
        execute(plan.backward_loop, environment, leaves, shape[1:])
        for value, steps in kept.items():
            steps.insert(0, environment[value])
        carried = tuple(
            environment[new] if new is not None else torch.zeros_like(old)
            for new, old in zip(plan.dstates, carried, strict=True)
        )
    whole = forward.saved | {value: torch.stack(steps) for value, steps in kept.items()}
    execute(plan.deferred, whole, leaves, shape)
    gradients = [torch.zeros_like(leaf) for leaf in leaves]
    for weight in plan.weight_gradients:
        view = weight.matrix.view
        assert isinstance(view, MatrixView)
        left, grad = whole[weight.left].flatten(0, 1), whole[weight.grad].flatten(0, 1)
        rectangle = gradients[view.leaf][view.row0 : view.row1, view.col0 : view.col1]
        rectangle += left.mT @ grad if view.transposed else grad.mT @ left
    for vector in plan.vector_gradients:
        view_of = vector.vector.view
        assert isinstance(view_of, VectorView)
        summed = whole[vector.grad] if vector.by is None else whole[vector.grad] * whole[vector.by]
        gradients[view_of.leaf][view_of.start : view_of.stop] += summed.flatten(0, 1).sum(0)
    dx = whole[plan.dx] if plan.dx is not None else None
    return Gradients(dx, carried, gradients)
