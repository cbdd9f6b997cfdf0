"""Programs as equations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steploom.program.derivative import Derivative, VectorGradient, WeightGradient
    from steploom.program.plan import Plan
    from steploom.program.program import Argument, Instruction, Order, Program

__all__ = ["equation", "print_derivative", "print_plan", "print_program"]

INFIX = {"add": "+", "sub": "-", "div": "/", "gt": ">", "ge": "≥", "lt": "<", "le": "≤", "eq": "=", "ne": "≠"}
SIDES = ("left", "right")
SHOWN = 8  # columns of a gather
PREFIX = {"sigmoid": "σ", "neg": "-"}


def equation(instruction: Instruction) -> str:
    """An instruction as an equation, such as "i = σ(z[0:8])"."""
    return f"{instruction.out.name} = {_right_side(instruction)}"


def _print_instructions(instructions: Iterable[Instruction], indent: str = "    ") -> str:
    """One line an instruction."""
    return "".join(f"{indent}{equation(instruction)}\n" for instruction in instructions)


def print_program(program: Program) -> str:
    """The step as equations, with its inputs, its constants and what it returns."""
    states = ", ".join(f"{state.name}({state.width})" for state in program.states)
    lines = [f"{program.name}: x({program.x.width}), {states}\n"]
    if program.prologue is not None:
        lines.append("once a call:\n")
        lines += [f"    {line}\n" for line in program.prologue.lines(program.leaves)]
        lines.append("each step:\n")
    lines.append(_print_instructions(program.instructions))
    lines.append(f"    return {', '.join(output.name for output in program.outputs)}")
    return "".join(lines)


def print_derivative(derivative: Derivative) -> str:
    """The backward step as equations."""
    inputs = ", ".join(value.name for value in derivative.inputs)
    lines = [f"derivative of {derivative.program.name}: {inputs}\n", _print_instructions(derivative.instructions)]
    lines += _gradients(derivative.weight_gradients, derivative.vector_gradients)
    returned = [("dx", derivative.dx)]
    returned += [(f"d{s.name}", d) for s, d in zip(derivative.program.states, derivative.dstates, strict=True)]
    shown = [f"{name} = {value.name if value is not None else 0}" for name, value in returned]
    return "".join(lines) + f"    return {', '.join(shown)}"


def print_plan(plan: Plan) -> str:
    """What runs before, in and after the loop, forward and backward."""
    parts = [
        ("before the loop:", plan.hoisted),
        ("each step:", plan.loop),
        ("after the loop:", plan.sunk),
        ("each step backwards, computed again:", plan.recomputed),
        ("each step backwards:", plan.backward_loop),
        ("after the loop backwards:", plan.deferred),
    ]
    lines = [f"{title}\n{_print_instructions(instructions)}" for title, instructions in parts if instructions]
    lines += _gradients(plan.weight_gradients, plan.vector_gradients)
    saved = [value.name for value in plan.saved]
    saved += [state.name for state, is_saved in zip(plan.program.states, plan.saves_state, strict=True) if is_saved]
    lines.append(f"saved: {', '.join(saved) or 'nothing'}")
    return "".join(lines)


def _gradients(weights: Iterable[WeightGradient], vectors: Iterable[VectorGradient]) -> list[str]:
    lines = [f"    d {w.matrix.name} += {w.grad.name}ᵀ {w.left.name}\n" for w in weights]
    return lines + [f"    d {v.vector.name} += {' ⊙ '.join(value.name for value in v.reads)}\n" for v in vectors]


def _right_side(instruction: Instruction) -> str:
    op, attrs = instruction.op, instruction.attrs
    args = [_text(argument) for argument in instruction.args]
    if op == "product":
        return f"{args[1]} @ {args[0]}"
    if op == "slice":
        return f"{args[0]}[{attrs['start']}:{attrs['stop']}]"
    if op == "gather":
        return f"{args[0]}[{_order(attrs['order'])}]"
    if op == "matmul":
        return _matmul(args, attrs)
    if op == "concat":
        return f"[{', '.join(args)}]"
    if op == "fill":
        return f"{attrs['value']:g} ({attrs['width']} times)"
    if op == "mul":
        return f" {_times(instruction)} ".join(args)
    if op == "fma":
        return f"{args[0]} {_times(instruction)} {args[1]} + {args[2]}"
    if op in INFIX:
        return f" {INFIX[op]} ".join(args)
    if op == "square":
        return f"{args[0]}²"
    if op == "neg":
        return f"-{args[0]}"
    given = [*args, *(f"{name}={value:g}" for name, value in attrs.items())]
    return f"{PREFIX.get(op, op)}({', '.join(given)})"


def _matmul(args: Sequence[str], attrs: Mapping[str, Any]) -> str:
    """Such as "k @ Sᵀ (4 of 1x16 by 16x16)"."""
    left, right = (f"{arg}ᵀ" if attrs[f"{side}_transposed"] else arg for arg, side in zip(args, SIDES, strict=True))
    sizes = f"{attrs['n']}x{attrs['k']} by {attrs['k']}x{attrs['m']}"
    groups = f"{attrs['groups']} of " if attrs["groups"] > 1 else ""
    return f"{left} @ {right} ({groups}{sizes})"


def _order(order: Order) -> str:
    """The first columns of an order; "-" stands for 0."""
    shown = ["-" if column < 0 else str(column) for column in order[:SHOWN]]
    return ", ".join(shown if len(order) <= SHOWN else [*shown, f"… {len(order)} in all"])


def _times(instruction: Instruction) -> str:
    return "·" if any(isinstance(argument, float) for argument in instruction.args[:2]) else "⊙"


def _text(argument: Argument) -> str:
    return f"{argument:g}" if isinstance(argument, float) else argument.name
