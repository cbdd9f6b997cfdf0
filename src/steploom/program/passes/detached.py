"""Takes out `detach`, once its part in the derivative is played."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from steploom.program.derivative import Derivative
from steploom.program.program import Argument, Instruction, Value

__all__ = ["without_detach"]


def without_detach(derivative: Derivative) -> Derivative:
    """The same step and backward step, reading what was detached in the place of the detached."""
    program = derivative.program
    aliases: dict[Value, Value] = {}
    for instruction in program.instructions:
        if instruction.op == "detach" and isinstance(source := instruction.args[0], Value):
            aliases[instruction.out] = aliases.get(source, source)
    if not aliases:
        return derivative

    def known(value: Value) -> Value:
        return aliases.get(value, value)

    instructions = [i for i in program.instructions if i.op != "detach"]
    program = replace(
        program,
        instructions=_reading(instructions, known),
        outputs=tuple(known(output) for output in program.outputs),
    )
    return replace(
        derivative,
        program=program,
        instructions=_reading(derivative.instructions, known),
        weight_gradients=tuple(replace(w, left=known(w.left)) for w in derivative.weight_gradients),
    )


def _reading(instructions: Iterable[Instruction], known: Callable[[Value], Value]) -> tuple[Instruction, ...]:
    def change(argument: Argument) -> Argument:
        return known(argument) if isinstance(argument, Value) else argument

    return tuple(replace(i, args=tuple(change(argument) for argument in i.args)) for i in instructions)
