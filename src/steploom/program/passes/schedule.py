"""The order of instructions in a list, and pairs of them that run as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

from steploom.program.program import Instruction, Value

__all__ = ["fuse", "group_products"]


def group_products(instructions: Sequence[Instruction]) -> tuple[Instruction, ...]:
    """Products with one left side put next to each other, so that it is read once."""
    ordered: list[Instruction] = []
    placed: set[Value] = set()
    for number, instruction in enumerate(instructions):
        if instruction.out in placed:
            continue
        ordered.append(instruction)
        if instruction.op != "product":
            continue
        for other in instructions[number + 1 :]:
            if other.op == "product" and other.args[0] is instruction.args[0]:
                ordered.append(other)
                placed.add(other.out)
    return tuple(ordered)


def fuse(
    instructions: Sequence[Instruction], wanted: Collection[Value], reads: Counter[Value]
) -> tuple[Instruction, ...]:
    """`a * b + c` as one instruction where nothing else reads the product of the two.

    Args:
        instructions: a list that runs in one piece.
        wanted: values that are read from outside, and must be written.
        reads: how often each value is read, in all lists.
    """
    makers = {instruction.out: instruction for instruction in instructions if instruction.op == "mul"}
    fused: dict[Value, Instruction] = {}
    inside: set[Value] = set()
    for instruction in instructions:
        if instruction.op != "add":
            continue
        for number in (1, 0):
            factor, rest = instruction.args[number], instruction.args[1 - number]
            maker = makers.get(factor) if isinstance(factor, Value) else None
            if maker is not None and reads[maker.out] == 1 and maker.out not in wanted:
                fused[instruction.out] = replace(instruction, op="fma", args=(*maker.args, rest))
                inside.add(maker.out)
                break
    return tuple(fused.get(i.out, i) for i in instructions if i.out not in inside)
