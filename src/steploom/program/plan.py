"""A program and its derivative arranged for running over a sequence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from steploom.cells.cell import Cell
from steploom.program.derivative import Derivative, VectorGradient, WeightGradient, derive
from steploom.program.passes.dead_code import live
from steploom.program.passes.detached import without_detach
from steploom.program.passes.schedule import fuse, group_products
from steploom.program.printing import print_plan
from steploom.program.program import Instruction, Program, Value
from steploom.program.saving import choose, sums_of_products
from steploom.program.structure import structure
from steploom.program.trace import trace

__all__ = ["Plan", "make_plan", "make_plans"]


@dataclass(frozen=True, eq=False)
class Plan:
    """What runs before, in and after the loop over time, forward and backward.

    Each list may read what the lists before it in this order have written: hoisted, loop, sunk; then, in the backward
    pass, recomputed, backward_loop, deferred. Values of one step are read within that step only; what a step hands to
    the next are the states alone. All of them may read `x` and the entering states of the step.

    Attributes:
        program: the step.
        derivative: the backward step.
        hoisted: forward, over all steps at once before the loop: reads `x`, vectors and constants alone.
        loop: forward, one step.
        sunk: forward, over all steps at once after the loop: nothing in the loop reads what it writes. A new state is
            written here only if no step reads it as an entering state.
        stored: values of `loop` that `sunk` reads; kept for all steps during the forward pass.
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
    stored: tuple[Value, ...]
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

    def __str__(self) -> str:
        return print_plan(self)


_plans: dict[Hashable, tuple[Plan, Plan]] = {}


def make_plan(cell_or_program: Cell | Program, needs_dx: bool = True) -> Plan:
    """The plan of a cell; equal cells share one.

    Args:
        cell_or_program: a cell, which is traced first, or its program.
        needs_dx: whether the gradient of the input is wanted.

    Raises:
        UnsupportedOperation: the cell's step cannot be said exactly by a program.
    """
    program = cell_or_program if isinstance(cell_or_program, Program) else trace(cell_or_program)
    with_dx, without_dx = make_plans(program)
    return with_dx if needs_dx else without_dx


def make_plans(program: Program) -> tuple[Plan, Plan]:
    """The plans of a program with the gradient of the input and without it."""
    key = structure(program)
    if key not in _plans:
        derivative = without_detach(derive(program))
        _plans[key] = _arrange(derivative, needs_dx=True), _arrange(derivative, needs_dx=False)
    return _plans[key]


def _arrange(derivative: Derivative, needs_dx: bool) -> Plan:
    program = derivative.program
    hoisted, loop, sunk = _forward_parts(program)
    dstates = [value for value in derivative.dstates if value is not None]
    weights = derivative.weight_gradients
    dx = derivative.dx
    ends = [weight.grad for weight in weights]
    vectors = sums_of_products(derivative, [*ends, *([dx] if dx is not None else []), *dstates])
    own_ends = [*ends, *(value for vector in vectors for value in vector.reads)]
    ends = [*own_ends, dx] if dx is not None else own_ends
    backward = live(derivative.instructions, [*ends, *dstates])
    lefts = {gradient.left for gradient in weights}
    saved, recomputed = choose(program, [*backward, *_reads(ends)], lefts)
    read = _read_by([*recomputed, *backward]) | lefts | set(ends)
    if not needs_dx:
        # The forward pass does not know whether anybody will ask for it, so what is saved is the same.
        dx, ends = None, own_ends
        backward = live(backward, [*ends, *dstates])
        recomputed = live(recomputed, _read_by(backward) | lefts | set(ends))
    backward_loop, deferred = _backward_parts(backward, dstates, ends)
    after = _read_by(deferred) | lefts | set(ends)
    kept = [i.out for i in (*recomputed, *backward_loop) if i.out in after]
    kept += [value for value in derivative.inputs if value in after]
    read_after = _read_by(sunk)
    stored = tuple(i.out for i in loop if i.out in read_after)
    lists = (hoisted, loop, sunk, recomputed, backward_loop, deferred)
    wanted = {*stored, *saved, *kept, *program.outputs, *lefts, *ends, *dstates}
    forward_reads = _count_reads((*hoisted, *loop, *sunk))
    backward_reads = _count_reads((*recomputed, *backward_loop, *deferred))
    hoisted, loop, sunk = (fuse(group_products(part), wanted, forward_reads) for part in lists[:3])
    recomputed, backward_loop, deferred = (fuse(group_products(part), wanted, backward_reads) for part in lists[3:])
    return Plan(
        program=program,
        derivative=derivative,
        hoisted=hoisted,
        loop=loop,
        sunk=sunk,
        stored=stored,
        saved=saved,
        saves_x=program.x in read,
        saves_state=tuple(state in read for state in program.states),
        recomputed=recomputed,
        backward_loop=backward_loop,
        deferred=deferred,
        kept=tuple(kept),
        weight_gradients=weights,
        vector_gradients=vectors,
        dx=dx,
        dstates=derivative.dstates,
    )


def _forward_parts(program: Program) -> tuple[tuple[Instruction, ...], ...]:
    """What runs before the loop, in it, and after it."""
    late = set(program.states)
    hoisted: list[Instruction] = []
    rest: list[Instruction] = []
    for instruction in program.instructions:
        if instruction.op == "fill" or any(argument in late for argument in instruction.args):
            late.add(instruction.out)
            rest.append(instruction)
        else:
            hoisted.append(instruction)
    read = _read_by(program.instructions) | set(program.outputs)
    carried = [output for state, output in zip(program.states, program.outputs, strict=True) if state in read]
    loop = live(rest, carried)
    inside = {id(instruction) for instruction in loop}
    sunk = tuple(instruction for instruction in rest if id(instruction) not in inside)
    if not any(instruction.op == "product" for instruction in sunk):
        return tuple(hoisted), tuple(rest), ()
    return tuple(hoisted), loop, sunk


def _backward_parts(
    backward: Sequence[Instruction], dstates: Sequence[Value], ends: Sequence[Value]
) -> tuple[tuple[Instruction, ...], tuple[Instruction, ...]]:
    """What runs in the loop backwards, and what can wait until after it.

    What does not feed the states' gradients waits if it is a product or reads one; arithmetic waits only if that
    keeps no more values of the loop than are kept anyway.
    """
    inside = {instruction.out for instruction in live(backward, dstates)}
    waiting = [instruction for instruction in backward if instruction.out not in inside]
    kept = set(ends)
    for instruction in waiting:
        if instruction.op == "product":
            kept |= {argument for argument in instruction.args if isinstance(argument, Value)}
    deferred: list[Instruction] = []
    late: set[Value] = set()
    for instruction in waiting:
        args = [a for a in instruction.args if isinstance(a, Value)]
        reads_late = any(argument in late for argument in args)
        reads_kept = all(argument in kept or argument not in inside for argument in args)
        if instruction.op == "product" or reads_late or reads_kept:
            deferred.append(instruction)
            late.add(instruction.out)
        else:
            inside.add(instruction.out)
    return tuple(i for i in backward if i.out in inside), tuple(deferred)


def _count_reads(instructions: Iterable[Instruction]) -> Counter[Value]:
    return Counter(a for instruction in instructions for a in instruction.args if isinstance(a, Value))


def _read_by(instructions: Iterable[Instruction]) -> set[Value]:
    return {a for instruction in instructions for a in instruction.args if isinstance(a, Value)}


def _reads(values: Sequence[Value]) -> list[Instruction]:
    """Something that reads the values, where instructions are asked for."""
    return [Instruction("concat", tuple(values), Value("end", 0))] if values else []
