"""A plan put into the form of the native core: which buffer each value stands in, and the stages in order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from steploom.engine.places import NOTHING, Kind, Operand, Where
from steploom.engine.sections import Sections
from steploom.engine.staging import Aliases, Alone, Elementwise, Products, Stage
from steploom.engine.written import written_whole
from steploom.native import CoreSchedule, core
from steploom.program.gathers import stretches
from steploom.program.plan import Plan
from steploom.program.primitives import ALONG
from steploom.program.program import Instruction, MatrixView, Value, VectorView

__all__ = ["Lowered", "lower_backward", "lower_forward"]


@dataclass(frozen=True)
class Lowered:
    """A schedule of the native core and what its numbers mean.

    Attributes:
        schedule: forward or backward.
        matrices: what each matrix of a call is.
        vectors: what each vector of a call is.
        vector_gradients: the leaf that each gradient of vectors belongs to.
        written: leaves whose gradient a backward pass writes whole, whatever stood there; to others it adds.
        saved_widths: widths of the regions kept from the forward to the backward pass.
        weights: elements of all matrices that a step reads.
        work: multiplications and additions of one step and row, about.
    """

    schedule: CoreSchedule
    matrices: tuple[MatrixView, ...]
    vectors: tuple[VectorView, ...]
    vector_gradients: tuple[int, ...]
    written: frozenset[int]
    saved_widths: tuple[int, ...]
    weights: int
    work: int


def lower_forward(plan: Plan, training: bool, inline: bool = False) -> Lowered:
    """The forward pass. Sequences: 0 is x, 1 is y.

    Args:
        plan: the plan.
        training: whether what the backward pass reads is kept.
        inline: whether what reads the input alone is done step by step: a product with the input then goes into the
            sum of the product with the state, and its result never into memory. `threads.inlines` says when.
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
        outs.append(Operand(Where.STATE_OUT, buffer.number))
    y = lowering.buffer(Kind.OUTPUT, program.outputs[0].width, 1)
    step = [*(plan.hoisted if inline else ()), *plan.loop, *plan.sunk]
    if training:
        for value in plan.saved:
            lowering.keep(value, lowering.buffer(Kind.SAVED, value.width, next(regions)))
    for value, out in zip(program.outputs, outs, strict=True):
        lowering.deliver(value, out)
    lowering.deliver(program.outputs[0], y)
    lowering.emit({"before": () if inline else plan.hoisted, "step": step, "after": ()}, read_later=())
    return lowering.finish()


def lower_backward(plan: Plan) -> Lowered:
    """The backward pass. Sequences: 0 is x, 1 is the gradient of y, 2 that of x."""
    program = plan.program
    lowering = _Lowering(descending=True, saved_widths=_saved_widths(plan))
    lowering.place(program.x, lowering.buffer(Kind.INPUT, program.x.width, 0))
    regions = iter(range(len(_saved_widths(plan))))
    for state, saves in zip(program.states, plan.saves_state, strict=True):
        if saves:
            lowering.place(state, lowering.buffer(Kind.SAVED, state.width, next(regions)))
    for value in plan.saved:
        lowering.place(value, lowering.buffer(Kind.SAVED, value.width, next(regions)))
    aliases = Aliases()
    aliases.add([*plan.recomputed, *plan.backward_loop, *plan.deferred])
    after = {value for i in plan.deferred for value in i.args if isinstance(value, Value)} | set(plan.kept)
    after = {aliases.root(value)[0] for value in after}
    head = _carry(lowering, plan, after)
    if plan.dx is not None:
        section = "after" if any(i.out is plan.dx for i in plan.deferred) else "step"
        lowering.deliver(plan.dx, lowering.buffer(Kind.OUTPUT, plan.dx.width, 2), section=section)
    for number, dstate in enumerate(plan.dstates):
        out = Operand(Where.STATE_OUT, lowering.state_buffer(number))
        lowering.deliver(0.0 if dstate is None else dstate, out, program.states[number].width)
    later = [*plan.kept]
    for weight in plan.weight_gradients:
        later += [weight.left, weight.grad]
    later += [value for vector in plan.vector_gradients for value in vector.reads]
    sections = {"before": (), "step": [*head, *plan.recomputed, *plan.backward_loop], "after": plan.deferred}
    lowering.emit(sections, read_later=later)
    _sum_gradients(lowering, plan)
    return lowering.finish()


def _carry(lowering: _Lowering, plan: Plan, after: set[Value]) -> list[Instruction]:
    """Place the gradients of the new states, which a step takes over from the one after it; what must be done for that
    at the head of each step."""
    head = []
    for number, gradient in enumerate(plan.derivative.inputs):
        carry = lowering.buffer(Kind.STATE, gradient.width, number)
        carried = Value("carried", gradient.width)
        if number == 0:
            arriving = Value("dy", gradient.width)
            lowering.place(arriving, lowering.buffer(Kind.INPUT, gradient.width, 1))
            lowering.place(carried, carry)
            head.append(Instruction("add", (carried, arriving), gradient))
        elif gradient in after:
            # What is carried is there for one step; this one is read after the loop.
            lowering.place(carried, carry)
            head.append(Instruction("copy", (carried,), gradient))
        else:
            lowering.place(gradient, carry)
    return head


def _sum_gradients(lowering: _Lowering, plan: Plan) -> None:
    """Have the gradients of weights and vectors summed over the steps."""
    lowering.written = written = written_whole(plan)
    for weight in plan.weight_gradients:
        matrix = lowering.matrix(weight.matrix)
        operands = lowering.operand(weight.grad), lowering.operand(weight.left)
        assert isinstance(weight.matrix.view, MatrixView)
        sizes = weight.grad.width, weight.left.width
        lowering.emitted.append(("weight_gradient", (matrix, *operands, *sizes, weight.matrix.view.leaf in written)))
    for vector in plan.vector_gradients:
        view = vector.vector.view
        assert isinstance(view, VectorView)
        slot = lowering.gradient_slot(view.leaf)
        by = NOTHING if vector.by is None else lowering.operand(vector.by)
        of = lowering.operand(vector.grad), by, vector.grad.width
        lowering.emitted.append(("vector_gradient", (slot, view.start, *of, view.leaf in written)))


def _saved_widths(plan: Plan) -> tuple[int, ...]:
    states = [state.width for state, saves in zip(plan.program.states, plan.saves_state, strict=True) if saves]
    return (*states, *(value.width for value in plan.saved))


class _Lowering(Sections):
    def __init__(self, descending: bool, saved_widths: Sequence[int]) -> None:
        super().__init__()
        self.descending = descending
        self.saved_widths = tuple(saved_widths)
        self.emitted: list[tuple[str, tuple[Any, ...]]] = []
        self.written: frozenset[int] = frozenset()
        self.registers = 0
        self.weights = 0
        self.work = 0

    def emit(self, sections: dict[str, Sequence[Instruction]], read_later: Iterable[Value]) -> None:
        for name, stages in self.stage(sections, read_later).items():
            for stage in stages:
                self._emit(name, stage)

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
        elif isinstance(stage, Alone):
            self._emit_alone(section, stage.instruction)
        else:
            self.emitted.append(("elementwise", (section, stage.width, self._allocate(stage))))
            self.work += stage.width * len(stage.instructions)

    def _emit_alone(self, section: str, i: Instruction) -> None:
        out, *inputs = (self.operand(value) for value in (i.out, *i.args))
        if i.op == "gather":
            self.emitted.append(("gather", (section, out, *inputs, stretches(i.attrs["order"]))))
        elif i.op == "matmul":
            shape = [int(i.attrs[name]) for name in ("groups", "n", "k", "m", "left_transposed", "right_transposed")]
            self.emitted.append(("matmul", (section, out, *inputs, *shape)))
            self.work += 2 * i.out.width * int(i.attrs["k"])
        elif i.op in ALONG:
            first, groups = i.args[0], int(i.attrs["groups"])
            assert isinstance(first, Value)
            n = int(i.attrs["n"]) if i.op == "put_along" else first.width // groups
            count = first.width // groups if i.op == "put_along" else i.out.width // groups
            descending, last = int(i.attrs.get("descending", 0)), int(i.attrs.get("last", 0))
            self.emitted.append(("along", (section, i.op, groups, n, count, descending, last, out, inputs)))
        else:
            assert isinstance(i.args[0], Value)
            if i.op == "standardize_grad":
                inputs.insert(1, NOTHING)  # no scale
            sizes = (i.op, i.args[0].width, int(i.attrs["groups"]), float(i.attrs.get("eps", 0)))
            self.emitted.append(("on_groups", (section, *sizes, out, inputs)))

    def _allocate(self, stage: Elementwise) -> list[tuple[str, Operand, list[Operand]]]:
        """Registers for what is read in this pass alone, each taken again once its value has been read for the last
        time."""
        last = {a: n for n, i in enumerate(stage.instructions) for a in i.args if isinstance(a, Value)}
        free: list[int] = []
        used = 0
        ops = []
        for number, i in enumerate(stage.instructions):
            name, inputs = self._instruction(i)
            if i.out in self.places:
                out = self.operand(i.out)
            else:
                if not free:
                    free.append(used)
                    used += 1
                out = Operand(Where.REGISTER, free.pop())
                self.places[i.out] = out
                if i.out not in last:
                    free.append(out.number)
            ops.append((name, out, inputs))
            for argument in dict.fromkeys(i.args):  # in order, so that a plan has one schedule
                if isinstance(argument, Value) and last[argument] == number:
                    place = self.places.get(argument, NOTHING)
                    if place.where == Where.REGISTER:
                        free.append(place.number)
        self.registers = max(self.registers, used)
        return ops

    def _instruction(self, i: Instruction) -> tuple[str, list[Operand]]:
        """The name that the core has for an instruction, and its inputs."""
        if i.op == "fill":
            return "copy", [self.operand(float(i.attrs["value"]))]
        if i.op == "expand":
            return "expand", [self.shared(i.args[0], i.out.width)]
        return i.op, [self.operand(argument) for argument in i.args]

    def finish(self) -> Lowered:
        """The schedule, with what its numbers mean."""
        schedule = core().Schedule(
            self.descending,
            self.buffers,
            list(self.saved_widths),
            list(self.constants),
            [values[0].width for values in self.vector_sums],
            [[self.vectors[v.view] for v in values] for values in self.vector_sums],  # type: ignore[index]
            self.registers,
            sum(kind == Kind.STATE for kind, *_ in self.buffers),
        )
        for method, arguments in self.emitted:
            getattr(schedule, method)(*arguments)
        return Lowered(
            schedule,
            tuple(self.matrices),
            tuple(self.vectors),
            tuple(self.gradient_slots),
            self.written,
            self.saved_widths,
            self.weights,
            self.work,
        )
