"""A program and its derivative arranged for running over a sequence."""

from __future__ import annotations

from dataclasses import dataclass

from steploom.program.derivative import Derivative, VectorGradient, WeightGradient
from steploom.program.program import Instruction, Program, Value

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True, eq=False)
class Plan:
    """What runs before, in and after the loop over time, forward and backward.

    Each list may read what the lists before it in this order have written: hoisted, loop, sunk; then, in the backward
    pass, recomputed, backward_loop, deferred. Values of one step are read within that step only; what a step hands to
    the next are the states alone.

    Attributes:
        program: the step.
        derivative: the backward step.
        hoisted: forward, over all steps at once before the loop: reads `x`, vectors and constants alone.
        loop: forward, one step.
        sunk: forward, over all steps at once after the loop: nothing in the loop reads what it writes. A new state is
            written here only if no step reads it as an entering state.
        saved: forward values (hoisted, loop or sunk) that the backward pass reads; kept for all steps. `x` and the
            entering states are not among them.
        saves_x: whether the backward pass reads `x`.
        saves_state: for each state, whether the backward pass reads the entering state.
        recomputed: backward, at the head of each step: forward instructions run again on what is at hand.
        backward_loop: backward, one step, from the gradients of the new states (`derivative.inputs`) to those of the
            entering states.
        deferred: backward, over all steps at once after the loop.
        kept: values of `recomputed` and `backward_loop` that are read after the loop (by `deferred`, by the gradients
            of weights and vectors, or as `dx`); kept for all steps.
        weight_gradients: products over all steps and rows, after `deferred`.
        vector_gradients: sums over all steps and rows, after `deferred`.
        dx: gradient of the input; None where it is zero or was not asked for.
        dstates: gradient of each entering state, written in `backward_loop` (or one of `derivative.inputs`, where it
            goes through unchanged); None where it is zero.
    """

    program: Program
    derivative: Derivative
    hoisted: tuple[Instruction, ...]
    loop: tuple[Instruction, ...]
    sunk: tuple[Instruction, ...]
    saved: tuple[Value, ...]
    saves_x: bool
    saves_state: tuple[bool, ...]
    recomputed: tuple[Instruction, ...]
    backward_loop: tuple[Instruction, ...]
    deferred: tuple[Instruction, ...]
    kept: tuple[Value, ...]
    weight_gradients: tuple[WeightGradient, ...]
    vector_gradients: tuple[VectorGradient, ...]
    dx: Value | None
    dstates: tuple[Value | None, ...]
