"""A plan put into the form of the native core: which buffer each value stands in, and the stages in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from steploom.engine.staging import Aliases, Elementwise, Products, Reduction, Stage, stages_of
from steploom.native import core
from steploom.program.plan import Plan
from steploom.program.program import Argument, Instruction, MatrixView, Value, VectorView

__all__ = ["Lowered", "lower_backward", "lower_forward"]

Operand = tuple[int, int, int]


class Where(IntEnum):
    """What an operand of the native core is; native/schedule.hpp has the same numbers."""

    NONE, BUFFER, STATE_OUT, VECTOR, CONSTANT, REGISTER = range(6)


class Kind(IntEnum):
    """Where a buffer of the native core lives; native/schedule.hpp has the same numbers."""

    INPUT, OUTPUT, SAVED, CHUNK, STEP, STATE = range(6)


NOTHING: Operand = (Where.NONE, 0, 0)


@dataclass(frozen=True)
class Lowered:
    """A schedule of the native core and what its numbers mean.

    Attributes:
        schedule: forward or backward.
        matrices: what each matrix of a call is.
        vectors: what each vector of a call is.
        vector_gradients: the leaf that each gradient of vectors belongs to.
        saved_widths: widths of the regions kept from the forward to the backward pass.
        weights: elements of all matrices that a step reads.
        work: multiplications and additions of one step and row, about.
    """

    schedule: Any
    matrices: tuple[MatrixView, ...]
    vectors: tuple[VectorView, ...]
    vector_gradients: tuple[int, ...]
    saved_widths: tuple[int, ...]
    weights: int
    work: int


def lower_forward(plan: Plan, training: bool, inline: bool = False) -> Lowered:
    """The forward pass. Sequences: 0 is x, 1 is y.

    Args:
        plan: the plan.
        training: whether what the backward pass reads is kept.
        inline: whether what reads the input alone is done step by step: a product with the input then goes into the
            sum of the product with the state, and its result never into memory. Worth it where a step has enough rows
            to use a weight often, and all weights fit the second-level cache.
    """
    program = plan.program
    lowering = _Lowering(descending=False, saved_widths=_saved_widths(plan) if training else ())
    lowering.place(program.x, lowering.buffer(Kind.INPUT, program.x.width, 0))
    regions = iter(range(len(_saved_widths(plan))))
    outs = []
    for number, state in enumerate(program.states):
        region = next(regions) if plan.saves_state[number] else -1
        buffer = lowering.buffer(Kind.STATE, state.width, number, region if training else -1)
        lowering.place(state, buffer)
        outs.append((Where.STATE_OUT, buffer[1], 0))
    y = lowering.buffer(Kind.OUTPUT, program.outputs[0].width, 1)
    step = [*(plan.hoisted if inline else ()), *plan.loop, *plan.sunk]
    if training:
        for value in plan.saved:
            lowering.keep(value, lowering.buffer(Kind.SAVED, value.width, next(regions)))
    for value, out in zip(program.outputs, outs, strict=True):
        lowering.deliver(value, out)
    lowering.deliver(program.outputs[0], y)
    lowering.run({"before": () if inline else plan.hoisted, "step": step, "after": ()}, read_later=())
    return lowering.finish()


def lower_backward(plan: Plan) -> Lowered:
    """The backward pass. Sequences: 0 is x, 1 is the gradient of y, 2 that of x."""
    program, derivative = plan.program, plan.derivative
    lowering = _Lowering(descending=True, saved_widths=_saved_widths(plan))
    lowering.place(program.x, lowering.buffer(Kind.INPUT, program.x.width, 0))
    regions = iter(range(len(_saved_widths(plan))))
    for state, saves in zip(program.states, plan.saves_state, strict=True):
        if saves:
            lowering.place(state, lowering.buffer(Kind.SAVED, state.width, next(regions)))
    for value in plan.saved:
        lowering.place(value, lowering.buffer(Kind.SAVED, value.width, next(regions)))
    head = []
    for number, gradient in enumerate(derivative.inputs):
        carry = lowering.buffer(Kind.STATE, gradient.width, number)
        if number == 0:
            arriving, carried = Value("dy", gradient.width), Value("carried", gradient.width)
            lowering.place(arriving, lowering.buffer(Kind.INPUT, gradient.width, 1))
            lowering.place(carried, carry)
            head.append(Instruction("add", (carried, arriving), gradient))
        else:
            lowering.place(gradient, carry)
    if plan.dx is not None:
        lowering.deliver(plan.dx, lowering.buffer(Kind.OUTPUT, plan.dx.width, 2), section=_section(plan, plan.dx))
    for number, dstate in enumerate(plan.dstates):
        out = (Where.STATE_OUT, lowering.state_buffer(number), 0)
        lowering.deliver(0.0 if dstate is None else dstate, out, program.states[number].width)
    later = [*plan.kept]
    for weight in plan.weight_gradients:
        later += [weight.left, weight.grad]
    later += [vector.grad for vector in plan.vector_gradients]
    sections = {"before": (), "step": [*head, *plan.recomputed, *plan.backward_loop], "after": plan.deferred}
    lowering.run(sections, read_later=later)
    for weight in plan.weight_gradients:
        matrix = lowering.matrix(weight.matrix)
        operands = lowering.operand(weight.grad), lowering.operand(weight.left)
        lowering.schedule.weight_gradient(matrix, *operands, weight.grad.width, weight.left.width)
    for vector in plan.vector_gradients:
        view = vector.vector.view
        assert isinstance(view, VectorView)
        slot = lowering.gradient_slot(view.leaf)
        lowering.schedule.vector_gradient(slot, view.start, lowering.operand(vector.grad), vector.grad.width)
    return lowering.finish()


def _saved_widths(plan: Plan) -> tuple[int, ...]:
    states = [state.width for state, saves in zip(plan.program.states, plan.saves_state, strict=True) if saves]
    return (*states, *(value.width for value in plan.saved))


def _section(plan: Plan, value: Value) -> str:
    return "after" if any(i.out is value for i in plan.deferred) else "step"


class _Lowering:
    def __init__(self, descending: bool, saved_widths: Sequence[int]) -> None:
        self.descending = descending
        self.saved_widths = tuple(saved_widths)
        self.buffers: list[tuple[int, int, int, int]] = []
        self.places: dict[Value, Operand] = {}
        self.constants: dict[float, int] = {}
        self.vectors: dict[VectorView, int] = {}
        self.vector_sums: dict[tuple[Value, ...], int] = {}
        self.matrices: dict[MatrixView, int] = {}
        self.gradient_slots: dict[int, int] = {}
        self.aliases = Aliases()
        self.copies: dict[str, list[Instruction]] = {"before": [], "step": [], "after": []}
        self.wanted: list[tuple[Argument, Operand, str, int]] = []
        self.kept: list[tuple[Value, Operand]] = []
        self.emitted: list[tuple[str, tuple[Any, ...]]] = []
        self.registers = 0
        self.weights = 0
        self.work = 0

    # Places.

    def buffer(self, kind: Kind, width: int, external: int = -1, saved: int = -1) -> Operand:
        self.buffers.append((kind, width, external, saved))
        return (Where.BUFFER, len(self.buffers) - 1, 0)

    def state_buffer(self, number: int) -> int:
        return next(i for i, b in enumerate(self.buffers) if b[0] == Kind.STATE and b[2] == number)

    def place(self, value: Value, operand: Operand) -> None:
        self.places[value] = operand

    def keep(self, value: Value, operand: Operand) -> None:
        """Have `value` stand in a saved region."""
        self.kept.append((value, operand))

    def deliver(self, value: Argument, operand: Operand, width: int = 0, section: str = "step") -> None:
        """Have `value` stand in an output or in what a step leaves of a state."""
        self.wanted.append((value, operand, section, width))

    def matrix(self, value: Value) -> int:
        assert isinstance(value.view, MatrixView)
        return self.matrices.setdefault(value.view, len(self.matrices))

    def gradient_slot(self, leaf: int) -> int:
        return self.gradient_slots.setdefault(leaf, len(self.gradient_slots))

    def vector_sum(self, values: tuple[Value, ...]) -> Operand:
        for value in values:
            assert isinstance(value.view, VectorView)
            self.vectors.setdefault(value.view, len(self.vectors))
        return (Where.VECTOR, self.vector_sums.setdefault(values, len(self.vector_sums)), 0)

    def operand(self, value: Argument) -> Operand:
        if isinstance(value, float | int):
            return (Where.CONSTANT, self.constants.setdefault(float(value), len(self.constants)), 0)
        if value.kind == "vector":
            return self.vector_sum((value,))
        root, column = self.aliases.root(value)
        where, index, start = self.places[root]
        return (where, index, start + column)

    # From instructions to stages.

    def run(self, sections: dict[str, Sequence[Instruction]], read_later: Iterable[Value]) -> None:
        lists = {name: list(instructions) for name, instructions in sections.items()}
        computed = {i.out: name for name, instructions in lists.items() for i in instructions}
        later = self._deliver(lists, computed, list(read_later))
        for instructions in lists.values():
            self.aliases.add(instructions)
        uses = Counter(value for items in lists.values() for i in items for value in i.args if isinstance(value, Value))
        uses.update(self.places.keys())
        uses.update(later)
        staged = {name: stages_of(instructions, uses, self.aliases) for name, instructions in lists.items()}
        self._place_all(staged, lists, set(later))
        for name, stages in staged.items():
            for stage in stages:
                self._emit(name, stage)

    def _deliver(
        self, lists: dict[str, list[Instruction]], computed: dict[Value, str], later: list[Value]
    ) -> list[Value]:
        """Place what is delivered where it is wanted, or copy it there, and give all parts of a concatenation a value
        of their own."""
        parts_of: set[Value] = set()
        for items in lists.values():
            parts_of |= {a for i in items if i.op == "concat" for a in i.args if isinstance(a, Value)}
        late = set(later)
        for i in lists["after"]:
            late |= {a for a in i.args if isinstance(a, Value)}
        aliases = {i.out for items in lists.values() for i in items if i.op in ("slice", "detach", "concat")}

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
            simple = operand[0] != Where.STATE_OUT or argument not in late
            if free(argument, section) and simple and isinstance(argument, Value):
                self.places[argument] = operand
            else:
                width = argument.width if isinstance(argument, Value) else width
                self._copy(lists[section], argument, operand, width)
        taken: set[Value] = set()
        for name, items in lists.items():
            lists[name] = [item for i in items for item in self._own_parts(i, name, computed, aliases, taken)]
        return later

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
                for out in _outs(stage):
                    made[out] = (name, number)
        memory: set[Value] = set()
        crossing: set[Value] = set()

        def reads(value: Argument | tuple[Value, ...], name: str, number: int, whole: bool) -> None:
            if isinstance(value, tuple | float):
                return
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
                elif isinstance(stage, Reduction):
                    memory.add(stage.instruction.out)
                    reads(stage.instruction.args[0], name, number, True)
                else:
                    for i in stage.instructions:
                        for argument in i.args:
                            reads(argument, name, number, i.op == "expand")
        for value in later:
            root, _ = self.aliases.root(value)
            memory.add(root)
            crossing.add(root)
        section_of = {i.out: name for name, items in lists.items() for i in items}
        after_reads = {a for i in lists["after"] for a in i.args if isinstance(a, Value)}
        crossing |= {self.aliases.root(a)[0] for a in after_reads}
        for value, parts in self.aliases.parts.items():
            if value in self.places:
                continue
            # A part stands in the whole: where one of them is read after the loop, the whole must last as long.
            kept = section_of[value] != "step" or any(item in crossing for item in (value, *parts))
            self.places[value] = self.buffer(Kind.CHUNK if kept else Kind.STEP, value.width)
            column = 0
            for part in parts:
                assert isinstance(part, Value)
                where, index, start = self.places[value]
                self.places[part] = (where, index, start + column)
                column += part.width
        for value in made:
            if value in memory and value not in self.places:
                kept = value in crossing or section_of[value] != "step"
                self.places[value] = self.buffer(Kind.CHUNK if kept else Kind.STEP, value.width)

    # From stages to the native core.

    def _emit(self, section: str, stage: Stage) -> None:
        if isinstance(stage, Products):
            init = self.vector_sum(stage.init) if isinstance(stage.init, tuple) and stage.init else NOTHING
            if isinstance(stage.init, Value):
                init = self.operand(stage.init)
            terms = []
            for left, matrix in stage.terms:
                terms.append((self.operand(left), self.matrix(matrix), matrix.rows))
                self.work += 2 * matrix.width * matrix.rows
                self.weights += matrix.width * matrix.rows if section == "step" else 0
            self.emitted.append(("product", (section, stage.out.width, self.operand(stage.out), init, terms)))
        elif isinstance(stage, Reduction):
            i = stage.instruction
            assert isinstance(i.args[0], Value)
            sizes = (i.op == "max", i.args[0].width, int(i.attrs["groups"]))
            self.emitted.append(("reduction", (section, *sizes, self.operand(i.out), self.operand(i.args[0]))))
        else:
            self.emitted.append(("elementwise", (section, stage.width, self._allocate(stage))))
            self.work += stage.width * len(stage.instructions)

    def _allocate(self, stage: Elementwise) -> list[tuple[str, Operand, list[Operand], int]]:
        """Registers for what is read in this pass alone, each taken again once its value has been read for the last
        time."""
        last = {a: n for n, i in enumerate(stage.instructions) for a in i.args if isinstance(a, Value)}
        free: list[int] = []
        used = 0
        ops = []
        for number, i in enumerate(stage.instructions):
            inputs = [self.operand(argument) for argument in i.args]
            name, group = i.op, 1
            if i.op == "fill":
                name, inputs = "copy", [self.operand(float(i.attrs["value"]))]
            elif i.op == "expand":
                assert isinstance(i.args[0], Value)
                group = i.out.width // i.args[0].width
            if i.out in self.places:
                out = self.operand(i.out)
            else:
                if not free:
                    free.append(used)
                    used += 1
                out = (Where.REGISTER, free.pop(), 0)
                self.places[i.out] = out
                if i.out not in last:
                    free.append(out[1])
            ops.append((name, out, inputs, group))
            for argument in set(i.args):
                if isinstance(argument, Value) and last[argument] == number:
                    place = self.places.get(argument, NOTHING)
                    if place[0] == Where.REGISTER:
                        free.append(place[1])
        self.registers = max(self.registers, used)
        return ops

    @property
    def schedule(self) -> Any:
        if not hasattr(self, "_schedule"):
            widths = [values[0].width for values in self.vector_sums]
            parts = [[self.vectors[v.view] for v in values] for values in self.vector_sums]  # type: ignore[index]
            states = sum(kind == Kind.STATE for kind, *_ in self.buffers)
            self._schedule = core().Schedule(
                self.descending,
                [tuple(map(int, buffer)) for buffer in self.buffers],
                list(self.saved_widths),
                list(self.constants),
                widths,
                parts,
                self.registers,
                states,
            )
            for method, arguments in self.emitted:
                getattr(self._schedule, method)(*arguments)
        return self._schedule

    def finish(self) -> Lowered:
        """The schedule, with what its numbers mean."""
        return Lowered(
            self.schedule,
            tuple(self.matrices),
            tuple(self.vectors),
            tuple(self.gradient_slots),
            self.saved_widths,
            self.weights,
            self.work,
        )


def _outs(stage: Stage) -> list[Value]:
    if isinstance(stage, Elementwise):
        return [i.out for i in stage.instructions]
    return [stage.out if isinstance(stage, Products) else stage.instruction.out]
