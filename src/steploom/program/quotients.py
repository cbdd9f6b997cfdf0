"""Quotients with a number as divisor.

They become products with its inverse, unless a result jumps where they reach some number: 49 · (1 / 49) is less than 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from steploom.program.primitives import PRIMITIVES
from steploom.program.program import Argument, Instruction, Value

__all__ = ["Quotients"]

JUMPS = {"floor", "sign", "gt", "ge", "lt", "le", "eq", "ne"}
ROUNDED_ALIKE = {"sqrt", "reciprocal", "div"}  # of what is costly, as PyTorch does; the rest differs in the last digits


class Quotients:
    """The values of a trace that have the digits of a quotient."""

    def __init__(self) -> None:
        self._values: set[Value] = set()

    def note(self, op: str, args: Sequence[Argument], result: Argument, is_one: bool) -> None:
        """Take note of `op(args)`; its canonical form may read something else, as -(a / 7) is a · (-1/7)."""
        if isinstance(result, Value) and (is_one or self._are_in(op, args)):
            self._values.add(result)

    def reach_a_jump(self, instructions: Iterable[Instruction]) -> bool:
        """Whether one of the instructions jumps where a quotient reaches some number."""
        for i in instructions:
            if i.op in JUMPS and not self._values.isdisjoint(i.args):
                return True
            self.note(i.op, i.args, i.out, is_one=False)
        return False

    def _are_in(self, op: str, args: Sequence[Argument]) -> bool:
        rounds_otherwise = op in ("product", "matmul") or (PRIMITIVES[op].costly and op not in ROUNDED_ALIKE)
        return not rounds_otherwise and not self._values.isdisjoint(args)
