"""Which forward values the backward pass finds saved, and which it computes again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from steploom.program.derivative import Derivative, VectorGradient
from steploom.program.passes.dead_code import live
from steploom.program.primitives import PRIMITIVES, REDUCTIONS
from steploom.program.program import Instruction, Program, Value

__all__ = ["choose", "sums_of_products"]


def choose(
    program: Program, hoisted: Sequence[Instruction], backward: Iterable[Instruction], lefts: set[Value]
) -> tuple[tuple[Value, ...], tuple[Instruction, ...]]:
    """The values to save and the forward instructions to run again.

    Arithmetic and moves are done again where all that they need is at hand, or takes less memory than what they make of
    it, such as an outer product; what costs more is saved, and so is what enters a product, since the forward pass has
    it in one piece.

    Args:
        program: the step.
        hoisted: what runs before the loop.
        backward: the instructions of the backward pass, whose forward values are asked for.
        lefts: what entered the products whose weights have a gradient.
    """
    makers = {instruction.out: instruction for instruction in program.instructions}
    wanted = {a for i in backward for a in i.args if isinstance(a, Value)} | lefts
    wanted &= set(makers)
    saved = {value for value in wanted if _is_costly(makers[value]) or (value in lefts and makers[value].op != "slice")}
    cheap = [i.out for i in program.instructions if i.out in wanted - saved]
    for value in cheap:
        if not _at_hand(value, makers, saved, {program.x, *program.states}):
            parts = _made_of(value, makers, saved)
            saved |= parts if sum(part.width for part in parts) < value.width else {value}
    again = live([i for i in program.instructions if i.out not in saved], wanted - saved)
    order = [instruction.out for instruction in program.instructions]
    return tuple(value for value in order if value in saved), again


def sums_of_products(derivative: Derivative, wanted: Iterable[Value]) -> tuple[VectorGradient, ...]:
    """The gradients of vectors; where one is the sum of a product that nothing else reads, and one of its factors is
    saved if anything reads it, it is summed from the factors, and the product is never written.

    Args:
        derivative: the backward step.
        wanted: values that something other than the gradients of vectors reads.
    """
    program = derivative.program
    makers = {instruction.out: instruction for instruction in derivative.instructions}
    reads = Counter(a for i in derivative.instructions for a in i.args if isinstance(a, Value))
    reads.update([*wanted, *(vector.grad for vector in derivative.vector_gradients)])
    forward = {i.out for i in program.instructions if _is_costly(i)} | {program.x, *program.states}
    vectors = []
    for vector in derivative.vector_gradients:
        maker = makers.get(vector.grad)
        if maker is not None and maker.op == "mul" and reads[vector.grad] == 1:
            grad, by = sorted(maker.args, key=lambda factor: factor in forward)
            if isinstance(grad, Value) and isinstance(by, Value) and by in forward and grad in makers:
                vector = replace(vector, grad=grad, by=by)
        vectors.append(vector)
    return tuple(vectors)


def _is_costly(instruction: Instruction) -> bool:
    if instruction.op == "matmul":
        return bool(instruction.attrs["k"] > 1)  # an outer product is as quickly made again
    return instruction.op == "product" or instruction.op in REDUCTIONS or PRIMITIVES[instruction.op].costly


def _made_of(value: Value, makers: dict[Value, Instruction], saved: set[Value]) -> set[Value]:
    """What has to be saved for the value to be computed again from it by nothing costly: what is so already is not
    counted."""
    if value in saved or value not in makers or value.kind != "rows":
        return set()
    maker = makers[value]
    args = [argument for argument in maker.args if isinstance(argument, Value)]
    if _is_costly(maker) or maker.op == "slice" or not args:
        return {value}
    return set().union(*(_made_of(argument, makers, saved) for argument in args))


def _at_hand(value: Value, makers: dict[Value, Instruction], saved: set[Value], inputs: set[Value]) -> bool:
    """Whether the value can be computed from inputs and saved values without anything costly."""
    if value in inputs or value in saved or value.kind != "rows":
        return True
    if _is_costly(makers[value]):
        return False
    args = [argument for argument in makers[value].args if isinstance(argument, Value)]
    return all(_at_hand(argument, makers, saved, inputs) for argument in args)
