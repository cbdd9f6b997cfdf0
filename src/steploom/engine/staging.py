"""The order of the native core: the instructions of a section put into stages.

A stage is one sum of products, one elementwise pass over values of one width, or one instruction that runs by itself:
on groups of features, or a gather. What a stage reads in whole rows (the left side of a product, what groups are taken
of, a slice) was finished by an earlier stage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from steploom.native import core
from steploom.program.primitives import ALONE
from steploom.program.program import Argument, Instruction, Value

__all__ = ["Aliases", "Alone", "Elementwise", "Products", "Stage", "stages_of"]


@dataclass(frozen=True)
class Products:
    """`out = init + sum of left @ matrix.T`. `init` is one rows value, or vectors that are added up, or nothing."""

    out: Value
    terms: tuple[tuple[Value, Value], ...]
    init: Value | tuple[Value, ...]


@dataclass(frozen=True)
class Alone:
    """The sum of each group of features, a gather, or another instruction that runs by itself."""

    instruction: Instruction


@dataclass
class Elementwise:
    """Instructions on values of one width, run one after the other on a tile at a time."""

    width: int
    instructions: list[Instruction] = field(default_factory=list)


Stage = Products | Alone | Elementwise


@dataclass
class Aliases:
    """Values that are part of another value or the same: nothing is computed for them.

    Attributes:
        whole: for a slice or a detached value, what it is part of and its first column there.
        parts: for a concatenation, what stands in it.
        shared: for a value of which neighbouring columns are the same, what is read in its place.
    """

    whole: dict[Value, tuple[Value, int]] = field(default_factory=dict)
    parts: dict[Value, tuple[Argument, ...]] = field(default_factory=dict)
    shared: dict[Value, Value] = field(default_factory=dict)

    def add(self, instructions: Iterable[Instruction]) -> None:
        """Note the aliases among the instructions."""
        for i in instructions:
            if i.op in ("slice", "detach"):
                assert isinstance(i.args[0], Value)
                self.whole[i.out] = (i.args[0], int(i.attrs.get("start", 0)))
            elif i.op == "concat":
                self.parts[i.out] = i.args

    def root(self, value: Value) -> tuple[Value, int]:
        """What computed value this one is part of, and its first column there."""
        column = 0
        while value in self.whole:
            value, start = self.whole[value]
            column += start
        return value, column


def stages_of(instructions: Sequence[Instruction], uses: Counter[Value], aliases: Aliases) -> list[Stage]:
    """Put the instructions of one section in stages.

    Args:
        instructions: each value is written before it is read.
        uses: how often each value is read, in all sections, the outputs counted.
        aliases: those of all sections; the instructions for them are left out here.
    """
    instructions = [i for i in instructions if i.out not in aliases.shared]
    waiting: list[Instruction | Products] = _fuse_sums(instructions, uses, aliases)
    missing = {item.out for item in waiting}
    missing |= {i.out for i in instructions if i.op in ("slice", "detach", "concat")}
    waiting = [item for item in waiting if isinstance(item, Products) or item.op not in ("slice", "detach", "concat")]
    finished = {value for value in missing if value in aliases.whole or value in aliases.parts}
    missing -= finished

    def whole_ready(value: Argument | tuple[Value, ...]) -> bool:
        if isinstance(value, float | tuple):
            return True
        if value in aliases.shared:
            return whole_ready(aliases.shared[value])
        if value in aliases.parts:
            return all(whole_ready(part) for part in aliases.parts[value])
        root, _ = aliases.root(value)
        if root is not value:
            return whole_ready(root)
        return value not in missing

    def ready_to_multiply(item: Products) -> bool:
        return all(whole_ready(left) for left, _ in item.terms) and whole_ready(item.init)

    stages: list[Stage] = []
    while waiting:
        products = [item for item in waiting if isinstance(item, Products) and ready_to_multiply(item)]
        ready: list[Instruction | Products] = [*products]
        if products:
            stages += products
        else:
            alone = [
                item
                for item in waiting
                if isinstance(item, Instruction) and item.op in ALONE and all(map(whole_ready, item.args))
            ]
            if alone:
                ready = [*alone]
                stages += [Alone(item) for item in alone]
            else:
                stage = _widest_pass(waiting, whole_ready)
                ready = [*stage.instructions]
                stages.append(stage)
        for item in ready:
            missing.discard(item.out)
        chosen = set(map(id, ready))
        waiting = [item for item in waiting if id(item) not in chosen]
    return stages


def _widest_pass(waiting: Sequence[Instruction | Products], whole_ready: Callable[[Argument], bool]) -> Elementwise:
    """The elementwise pass that does most of what can be done now."""
    best = Elementwise(0)
    widths = {item.out.width for item in waiting if isinstance(item, Instruction) and item.op not in ALONE}
    for width in sorted(widths):
        stage = Elementwise(width)
        inside: set[Argument] = set()
        for item in waiting:
            if isinstance(item, Products) or item.op in ALONE or item.out.width != width:
                continue
            if all(whole_ready(argument) or (item.op != "expand" and argument in inside) for argument in item.args):
                stage.instructions.append(item)
                inside.add(item.out)
        if len(stage.instructions) > len(best.instructions):
            best = stage
    if not best.instructions:
        raise RuntimeError("the instructions of a step depend on each other in a circle")
    return best


def _fuse_sums(instructions: list[Instruction], uses: Counter[Value], aliases: Aliases) -> list[Instruction | Products]:
    """Products, each with what is added to it and to nothing else."""
    sums: dict[Value, Products] = {}
    merged: set[Value] = set()
    for i in instructions:
        if i.op == "product":
            left, matrix = i.args
            assert isinstance(left, Value) and isinstance(matrix, Value)
            sums[i.out] = Products(i.out, ((left, matrix),), ())
        elif i.op == "add" and (fused := _fused(i, sums, uses, aliases)) is not None:
            merged |= {a for a in i.args if isinstance(a, Value) and a in sums and uses[a] == 1}
            sums[i.out] = fused
    return [sums.get(i.out, i) for i in instructions if i.out not in merged]


def _fused(i: Instruction, sums: dict[Value, Products], uses: Counter[Value], aliases: Aliases) -> Products | None:
    terms: list[tuple[Value, Value]] = []
    rows: list[Value] = []
    vectors: list[Value] = []
    for argument in i.args:
        if isinstance(argument, float) or argument in aliases.shared:
            return None
        if argument in sums and uses[argument] == 1:
            part = sums[argument]
            terms += part.terms
            if isinstance(part.init, tuple):
                vectors += part.init
            else:
                rows.append(part.init)
        elif argument.kind == "vector":
            vectors.append(argument)
        else:
            rows.append(argument)
    if not terms or len(terms) > core().most_terms() or len(rows) > 1 or (rows and vectors):
        return None
    return Products(i.out, tuple(terms), rows[0] if rows else tuple(vectors))
