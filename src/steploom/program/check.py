"""The invariants of a program's form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from steploom.program.plan import Plan
from steploom.program.primitives import ALONG, NORMS, ON_GROUPS, PRIMITIVES, is_elementwise, width_of
from steploom.program.program import Argument, Instruction, Leaf, MatrixView, Program, Value, VectorView

__all__ = ["check", "check_instructions", "check_plan"]


def check(program: Program) -> None:
    """Check that every value is written once and before it is read, and that widths, views and names are right.

    Raises:
        ValueError: which instruction breaks which rule.
    """
    known = {program.x, *program.states}
    check_instructions(program.instructions, known, program.leaves)
    makers = {instruction.out: instruction for instruction in program.instructions}
    for i in program.instructions:
        if i.op == "standardize":
            moments = makers.get(i.args[1]) if isinstance(i.args[1], Value) else None
            right = moments is not None and (moments.op, moments.args, moments.attrs) == (
                "moments",
                i.args[:1],
                i.attrs,
            )
            _demand(right, f"{i} does not read the moments of {i.args[0]}")
    known |= {instruction.out for instruction in program.instructions}
    for state, output in zip(program.states, program.outputs, strict=True):
        _demand(output in known, f"the output {output} is not written")
        _demand(output.width == state.width, f"{output} is returned for {state}")
    names = [value.name for value in known]
    _demand(len(names) == len(set(names)), "two values have one name")


def check_plan(plan: Plan) -> None:
    """Check the lists of a plan, each of which reads what those before it have written.

    Raises:
        ValueError: which rule is broken.
    """
    program, leaves = plan.program, plan.program.leaves
    inputs = {program.x, *program.states}
    for instruction in plan.hoisted:
        _demand(inputs - {program.x} - set(instruction.args) == inputs - {program.x}, f"{instruction} is hoisted")
    check_instructions([*plan.hoisted, *plan.loop], inputs, leaves)
    after = inputs | _written(plan.hoisted) | set(plan.stored)
    check_instructions(plan.sunk, after, leaves)
    written = inputs | _written(chain(plan.hoisted, plan.loop, plan.sunk))
    _demand(set(program.outputs) <= written, "a new state is not written")
    _demand(set(plan.saved) <= written - inputs, "what is saved is not written")
    at_hand = set(plan.saved) | ({program.x} if plan.saves_x else set())
    at_hand |= {state for state, is_saved in zip(program.states, plan.saves_state, strict=True) if is_saved}
    check_instructions([*plan.recomputed, *plan.backward_loop], at_hand | set(plan.derivative.inputs), leaves)
    late = at_hand | set(plan.kept)
    check_instructions(plan.deferred, late, leaves)
    late |= _written(plan.deferred)
    ends = {w.left for w in plan.weight_gradients} | {w.grad for w in plan.weight_gradients}
    ends |= {value for v in plan.vector_gradients for value in v.reads} | ({plan.dx} if plan.dx is not None else set())
    _demand(ends <= late, "a gradient reads what is not kept")
    backward = set(plan.derivative.inputs) | _written(chain(plan.recomputed, plan.backward_loop)) | at_hand
    _demand({d for d in plan.dstates if d is not None} <= backward, "the gradient of a state is not written")
    for weight in plan.weight_gradients:
        fits = (weight.matrix.width, weight.matrix.rows) == (weight.grad.width, weight.left.width)
        _demand(fits, f"the gradient of {weight.matrix} has the wrong size")


def check_instructions(instructions: Sequence[Instruction], known: Iterable[Value], leaves: Sequence[Leaf]) -> None:
    """Check instructions that run one after the other.

    Raises:
        ValueError: which instruction breaks which rule.
    """
    known = set(known)
    for instruction in instructions:
        primitive = PRIMITIVES.get(instruction.op)
        _demand(primitive is not None, f"{instruction} is no primitive")
        assert primitive is not None
        fits = primitive.arity in (None, len(instruction.args))
        _demand(fits, f"{instruction} has the wrong number of arguments")
        for argument in instruction.args:
            _check_argument(argument, known, leaves, instruction)
        _check_widths(instruction)
        _demand(instruction.out not in known, f"{instruction} writes what is written already")
        _demand(instruction.out.kind == "rows", f"{instruction} writes what is not rows")
        known.add(instruction.out)


def _check_argument(argument: Argument, known: set[Value], leaves: Sequence[Leaf], where: Instruction) -> None:
    if isinstance(argument, float):
        _demand(is_elementwise(where.op), f"{where} has a number where a value must stand")
    elif argument.kind == "rows":
        _demand(argument in known, f"{where} reads {argument} before it is written")
    elif argument.kind == "vector":
        view = argument.view
        _demand(isinstance(view, VectorView), f"{argument} has no view of a vector")
        assert isinstance(view, VectorView)
        (length,) = leaves[view.leaf].shape
        _demand(0 <= view.start < view.stop <= length, f"{argument} reaches out of its leaf")
        _demand(view.stop - view.start == argument.width, f"{argument} has the wrong width")
        scales = where.op == "scaled_standardize_grad" and argument is where.args[1]
        _demand(is_elementwise(where.op) or scales, f"{where} has a vector where rows must stand")
    else:
        matrix = argument.view
        _demand(isinstance(matrix, MatrixView), f"{argument} has no view of a matrix")
        assert isinstance(matrix, MatrixView)
        rows, columns = leaves[matrix.leaf].shape
        _demand(0 <= matrix.row0 < matrix.row1 <= rows, f"{argument} reaches out of its leaf")
        _demand(0 <= matrix.col0 < matrix.col1 <= columns, f"{argument} reaches out of its leaf")
        size = (matrix.row1 - matrix.row0, matrix.col1 - matrix.col0)
        fits = (argument.width, argument.rows) == (size[::-1] if matrix.transposed else size)
        _demand(fits, f"{argument} has the wrong size")
        _demand(where.op == "product", f"{where} reads a matrix")


def _check_widths(i: Instruction) -> None:
    values = [argument for argument in i.args if isinstance(argument, Value)]
    _demand(i.out.width == width_of(i.op, i.args, i.attrs), f"{i} has the wrong width")
    if is_elementwise(i.op):
        _demand(all(value.width == i.out.width for value in values), f"{i} joins different widths")
        _demand(any(value.kind == "rows" for value in values), f"{i} reads no rows")
    elif i.op == "product":
        _demand(values[0].width == values[1].rows, f"{i} multiplies what does not fit")
    elif i.op == "slice":
        _demand(0 <= i.attrs["start"] < i.attrs["stop"] <= values[0].width, f"{i} reaches out")
    elif i.op == "gather":
        _demand(all(-1 <= column < values[0].width for column in i.attrs["order"]), f"{i} reaches out")
    elif i.op == "matmul":
        groups, n, k, m = (int(i.attrs[name]) for name in ("groups", "n", "k", "m"))
        fits = [value.width for value in values] == [groups * n * k, groups * k * m]
        _demand(fits, f"{i} multiplies what does not fit")
        _demand(not (i.attrs["left_transposed"] and i.attrs["right_transposed"]), f"{i} has both sides transposed")
    elif i.op in ALONG:
        groups = int(i.attrs["groups"])
        _demand(all(value.kind == "rows" and value.width % groups == 0 for value in values), f"{i} has other groups")
        same = i.op != "put_along" or values[0].width == values[1].width
        _demand(same, f"{i} has an index for other values")
    elif i.op in ON_GROUPS:
        groups = int(i.attrs["groups"])
        _demand(values[0].width % groups == 0, f"{i} has groups of different size")
        if i.op in NORMS:
            _demand(values.pop().width == 2 * groups, f"{i} reads what are not the moments of its groups")
        if i.op == "scaled_standardize_grad":
            _demand(values[1].kind == "vector", f"{i} scales with what is no vector")
        _demand(all(value.width == values[0].width for value in values), f"{i} joins different widths")
    elif i.op == "expand":
        _demand(i.out.width % values[0].width == 0, f"{i} repeats unequally")


def _written(instructions: Iterable[Instruction]) -> set[Value]:
    return {instruction.out for instruction in instructions}


def _demand(holds: bool, rule: str) -> None:
    if not holds:
        raise ValueError(rule)
