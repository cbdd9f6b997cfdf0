"""Leaves out what nobody reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from steploom.program.program import Instruction, Program, Value

__all__ = ["live", "remove_dead_code"]


def live(instructions: Sequence[Instruction], wanted: Iterable[Value]) -> tuple[Instruction, ...]:
    """The instructions that the wanted values need, in their order."""
    needed = set(wanted)
    kept = []
    for instruction in reversed(instructions):
        if instruction.out in needed:
            kept.append(instruction)
            needed |= {argument for argument in instruction.args if isinstance(argument, Value)}
    return tuple(reversed(kept))


def remove_dead_code(program: Program) -> Program:
    """The program without instructions that no new state needs."""
    return replace(program, instructions=live(program.instructions, program.outputs))
