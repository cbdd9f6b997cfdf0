"""The order of instructions in a list, and pairs of them that run as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

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


@dataclass(frozen=True)
class _Pair:
    """`outer(…, inner(a, …), …)` in one instruction, whose arguments are those of the inner one and then the others."""

    outer: str
    inner: str
    fused: str
    rows_alone: bool = False
    twice: bool = False  # whether the argument of the inner one counts twice
    scaled: bool = False  # the inner one is the first argument, and multiplies rows with a vector


PAIRS = [
    _Pair("add", "mul", "fma"),
    _Pair("mul", "sub", "submul"),
    _Pair("sum", "mul", "dot", rows_alone=True),
    _Pair("sum", "square", "dot", rows_alone=True, twice=True),
    _Pair("standardize_grad", "mul", "scaled_standardize_grad", scaled=True),
]


def fuse(
    instructions: Sequence[Instruction], wanted: Collection[Value], reads: Counter[Value]
) -> tuple[Instruction, ...]:
    """Pairs of instructions such as `a * b + c` as one where nothing else reads the result of the inner one: those of
    each row of `PAIRS` in turn.

    Args:
        instructions: a list that runs in one piece.
        wanted: values that are read from outside, and must be written.
        reads: how often each value is read, in all lists.
    """
    for pair in PAIRS:
        instructions = _fused(instructions, pair, wanted, reads)
    return tuple(instructions)


def _fused(
    instructions: Sequence[Instruction], pair: _Pair, wanted: Collection[Value], reads: Counter[Value]
) -> list[Instruction]:
    makers = {instruction.out: instruction for instruction in instructions if instruction.op == pair.inner}
    fused: dict[Value, Instruction] = {}
    inside: set[Value] = set()
    for instruction in instructions:
        if instruction.op != pair.outer:
            continue
        for number, argument in reversed(list(enumerate(instruction.args))):
            maker = makers.get(argument) if isinstance(argument, Value) else None
            if maker is None or reads[maker.out] != 1 or maker.out in wanted:
                continue
            factors = maker.args * 2 if pair.twice else maker.args
            if pair.scaled:
                factors = tuple(sorted(factors, key=lambda a: isinstance(a, Value) and a.kind == "vector"))
                if number or [isinstance(a, Value) and a.kind for a in factors] != ["rows", "vector"]:
                    continue
            if pair.rows_alone and any(isinstance(a, float) or a.kind != "rows" for a in factors):
                continue
            others = (*instruction.args[:number], *instruction.args[number + 1 :])
            fused[instruction.out] = replace(instruction, op=pair.fused, args=(*factors, *others))
            inside.add(maker.out)
            break
    return [fused.get(i.out, i) for i in instructions if i.out not in inside]
