"""All passes in their order."""

from __future__ import annotations

from steploom.program.passes.dead_code import remove_dead_code
from steploom.program.program import Program

__all__ = ["simplify"]


def simplify(program: Program) -> Program:
    """The canonical form of a program."""
    return remove_dead_code(program)
