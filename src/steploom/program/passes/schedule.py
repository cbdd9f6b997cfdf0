"""The order of instructions in a list, and pairs of them that run as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from steploom.program.program import Argument, Instruction, Value

__all__ = ["fuse", "group_products"]


def group_products(instructions: Sequence[Instruction]) -> tuple[Instruction, ...]:
    """Products with one left side put next to each other, so that it is read once."""
    products: dict[Argument, list[Instruction]] = {}
    for instruction in instructions:
        if instruction.op == "product":
            products.setdefault(instruction.args[0], []).append(instruction)
    ordered: list[Instruction] = []
    for instruction in instructions:
        # Where the first of them stands, all of them.
        ordered += products.pop(instruction.args[0], ()) if instruction.op == "product" else [instruction]
    return tuple(ordered)


Arguments = tuple[Argument, ...]


@dataclass(frozen=True)
class _Pair:
    """`outer(…, inner(a, …), …)` in one instruction, whose arguments are those of the inner one and then the others.

    Attributes:
        outer: the operation that reads.
        inner: the operation whose result it reads.
        fused: the operation that does both.
        taken: what the fused one takes of the inner one, whose arguments and place among those of the outer one it is
            given; None where the two stay as they are.
    """

    outer: str
    inner: str
    fused: str
    taken: Callable[[Arguments, int], Arguments | None]


def _as_they_stand(args: Arguments, place: int) -> Arguments:
    return args


def _of_rows(args: Arguments, place: int) -> Arguments | None:
    return args if all(_kind(argument) == "rows" for argument in args) else None


def _squared(args: Arguments, place: int) -> Arguments | None:
    return _of_rows(args * 2, place)


def _gain(args: Arguments, place: int) -> Arguments | None:
    """Rows and the vector that multiplies them, in this order, where the product is the first argument."""
    if place == 0:
        for rows, vector in (args, args[::-1]):
            if _kind(rows) == "rows" and _kind(vector) == "vector":
                return rows, vector
    return None


def _kind(argument: Argument) -> str:
    return argument.kind if isinstance(argument, Value) else "number"


PAIRS = [
    _Pair("add", "mul", "fma", _as_they_stand),
    _Pair("mul", "sub", "submul", _as_they_stand),
    _Pair("sum", "mul", "dot", _of_rows),
    _Pair("sum", "square", "dot", _squared),
    _Pair("standardize_grad", "mul", "scaled_standardize_grad", _gain),
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
            factors = pair.taken(maker.args, number)
            if factors is None:
                continue
            others = (*instruction.args[:number], *instruction.args[number + 1 :])
            fused[instruction.out] = replace(instruction, op=pair.fused, args=(*factors, *others))
            inside.add(maker.out)
            break
    return [fused.get(i.out, i) for i in instructions if i.out not in inside]
