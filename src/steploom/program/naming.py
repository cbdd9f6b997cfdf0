"""Names for the values of a program, from the names of the cell's variables."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from steploom.program.program import Argument, Instruction, Program, Value

__all__ = ["name_values"]

NUMBERED = re.compile(r"t\d+")


def name_values(program: Program, names: Mapping[Value, str]) -> Program:
    """The program with the values called as in `names`, numbered where two have the same name."""
    given = {value: value for value in (program.x, *program.states)}
    taken = {value.name for value in given}
    numbers: Counter[str] = Counter()
    for instruction in program.instructions:
        base = names.get(instruction.out, "")
        base = "t" if not base or NUMBERED.fullmatch(base) else base
        name = base
        while name in taken or name == "t":
            numbers[base] += 1
            # "h'" and "t1" would read as another name with a plain number behind them.
            gap = "_" if base[-1] == "'" or base[-1].isdigit() else ""
            name = f"{base}{gap}{numbers[base]}"
        taken.add(name)
        given[instruction.out] = Value(name, instruction.out.width)
    return _substituted(program, given)


def _substituted(program: Program, new: Mapping[Value, Value]) -> Program:
    """The program with some values replaced by others wherever they stand."""

    def change(argument: Argument) -> Argument:
        return new.get(argument, argument) if isinstance(argument, Value) else argument

    instructions = [
        Instruction(i.op, tuple(change(a) for a in i.args), new.get(i.out, i.out), i.attrs, i.source)
        for i in program.instructions
    ]
    outputs = tuple(new.get(output, output) for output in program.outputs)
    return replace(program, instructions=tuple(instructions), outputs=outputs)
