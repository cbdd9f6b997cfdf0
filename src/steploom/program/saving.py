"""Which forward values the backward pass finds saved, and which it computes again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from steploom.program.derivative import Derivative, VectorGradient
from steploom.program.passes.dead_code import live
from steploom.program.primitives import PRIMITIVES, REDUCTIONS
from steploom.program.program import Instruction, Program, Value

__all__ = ["choose", "sums_of_products"]


def choose(
    program: Program, backward: Iterable[Instruction], lefts: set[Value]
) -> tuple[tuple[Value, ...], tuple[Instruction, ...]]:
    """The values to save and the forward instructions to run again.

    Arithmetic and moves are done again where all that they need is at hand, or takes less memory than what they make of
    it, such as an outer product; what costs more is saved, and so is what enters a product, since the forward pass has
    it in one piece.

    Args:
        program: the step.
        backward: the instructions of the backward pass, whose forward values are asked for.
        lefts: what entered the products whose weights have a gradient.
    """
    makers = {instruction.out: instruction for instruction in program.instructions}
    wanted = {a for i in backward for a in i.args if isinstance(a, Value)} | lefts
    wanted &= set(makers)
    saved = {value for value in wanted if _is_costly(makers[value]) or (value in lefts and makers[value].op != "slice")}
    missing: dict[Value, frozenset[Value]] = {}  # what has to be saved for a value to be computed again at little cost
    for i in program.instructions:
        needs = frozenset[Value]().union(*(missing.get(a, ()) for a in i.args if isinstance(a, Value))) - saved
        narrower = i.op != "slice" and sum(value.width for value in needs) < i.out.width
        if _is_costly(i) or (needs and not narrower):
            needs = frozenset({i.out})
        if i.out in wanted:
            saved |= needs
        missing[i.out] = needs
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
