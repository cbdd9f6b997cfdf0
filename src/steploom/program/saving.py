"""Which forward values the backward pass finds saved, and which it computes again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from steploom.program.passes.dead_code import live
from steploom.program.primitives import PRIMITIVES
from steploom.program.program import Instruction, Program, Value

__all__ = ["choose"]


def choose(
    program: Program, hoisted: Sequence[Instruction], backward: Iterable[Instruction], lefts: set[Value]
) -> tuple[tuple[Value, ...], tuple[Instruction, ...]]:
    """The values to save and the forward instructions to run again.

    Arithmetic and slices are done again where all that they need is at hand; what is dearer is saved, and so is what
    enters a product, since the forward pass has it in one piece.

    Args:
        program: the step.
        hoisted: what runs before the loop.
        backward: the instructions of the backward pass, whose forward values are asked for.
        lefts: what entered the products whose weights have a gradient.
    """
    makers = {instruction.out: instruction for instruction in program.instructions}
    wanted = {a for i in backward for a in i.args if isinstance(a, Value)} | lefts
    wanted &= set(makers)
    saved = {value for value in wanted if _is_dear(makers[value]) or (value in lefts and makers[value].op != "slice")}
    cheap = [i.out for i in program.instructions if i.out in wanted - saved]
    for value in cheap:
        if not _at_hand(value, makers, saved, {program.x, *program.states}):
            saved.add(value)
    again = live([i for i in program.instructions if i.out not in saved], wanted - saved)
    order = [instruction.out for instruction in program.instructions]
    return tuple(value for value in order if value in saved), again


def _is_dear(instruction: Instruction) -> bool:
    return instruction.op in ("product", "sum") or PRIMITIVES[instruction.op].transcendental


def _at_hand(value: Value, makers: dict[Value, Instruction], saved: set[Value], inputs: set[Value]) -> bool:
    """Whether the value can be computed from inputs and saved values without anything dear."""
    if value in inputs or value in saved or value.kind != "rows":
        return True
    if _is_dear(makers[value]):
        return False
    args = [argument for argument in makers[value].args if isinstance(argument, Value)]
    return all(_at_hand(argument, makers, saved, inputs) for argument in args)
