"""What a step of a cell is after tracing: a short list of instructions on (batch, width) values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from steploom.program.printing import print_program

if TYPE_CHECKING:
    from steploom.program.derivative import Derivative
    from steploom.program.prologue import Prologue

__all__ = ["Argument", "Instruction", "Leaf", "MatrixView", "Order", "Program", "Value", "VectorView"]


@dataclass(frozen=True)
class MatrixView:
    """A rectangle of a leaf (rows, columns), read in place.

    The matrix is `leaves[leaf][row0:row1, col0:col1]`, or the transpose of that rectangle.
    """

    leaf: int
    row0: int
    row1: int
    col0: int
    col1: int
    transposed: bool = False


@dataclass(frozen=True)
class VectorView:
    """A stretch of a leaf (length,), read in place: `leaves[leaf][start:stop]`."""

    leaf: int
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Value:
    """What an instruction reads or writes. Two values are equal only if they are the same object.

    Attributes:
        name: for reading; unique within a program.
        width: number of features. Of a matrix, number of features of the products made with it.
        kind: "rows" (batch, width), one row a sequence and step; "vector" (width,), the same for all rows and steps;
            "matrix" M (width, rows), used as `product(a, M) = a @ M.T` where `a` has `rows` features.
        rows: of a matrix alone: number of features of what it is multiplied with.
        view: where a vector or a matrix stands among the leaves.
    """

    name: str
    width: int
    kind: Literal["rows", "vector", "matrix"] = "rows"
    rows: int = 1
    view: MatrixView | VectorView | None = None

    def __repr__(self) -> str:
        return f"{self.name}({self.kind} {self.width}{f' x {self.rows}' if self.kind == 'matrix' else ''})"


Argument = Value | float

Order: TypeAlias = tuple[int, ...]  # columns of a value one after the other; -1 for 0


@dataclass(frozen=True, eq=False)
class Instruction:
    """`out = op(args; attrs)`.

    Attributes:
        op: name of a primitive in `primitives.PRIMITIVES`.
        args: values, and Python floats where a constant stands.
        out: the rows value that is written; each value is written once.
        attrs: `start` and `stop` of a slice, `width` of an expansion, `width` and `value` of a fill, `order` of a
            gather, `groups` of all that is done on groups of features, and `eps` of their moments and of what is
            standardised.
        source: "file.py:31", the line of the cell that wrote it.
    """

    op: str
    args: tuple[Argument, ...]
    out: Value
    attrs: Mapping[str, Any] = field(default_factory=dict)
    source: str | None = None


@dataclass(frozen=True)
class Leaf:
    """A tensor that the loop reads: a parameter or a buffer of the cell, or a result of the prologue.

    Attributes:
        name: for reading, such as "input.weight".
        shape: (rows, columns) where products read it, (length,) where arithmetic does. A parameter of another shape
            is handed over reshaped.
        path: attribute path of the parameter or buffer in the cell; None for a result of the prologue.
        output: number of the prologue's result; None for a parameter.
    """

    name: str
    shape: tuple[int, ...]
    path: str | None = None
    output: int | None = None


@dataclass(frozen=True, eq=False)
class Program:
    """One step of a cell: `outputs` from `x` and `states`.

    Attributes:
        name: name of the cell's class.
        x: the input, rows of `input_size`.
        states: the entering states, in the order in which the cell declares them.
        leaves: what is read besides.
        prologue: computes, once a call, the leaves that are computed from parameters alone; None where there are none.
        instructions: the step; each value is written before it is read.
        outputs: the new states, in the order of `states`. An output may be an entering state, or `x`, or occur twice.
    """

    name: str
    x: Value
    states: tuple[Value, ...]
    leaves: tuple[Leaf, ...]
    prologue: Prologue | None
    instructions: tuple[Instruction, ...]
    outputs: tuple[Value, ...]

    def __str__(self) -> str:
        return print_program(self)

    @property
    def derivative(self) -> Derivative:
        """The program of the backward step, derived anew at each call."""
        from steploom.program.derivative import derive

        return derive(self)

    @cached_property
    def paths(self) -> list[tuple[Leaf, list[str], str]]:
        """Each leaf, and where it stands in a cell if it is a parameter: the modules on the way, and its name."""
        found = []
        for leaf in self.leaves:
            *modules, name = (leaf.path or "").split(".")
            found.append((leaf, modules, name))
        return found
