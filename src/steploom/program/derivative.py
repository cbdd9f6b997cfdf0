"""The backward step of a program, derived by the rules of the primitives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial, reduce

from steploom.program import rules
from steploom.program.builder import Builder
from steploom.program.passes.dead_code import live
from steploom.program.primitives import PRIMITIVES
from steploom.program.printing import print_derivative
from steploom.program.program import Argument, Instruction, MatrixView, Program, Value

__all__ = ["Derivative", "VectorGradient", "WeightGradient", "derive"]

PASSES_NOTHING = {op for op, primitive in PRIMITIVES.items() if primitive.rule is rules.no_gradient}


@dataclass(frozen=True, eq=False)
class WeightGradient:
    """`dM[n, k] += sum over steps and rows of grad[:, n] * left[:, k]`, in the place of `matrix.view`.

    Attributes:
        matrix: the matrix value (width n, rows k).
        left: what it was multiplied with: rows of width k.
        grad: the gradient of the product: rows of width n.
    """

    matrix: Value
    left: Value
    grad: Value


@dataclass(frozen=True, eq=False)
class VectorGradient:
    """`dv += sum over steps and rows of grad`, or of `grad ⊙ by`, in the place of `vector.view`."""

    vector: Value
    grad: Value
    by: Value | None = None

    @property
    def reads(self) -> tuple[Value, ...]:
        """The values that are summed."""
        return (self.grad,) if self.by is None else (self.grad, self.by)


@dataclass(frozen=True, eq=False)
class Derivative:
    """One backward step.

    Attributes:
        program: the step it belongs to. Its values (inputs, states, results) may be read.
        inputs: gradient of each new state.
        instructions: the backward step; each value is written before it is read.
        dx: gradient of the input; None where it is zero.
        dstates: gradient of each entering state; None where it is zero.
        weight_gradients: gradients of the matrices, one for each product; those of one matrix add up.
        vector_gradients: gradients of the vectors, one for each use; those of one vector add up.
    """

    program: Program
    inputs: tuple[Value, ...]
    instructions: tuple[Instruction, ...]
    dx: Value | None
    dstates: tuple[Value | None, ...]
    weight_gradients: tuple[WeightGradient, ...]
    vector_gradients: tuple[VectorGradient, ...]

    def __str__(self) -> str:
        return print_derivative(self)


@dataclass(frozen=True)
class _Part:
    """The gradient of some columns of a value; those of the others are 0."""

    grad: Value
    start: int
    stop: int


class _Gradients:
    """Collects what flows back into each value."""

    def __init__(self, build: Builder) -> None:
        self.build = build
        self._parts: dict[Value, list[_Part]] = {}

    def add(self, value: Value, grad: Argument | None, start: int = 0) -> None:
        """One more contribution, to the columns from `start` on."""
        if isinstance(grad, Value):
            self._parts.setdefault(value, []).append(_Part(grad, start, start + grad.width))

    def total(self, value: Value) -> Value | None:
        """The sum of all contributions; None where there is none.

        Parts that lie side by side are put together once instead of being padded and added.
        """
        sums: dict[tuple[int, int], Value] = {}
        for part in self._parts.get(value, []):
            place = (part.start, part.stop)
            sums[place] = self.build.rows("add", sums[place], part.grad) if place in sums else part.grad
        layers: list[list[_Part]] = []
        for (start, stop), grad in sorted(sums.items(), key=lambda item: item[0]):
            free = [layer for layer in layers if layer[-1].stop <= start]
            if not free:
                layers.append([])
            (free or layers[-1:])[0].append(_Part(grad, start, stop))
        wholes: list[Value] = [self._joined(layer, value.width) for layer in layers]
        return reduce(partial(self.build.rows, "add"), wholes) if wholes else None

    def _joined(self, layer: list[_Part], width: int) -> Value:
        parts: list[Value] = []
        reached = 0
        for part in layer:
            parts += self._zeros(part.start - reached)
            parts.append(part.grad)
            reached = part.stop
        return self.build.concat([*parts, *self._zeros(width - reached)])

    def _zeros(self, width: int) -> list[Value]:
        return [self.build.write("fill", width=width, value=0.0)] if width else []


def derive(program: Program) -> Derivative:
    """The backward step of a program, from the gradients of the new states to those of everything it reads."""
    build = Builder(prefix="d")
    inputs = tuple(Value(f"d{state.name}'", state.width) for state in program.states)
    gradients = _Gradients(build)
    for output, grad in zip(program.outputs, inputs, strict=True):
        gradients.add(output, grad)
    moving = _moving(program)
    weights: list[WeightGradient] = []
    vectors: list[VectorGradient] = []
    for instruction in reversed(program.instructions):
        build.source = instruction.source
        total = gradients.total(instruction.out) if instruction.out in moving else None
        if total is None:
            continue
        for argument, start, share in _shares(build, instruction, total):
            if not isinstance(argument, Value) or not isinstance(share, Value):
                continue
            if argument.kind == "matrix":
                left = instruction.args[0]
                assert isinstance(left, Value)
                weights.append(WeightGradient(argument, left, share))
            elif argument.kind == "vector":
                vectors.append(VectorGradient(argument, share))
            elif argument in moving:
                gradients.add(argument, share, start)
    dx = gradients.total(program.x)
    dstates = tuple(gradients.total(state) for state in program.states)
    wanted = [value for value in (dx, *dstates) if value is not None]
    wanted += [weight.grad for weight in weights] + [vector.grad for vector in vectors]
    instructions = live(build.instructions, wanted)
    return Derivative(program, inputs, instructions, dx, dstates, tuple(weights), tuple(vectors))


def _moving(program: Program) -> set[Value]:
    """The values that have a gradient: those through which something reaches that has one."""
    moving = {program.x, *program.states}
    for instruction in program.instructions:
        args = [argument for argument in instruction.args if isinstance(argument, Value)]
        read = any(argument in moving or argument.kind != "rows" for argument in args)
        if read and instruction.op not in PASSES_NOTHING:
            moving.add(instruction.out)
    return moving


def _shares(build: Builder, instruction: Instruction, grad: Value) -> list[tuple[Argument, int, Argument | None]]:
    """For each argument: the column from which on, and what, flows back into it."""
    args = instruction.args
    if instruction.op == "product":
        left, matrix = args
        assert isinstance(matrix, Value)
        return [(left, 0, build("product", grad, transposed(matrix))), (matrix, 0, grad)]
    if instruction.op == "slice":
        return [(args[0], int(instruction.attrs["start"]), grad)]
    if instruction.op == "concat":
        shares: list[tuple[Argument, int, Argument | None]] = []
        start = 0
        for part in args:
            assert isinstance(part, Value)
            shares.append((part, 0, build("slice", grad, start=start, stop=start + part.width)))
            start += part.width
        return shares
    rule = PRIMITIVES[instruction.op].rule
    if rule is None:
        raise ValueError(f"'{instruction.op}' has no derivative")
    shares_of_all = rule(build, instruction, grad)
    return [(argument, 0, share) for argument, share in zip(args, shares_of_all, strict=True)]


def transposed(matrix: Value) -> Value:
    """The transpose of a matrix, a view of the same leaf."""
    view = matrix.view
    assert isinstance(view, MatrixView)
    turned = MatrixView(view.leaf, view.row0, view.row1, view.col0, view.col1, not view.transposed)
    name = matrix.name.removesuffix("ᵀ") if view.transposed else f"{matrix.name}ᵀ"
    return Value(name, matrix.rows, "matrix", matrix.width, turned)
