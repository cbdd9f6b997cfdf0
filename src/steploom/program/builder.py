"""Writes instructions: finds widths, folds constants, and leaves out what changes nothing."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from steploom.program.primitives import PRIMITIVES, Number, is_elementwise, width_of
from steploom.program.program import Argument, Instruction, Value

__all__ = ["Builder", "is_one", "is_zero"]


class Builder:
    """A list of instructions that grows.

    Attributes:
        instructions: what was written so far.
        source: the line of the cell that is at work, for the instructions to come.
        prefix: how the names of new values begin.
    """

    def __init__(self, instructions: Iterable[Instruction] = (), prefix: str = "t") -> None:
        self.instructions = list(instructions)
        self.source: str | None = None
        self.prefix = prefix
        self._written = 0

    def __call__(self, op: str, *args: Argument, **attrs: Number) -> Argument:
        """Write `op(args; attrs)` and give its result, or what is known to be the result already."""
        if args and all(isinstance(argument, float) for argument in args) and is_elementwise(op):
            numbers = [torch.tensor(argument, dtype=torch.float64) for argument in args]
            return float(PRIMITIVES[op].meaning(*numbers))
        known = _simpler(op, args, attrs)
        return known if known is not None else self.write(op, *args, **attrs)

    def rows(self, op: str, *args: Argument, **attrs: Number) -> Value:
        """The same where the result cannot be a number."""
        result = self(op, *args, **attrs)
        if isinstance(result, float):
            raise TypeError(f"{op} of numbers is the number {result}")
        return result

    def write(self, op: str, *args: Argument, **attrs: Number) -> Value:
        """Write an instruction as it stands."""
        self._written += 1
        out = Value(f"{self.prefix}{self._written}", width_of(op, args, attrs))
        self.instructions.append(Instruction(op, args, out, attrs, self.source))
        return out

    def concat(self, parts: list[Value]) -> Value:
        """The parts side by side."""
        return parts[0] if len(parts) == 1 else self.rows("concat", *parts)


def is_zero(argument: Argument) -> bool:
    """Whether the argument is the number 0."""
    return isinstance(argument, float) and argument == 0


def is_one(argument: Argument) -> bool:
    """Whether the argument is the number 1."""
    return isinstance(argument, float) and argument == 1


def _simpler(op: str, args: tuple[Argument, ...], attrs: dict[str, Number]) -> Argument | None:
    """What the instruction gives, where no instruction is needed; the result must be rows or a number."""
    first = args[0] if args else None
    if isinstance(first, Value) and first.kind == "rows":
        if op == "slice" and attrs["start"] == 0 and attrs["stop"] == first.width:
            return first
        if op in ("sum", "max") and attrs["groups"] == first.width:
            return first
        if op == "expand" and attrs["width"] == first.width:
            return first
        if op in ("add", "sub") and is_zero(args[1]):
            return first
        if op in ("mul", "div") and is_one(args[1]):
            return first
    if len(args) == 2 and isinstance(args[1], Value) and args[1].kind == "rows":
        if op == "add" and first is not None and is_zero(first):
            return args[1]
        if op == "mul" and first is not None and is_one(first):
            return args[1]
    return None
