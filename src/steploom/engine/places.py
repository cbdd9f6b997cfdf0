"""Where each value of a plan stands while the native core runs it."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from steploom.engine.staging import Aliases
from steploom.program.program import Argument, MatrixView, Value, VectorView

__all__ = ["NOTHING", "Kind", "Operand", "Places", "Where"]


class Where(IntEnum):
    """What an operand of the native core is; native/schedule.hpp has the same numbers."""

    NONE, BUFFER, STATE_OUT, VECTOR, CONSTANT, REGISTER = range(6)


class Kind(IntEnum):
    """Where a buffer of the native core lives; native/schedule.hpp has the same numbers."""

    INPUT, OUTPUT, SAVED, CHUNK, STEP, STATE = range(6)


class Operand(NamedTuple):
    """Where a stage of the native core reads or writes.

    Attributes:
        where: what it is.
        number: of the buffer, vector, constant or register.
        column: the first one there.
        group: so many columns share each value; 0: each has its own.
    """

    where: Where
    number: int = 0
    column: int = 0
    group: int = 0


NOTHING = Operand(Where.NONE)


class Places:
    """The buffers, vectors, matrices and constants of a schedule, and what each value's place among them is.

    Attributes:
        buffers: kind, width, number of what the caller hands over, and saved region of each.
        places: where the values stand.
        constants, vectors, matrices: the number of each.
        vector_sums: the number of each sum of vectors; a vector by itself is a sum of one.
        gradient_slots: for each leaf of vectors, the number of its gradient.
        aliases: values that are part of another.
    """

    def __init__(self) -> None:
        self.buffers: list[tuple[int, int, int, int]] = []
        self.places: dict[Value, Operand] = {}
        self.constants: dict[float, int] = {}
        self.vectors: dict[VectorView, int] = {}
        self.vector_sums: dict[tuple[Value, ...], int] = {}
        self.matrices: dict[MatrixView, int] = {}
        self.gradient_slots: dict[int, int] = {}
        self.aliases = Aliases()

    def buffer(self, kind: Kind, width: int, external: int = -1, saved: int = -1) -> Operand:
        """A new buffer."""
        self.buffers.append((kind, width, external, saved))
        return Operand(Where.BUFFER, len(self.buffers) - 1)

    def state_buffer(self, number: int) -> int:
        """The number of the buffer of a state."""
        return next(i for i, b in enumerate(self.buffers) if b[0] == Kind.STATE and b[2] == number)

    def place(self, value: Value, operand: Operand) -> None:
        """Have `value` stand there."""
        self.places[value] = operand

    def matrix(self, value: Value) -> int:
        """The number of a matrix."""
        assert isinstance(value.view, MatrixView)
        return self.matrices.setdefault(value.view, len(self.matrices))

    def gradient_slot(self, leaf: int) -> int:
        """The number of the gradient of a leaf of vectors."""
        return self.gradient_slots.setdefault(leaf, len(self.gradient_slots))

    def vector_sum(self, values: tuple[Value, ...]) -> Operand:
        """The place of a sum of vectors, which the core makes once a call."""
        for value in values:
            assert isinstance(value.view, VectorView)
            self.vectors.setdefault(value.view, len(self.vectors))
        return Operand(Where.VECTOR, self.vector_sums.setdefault(values, len(self.vector_sums)))

    def operand(self, value: Argument) -> Operand:
        """Where an argument is read, or a value written."""
        if isinstance(value, float | int):
            return Operand(Where.CONSTANT, self.constants.setdefault(float(value), len(self.constants)))
        if value.kind == "vector":
            return self.vector_sum((value,))
        if value in self.aliases.shared:
            return self.shared(self.aliases.shared[value], value.width)
        root, column = self.aliases.root(value)
        place = self.places[root]
        return place._replace(column=place.column + column)

    def shared(self, value: Argument, width: int) -> Operand:
        """Where a value is read of which each column serves a group of neighbours among `width`."""
        assert isinstance(value, Value)
        return self.operand(value)._replace(group=width // value.width)
