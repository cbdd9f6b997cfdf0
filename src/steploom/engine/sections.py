"""The sections of a pass put in stages, and a place given to what outlives its stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

from steploom.engine.places import Kind, Operand, Places, Where
from steploom.engine.staging import ALIASING, Aliases, Alone, Products, Stage, outs_of, stages_of
from steploom.program.primitives import LEAST_SHARED, read_whole
from steploom.program.program import Argument, Instruction, Value

__all__ = ["Sections"]


class Sections(Places):
    """What runs before the steps of a chunk, at each step and after them, in stages."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted: list[tuple[Argument, Operand, str, int]] = []
        self.kept: list[tuple[Value, Operand]] = []

    def keep(self, value: Value, operand: Operand) -> None:
        """Have `value` stand in a saved region."""
        self.kept.append((value, operand))

    def deliver(self, value: Argument, operand: Operand, width: int = 0, section: str = "step") -> None:
        """Have `value` stand in an output or in what a step leaves of a state."""
        self.wanted.append((value, operand, section, width))

    def stage(self, sections: dict[str, Sequence[Instruction]], read_later: Iterable[Value]) -> dict[str, list[Stage]]:
        """Put the instructions of each section in stages and give every value that needs one its place.

        Args:
            sections: "before", "step" and "after".
            read_later: values that are read after the last section.
        """
        lists = {name: list(instructions) for name, instructions in sections.items()}
        computed = {i.out: name for name, instructions in lists.items() for i in instructions}
        later = set(read_later)
        self._deliver(lists, computed, later)
        for instructions in lists.values():
            self.aliases.add(instructions)
        uses = Counter(value for items in lists.values() for i in items for value in i.args if isinstance(value, Value))
        uses.update(self.places.keys())
        uses.update(later)
        self.aliases.shared = self._shared(lists, later)
        staged = {name: stages_of(instructions, uses, self.aliases) for name, instructions in lists.items()}
        self._place_all(staged, lists, later)
        return staged

    def _deliver(self, lists: dict[str, list[Instruction]], computed: dict[Value, str], later: set[Value]) -> None:
        """Place what is delivered where it is wanted, or copy it there, and give all parts of a concatenation a value
        of their own."""
        parts_of: set[Value] = set()
        for items in lists.values():
            parts_of |= {a for i in items if i.op == "concat" for a in i.args if isinstance(a, Value)}
        roots = Aliases()
        for items in lists.values():
            roots.add(items)
        late = {roots.root(value)[0] for value in later | _read_after(lists)}
        aliases = {i.out for items in lists.values() for i in items if i.op in ALIASING}

        def free(value: Argument, section: str) -> bool:
            return (
                isinstance(value, Value)
                and computed.get(value) == section
                and value not in self.places
                and value not in aliases
                and value not in parts_of
            )

        for value, operand in self.kept:
            if value in computed and free(value, computed[value]):
                self.places[value] = operand
            else:
                self._copy(lists[computed.get(value, "step")], value, operand, value.width)
        for argument, operand, section, width in self.wanted:
            simple = operand.where != Where.STATE_OUT or argument not in late
            if free(argument, section) and simple and isinstance(argument, Value):
                self.places[argument] = operand
            else:
                width = argument.width if isinstance(argument, Value) else width
                self._copy(lists[section], argument, operand, width)
        taken: set[Value] = set()
        for name, items in lists.items():
            lists[name] = [item for i in items for item in self._own_parts(i, name, computed, aliases, taken)]

    def _shared(self, lists: dict[str, list[Instruction]], later: set[Value]) -> dict[Value, Value]:
        """The repeated values that are nowhere read but column by column: they are not written at all."""
        whole = later | set(self.places)
        for i in chain.from_iterable(lists.values()):
            whole |= {argument for argument in read_whole(i) if isinstance(argument, Value)}
        shared = {}
        for i in chain.from_iterable(lists.values()):
            if i.op == "expand" and i.out not in whole:
                (source,) = i.args
                assert isinstance(source, Value)
                if i.out.width // source.width >= LEAST_SHARED:
                    shared[i.out] = source
        return shared

    def _copy(self, items: list[Instruction], value: Argument, operand: Operand, width: int) -> None:
        out = Value("copy", width)
        self.places[out] = operand
        items.append(Instruction("copy", (value,), out))

    def _own_parts(
        self, i: Instruction, section: str, computed: dict[Value, str], aliases: set[Value], taken: set[Value]
    ) -> list[Instruction]:
        if i.op != "concat":
            return [i]
        copies, parts = [], []
        for part in i.args:
            own = (
                isinstance(part, Value)
                and part not in self.places
                and part not in taken
                and part not in aliases
                and computed.get(part) == section
                and part.kind == "rows"
            )
            if not own:
                assert isinstance(part, Value)
                copy = Value("part", part.width)
                copies.append(Instruction("copy", (part,), copy))
                part = copy
            assert isinstance(part, Value)
            taken.add(part)
            parts.append(part)
        return [*copies, Instruction("concat", tuple(parts), i.out, i.attrs, i.source)]

    def _place_all(
        self, staged: dict[str, list[Stage]], lists: dict[str, list[Instruction]], later: set[Value]
    ) -> None:
        """Give a buffer to every value that is read outside the pass that computes it."""
        made: dict[Value, tuple[str, int]] = {}
        for name, stages in staged.items():
            for number, stage in enumerate(stages):
                for out in outs_of(stage):
                    made[out] = (name, number)
        memory, crossing = self._read_elsewhere(staged, made)
        memory |= {self.aliases.root(value)[0] for value in later}
        crossing |= {self.aliases.root(value)[0] for value in later | _read_after(lists)}
        section_of = {i.out: name for name, items in lists.items() for i in items}
        for value, parts in self.aliases.parts.items():
            if value in self.places:
                continue
            # A part stands in the whole: where one of them is read after the loop, the whole must last as long.
            kept = section_of[value] != "step" or any(item in crossing for item in (value, *parts))
            whole = self.places[value] = self.buffer(Kind.CHUNK if kept else Kind.STEP, value.width)
            column = 0
            for part in parts:
                assert isinstance(part, Value)
                self.places[part] = whole._replace(column=whole.column + column)
                column += part.width
        for value in made:
            if value in memory and value not in self.places:
                kept = value in crossing or section_of[value] != "step"
                self.places[value] = self.buffer(Kind.CHUNK if kept else Kind.STEP, value.width)

    def _read_elsewhere(
        self, staged: dict[str, list[Stage]], made: dict[Value, tuple[str, int]]
    ) -> tuple[set[Value], set[Value]]:
        """The values that are read whole, or in another stage than that which made them, and those of them that are
        read in another section.

        Args:
            staged: the stages of each section.
            made: of each computed value its section and the number of its stage there.
        """
        memory: set[Value] = set()
        crossing: set[Value] = set()

        def reads(value: Argument | tuple[Value, ...], name: str, number: int, whole: bool) -> None:
            if isinstance(value, tuple | float):
                return
            if value in self.aliases.shared:
                return reads(self.aliases.shared[value], name, number, True)
            for part in self.aliases.parts.get(value, ()):
                reads(part, name, number, True)
            root, _ = self.aliases.root(value)
            if root in self.aliases.parts:
                memory.add(root)
                if root is not value:
                    reads(root, name, number, True)
            if whole or root is not value or made.get(root) != (name, number):
                memory.add(root)
            if root in made and made[root][0] != name:
                crossing.add(root)

        for name, stages in staged.items():
            for number, stage in enumerate(stages):
                if isinstance(stage, Products):
                    memory.add(stage.out)
                    for left, _ in stage.terms:
                        reads(left, name, number, True)
                    reads(stage.init, name, number, True)
                elif isinstance(stage, Alone):
                    memory.add(stage.instruction.out)
                    for argument in stage.instruction.args:
                        reads(argument, name, number, True)
                else:
                    for i in stage.instructions:
                        for argument in i.args:
                            reads(argument, name, number, argument in read_whole(i))
        return memory, crossing


def _read_after(lists: dict[str, list[Instruction]]) -> set[Value]:
    """What the instructions behind the loop read."""
    return {argument for i in lists["after"] for argument in i.args if isinstance(argument, Value)}
