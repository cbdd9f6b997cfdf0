"""Writes instructions in canonical form: finds widths, folds constants, and writes nothing twice."""

from __future__ import annotations

from collections.abc import Hashable

import torch

from steploom.program.algebra import simpler
from steploom.program.primitives import PRIMITIVES, is_elementwise, width_of
from steploom.program.program import Argument, Instruction, Value
from steploom.program.rules import Attribute

__all__ = ["Builder"]

COMMUTATIVE = {"add", "mul", "maximum", "minimum", "eq", "ne"}


class Builder:
    """A list of instructions that grows.

    Attributes:
        instructions: what was written so far.
        source: the line of the cell that is at work, for the instructions to come.
        prefix: how the names of new values begin.
    """

    def __init__(self, prefix: str = "t") -> None:
        self.instructions: list[Instruction] = []
        self.source: str | None = None
        self.prefix = prefix
        self._makers: dict[Value, Instruction] = {}
        self._known: dict[Hashable, Value] = {}

    def __call__(self, op: str, *args: Argument, **attrs: Attribute) -> Argument:
        """The result of `op(args; attrs)`: known already, simpler than that, or written now."""
        if args and all(isinstance(argument, float) for argument in args) and is_elementwise(op):
            numbers = [torch.tensor(argument, dtype=torch.float64) for argument in args]
            return float(PRIMITIVES[op].meaning(*numbers))
        known = simpler(self, op, args, attrs)
        return known if known is not None else self.write(op, *args, **attrs)

    def rows(self, op: str, *args: Argument, **attrs: Attribute) -> Value:
        """The same where the result cannot be a number."""
        result = self(op, *args, **attrs)
        if isinstance(result, float):
            raise TypeError(f"{op} of numbers is the number {result}")
        return result

    def write(self, op: str, *args: Argument, **attrs: Attribute) -> Value:
        """Write an instruction as it stands, unless it stands there already."""
        keys: list[Hashable] = [repr(a) if isinstance(a, float) else a for a in args]
        key = (op, frozenset(keys) if op in COMMUTATIVE else tuple(keys), tuple(sorted(attrs.items())))
        if key not in self._known:
            out = Value(f"{self.prefix}{len(self.instructions) + 1}", width_of(op, args, attrs))
            instruction = Instruction(op, args, out, attrs, self.source)
            self.instructions.append(instruction)
            self._makers[out] = instruction
            self._known[key] = out
        return self._known[key]

    def maker(self, argument: Argument) -> Instruction | None:
        """The instruction that writes a value, if it is one of these."""
        return self._makers.get(argument) if isinstance(argument, Value) else None

    def concat(self, parts: list[Value]) -> Value:
        """The parts side by side."""
        return parts[0] if len(parts) == 1 else self.rows("concat", *parts)
