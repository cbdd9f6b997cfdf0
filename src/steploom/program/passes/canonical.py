"""Writes a program again in canonical form: constants folded, common parts written once."""

from __future__ import annotations

from dataclasses import replace

from steploom.program.builder import Builder
from steploom.program.naming import name_values
from steploom.program.program import Argument, Program, Value

__all__ = ["canonicalise"]


def canonicalise(program: Program) -> Program:
    """The program with each instruction in the form that `algebra.simpler` gives it."""
    build = Builder()
    new: dict[Value, Argument] = {}
    names: dict[Value, str] = {}
    for instruction in program.instructions:
        build.source = instruction.source
        args = [
            new.get(argument, argument) if isinstance(argument, Value) else argument for argument in instruction.args
        ]
        result = build(instruction.op, *args, **instruction.attrs)
        new[instruction.out] = result
        if isinstance(result, Value):
            names.setdefault(result, instruction.out.name)
    outputs = tuple(_rows(build, new.get(output, output), output.width) for output in program.outputs)
    names |= {output: old.name for output, old in zip(outputs, program.outputs, strict=True)}
    return name_values(replace(program, instructions=tuple(build.instructions), outputs=outputs), names)


def _rows(build: Builder, argument: Argument, width: int) -> Value:
    return build.write("fill", width=width, value=argument) if isinstance(argument, float) else argument
