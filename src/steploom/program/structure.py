"""What a program is, whatever its values are called: equal layers have equal structures and share their plans."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from steploom.program.program import Program, Value

__all__ = ["structure"]


def structure(program: Program, describe: Callable[[Any], Any] = repr) -> Hashable:
    """All that tells one program from another: sizes, leaves, prologue and instructions.

    Args:
        program: the program.
        describe: what stands for a number or another attribute of an instruction, and for a node of the prologue.
    """
    numbers: dict[Value, Hashable] = {}

    def numbered(value: Value) -> Hashable:
        if value.view is not None:
            return value.view
        return numbers.setdefault(value, len(numbers))

    inputs = tuple((numbered(value), value.width, value.name) for value in (program.x, *program.states))
    instructions = tuple(
        (
            i.op,
            tuple(numbered(a) if isinstance(a, Value) else describe(a) for a in i.args),
            numbered(i.out),
            tuple((name, describe(i.attrs[name])) for name in sorted(i.attrs)),
        )
        for i in program.instructions
    )
    prologue = tuple(map(describe, program.prologue.nodes)) if program.prologue is not None else None
    outputs = program.prologue.outputs if program.prologue is not None else ()
    returned = tuple(numbered(output) for output in program.outputs)
    return program.name, inputs, program.leaves, prologue, outputs, instructions, returned
