"""The order of the native core: the instructions of a section put into stages.

A stage is one sum of products, one elementwise pass over values of one width, or one instruction that runs by itself:
on groups of features, a gather or a matmul. What a stage reads in whole rows (the left side of a product, what groups
are taken of, a slice) was finished by an earlier stage.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard, TypeVar

from steploom.native import core
from steploom.program.primitives import ALONE
from steploom.program.program import Argument, Instruction, Value

__all__ = ["ALIASING", "Aliases", "Alone", "Elementwise", "Products", "Stage", "outs_of", "stages_of"]

# Instructions that compute nothing: what they give is part of other values, or made of them.
ALIASING = ("slice", "detach", "concat")


@dataclass(frozen=True)
class Products:
    """`out = init + sum of left @ matrix.T`. `init` is one rows value, or vectors that are added up, or nothing."""

    out: Value
    terms: tuple[tuple[Value, Value], ...]
    init: Value | tuple[Value, ...]


@dataclass(frozen=True)
class Alone:
    """The sum of each group of features, a gather, a matmul, or another instruction of `ALONE`."""

    instruction: Instruction


@dataclass
class Elementwise:
    """Instructions on values of one width, run one after the other on a tile at a time."""

    width: int
    instructions: list[Instruction] = field(default_factory=list)


Stage = Products | Alone | Elementwise
_Item = TypeVar("_Item", bound=Instruction | Products)


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

    def of(self, value: Value) -> tuple[Argument, ...]:
        """What a value that is an alias is made of; nothing for others."""
        if value in self.shared:
            return (self.shared[value],)
        return (self.whole[value][0],) if value in self.whole else self.parts.get(value, ())

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
    items = _fuse_sums([i for i in instructions if i.out not in aliases.shared], uses, aliases)
    waiting = _Waiting([item for item in items if isinstance(item, Products) or item.op not in ALIASING], aliases)
    stages: list[Stage] = []
    while waiting:
        if products := waiting.take_products():
            stages += products
        elif alone := waiting.take_alone():
            stages += alone
        else:
            stages.append(waiting.take_widest_pass())
    return stages


def outs_of(stage: Stage) -> list[Value]:
    """The values that a stage makes."""
    if isinstance(stage, Elementwise):
        return [i.out for i in stage.instructions]
    return [stage.out if isinstance(stage, Products) else stage.instruction.out]


class _Waiting:
    """What is in no stage yet. Each item, and each alias of what is missing, counts what it waits for; whatever is
    finished tells those that read it."""

    def __init__(self, items: Sequence[Instruction | Products], aliases: Aliases) -> None:
        self._aliases = aliases
        self._items = {item.out: item for item in items}
        self._order = {item.out: number for number, item in enumerate(items)}
        self._waits_for: dict[Value, int] = {}
        self._readers: defaultdict[Value, list[Value]] = defaultdict(list)
        self._readers_by_column: defaultdict[Value, list[Value]] = defaultdict(list)  # in the same pass, if need be
        self._products: list[Products] = []
        self._alone: list[Instruction] = []
        self._passes: dict[int, list[Instruction]] = {}
        for item in items:
            by_column = {a for a in _arguments(item) if isinstance(a, Value) and self._in_one_pass(a, item)}
            for value in by_column:
                self._readers_by_column[value].append(item.out)
            whole = {a for a in _arguments(item) if isinstance(a, Value)} - by_column
            self._waits_for[item.out] = self._wait(item.out, whole) + len(by_column)
        self._begin([item.out for item in items if not self._waits_for[item.out]])

    def __bool__(self) -> bool:
        return bool(self._items)

    def take_products(self) -> list[Products]:
        """All sums of products of which each left side is there."""
        taken, self._products = self._products, []
        return self._finish(taken)

    def take_alone(self) -> list[Alone]:
        """All that runs by itself and can be done."""
        taken, self._alone = self._alone, []
        return [Alone(item) for item in self._finish(taken)]

    def take_widest_pass(self) -> Elementwise:
        """The elementwise pass that does most of what can be done now."""
        if not self._passes:
            raise RuntimeError("the instructions of a step depend on each other in a circle")
        width = max(self._passes, key=lambda width: (len(self._passes[width]), -width))
        return Elementwise(width, self._finish(self._passes.pop(width)))

    def _in_one_pass(self, value: Value, item: Instruction | Products) -> bool:
        maker = self._items.get(value)
        return (
            _is_elementwise(maker) and _is_elementwise(item) and value.width == item.out.width and item.op != "expand"
        )

    def _wait(self, reader: Value, values: Iterable[Argument]) -> int:
        """Have a reader told of those values that are missing; how many they are."""
        missing = [value for value in values if isinstance(value, Value) and self._is_missing(value)]
        for value in missing:
            self._readers[value].append(reader)
        return len(missing)

    def _is_missing(self, value: Value) -> bool:
        if value in self._items:
            return True
        if value not in self._waits_for:
            self._waits_for[value] = self._wait(value, self._aliases.of(value))
        return self._waits_for[value] > 0

    def _begin(self, ready: list[Value]) -> None:
        """Put what can be done now where it is taken from, and with it what may stand in one pass with it."""
        while ready:
            item = self._items[ready.pop()]
            if isinstance(item, Products):
                self._products.append(item)
            elif item.op in ALONE:
                self._alone.append(item)
            else:
                self._passes.setdefault(item.out.width, []).append(item)
                ready += self._told(self._readers_by_column.pop(item.out, ()))

    def _finish(self, taken: list[_Item]) -> list[_Item]:
        """What was taken, in order; whoever waits for it is told."""
        finished = [item.out for item in taken]
        ready: list[Value] = []
        while finished:
            value = finished.pop()
            self._items.pop(value, None)
            for reader in self._told(self._readers.pop(value, ())):
                (ready if reader in self._items else finished).append(reader)
        self._begin(ready)
        return sorted(taken, key=lambda item: self._order[item.out])

    def _told(self, readers: Iterable[Value]) -> list[Value]:
        """Those of the readers that wait for nothing else."""
        for reader in readers:
            self._waits_for[reader] -= 1
        return [reader for reader in readers if not self._waits_for[reader]]


def _arguments(item: Instruction | Products) -> Sequence[Argument]:
    if isinstance(item, Instruction):
        return item.args
    lefts = [left for left, _ in item.terms]
    return lefts if isinstance(item.init, tuple) else [*lefts, item.init]


def _is_elementwise(item: Instruction | Products | None) -> TypeGuard[Instruction]:
    return isinstance(item, Instruction) and item.op not in ALONE


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
