"""All passes in their order."""

from __future__ import annotations

from collections.abc import Callable

from steploom.program.passes.affine import sum_products
from steploom.program.passes.canonical import canonicalise
from steploom.program.passes.dead_code import remove_dead_code
from steploom.program.program import Program

__all__ = ["PASSES", "simplify"]

Pass = Callable[[Program], Program]

PASSES: tuple[Pass, ...] = (remove_dead_code, canonicalise, remove_dead_code, sum_products, remove_dead_code)


def simplify(program: Program) -> Program:
    """The canonical form of a program."""
    for rewrite in PASSES:
        program = rewrite(program)
    return program
