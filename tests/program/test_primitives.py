"""Each primitive's derivative against autograd through its meaning."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from steploom.program import rules
from steploom.program.check import check_instructions
from steploom.program.derivative import derive
from steploom.program.interpret import execute, run_program
from steploom.program.primitives import PRIMITIVES, is_elementwise, width_of
from steploom.program.program import Argument, Instruction, Leaf, Program, Value, VectorView

FLAT = {"sign", "floor", "gt", "ge", "lt", "le", "eq", "ne", "detach", "fill", "argsort"}
OF_BACKWARD_STEPS = {"sigmoid_grad", "tanh_grad", "relu_grad", "standardize_grad", "scaled_standardize_grad"}
ATTRS: dict[str, dict[str, Any]] = {
    "sum": {"groups": 2},
    "max": {"groups": 2},
    "dot": {"groups": 2},
    "moments": {"groups": 3, "eps": 1e-5},
    "standardize": {"groups": 2, "eps": 1e-5},
    "expand": {"width": 12},
    "slice": {"start": 1, "stop": 4},
    "gather": {"order": (4, 1, 1, -1, 0, 4)},
    "take_along": {"groups": 2},
    "put_along": {"groups": 2, "n": 3, "last": 0},
    "matmul": {"groups": 2, "n": 3, "k": 1, "m": 3, "left_transposed": 0, "right_transposed": 0},
}
POSITIVE = {"log", "sqrt", "rsqrt", "reciprocal", "log1p", "div", "pow"}


def program_of(op: str, kinds: str) -> Program:
    """One instruction; `kinds` has a letter an argument: r(ows), v(ector), f(loat)."""
    x, states = Value("x", 6), (Value("a", 6), Value("b", 6))
    vector = Value("v", 6, "vector", view=VectorView(0, 0, 6))
    rows = iter([x, *states])
    choose: dict[str, Callable[[], Argument]] = {"r": lambda: next(rows), "v": lambda: vector, "f": lambda: 1.5}
    args = tuple(choose[kind]() for kind in kinds)
    attrs = ATTRS.get(op, {})
    instructions: tuple[Instruction, ...] = ()
    if op == "standardize":
        moments = Value("m", width_of("moments", args[:1], attrs))
        args = (args[0], moments)
        instructions = (Instruction("moments", args[:1], moments, attrs),)
    if op in ("take_along", "put_along"):
        index = Value("i", 6)
        sources = args
        args = (args[0], index) if op == "take_along" else (index, args[1])
        instructions = (Instruction("argsort", sources[1:], index, {"groups": 2, "descending": 1}),)
    out = Value("y", width_of(op, args, attrs))
    instructions = (*instructions, Instruction(op, args, out, attrs))
    outputs: tuple[Value, ...] = (out,)
    if out.width != 6:
        whole = Value("whole", 6)
        back = Instruction("sum", (out,), whole, {"groups": 6}) if out.width > 6 else _widened(out, whole)
        instructions, outputs = (*instructions, back), (whole,)
    leaves = (Leaf("v", (6,), path="v"),)
    program = Program("One", x, states[: len(outputs)], leaves, None, instructions, outputs)
    return dataclasses.replace(program, states=states, outputs=(*outputs, states[1]))


def _widened(out: Value, whole: Value) -> Instruction:
    return Instruction("expand", (out,), whole, {"width": 6})


def kinds_of(op: str) -> list[str]:
    arity = PRIMITIVES[op].arity or 2
    if not is_elementwise(op):
        return ["r" * arity]
    return {1: ["r"], 2: ["rr", "rv", "vr", "rf", "fr"], 3: ["rrr", "rvr", "rrf", "rfr"]}[arity]


CASES = [
    (op, kinds)
    for op, primitive in PRIMITIVES.items()
    if op not in FLAT | OF_BACKWARD_STEPS | {"product"}
    for kinds in (["rf"] if op == "pow" else kinds_of(op))
]


def largest_fault(op: str, kinds: str) -> float:
    """How far the derived gradients are from autograd's, as a share of the largest."""
    program = program_of(op, kinds)
    check_instructions(program.instructions, {program.x, *program.states}, program.leaves)
    torch.manual_seed(0)
    inputs = [torch.randn(4, 6, dtype=torch.float64) for _ in range(3)] + [torch.randn(6, dtype=torch.float64)]
    if op in POSITIVE:
        inputs = [part.abs() + 0.5 for part in inputs]
    if op == "where":
        inputs[0] = (inputs[0] > 0).double()
    x, *states, vector = (part.requires_grad_() for part in inputs)
    outputs = run_program(program, [vector], x, states)
    grads = [torch.randn_like(part) for part in outputs]
    expected = torch.autograd.grad(outputs, [x, *states, vector], grads, materialize_grads=True)
    derivative = derive(program)
    environment: dict[Value, Tensor] = {program.x: x, **dict(zip(program.states, states, strict=True))}
    with torch.no_grad():
        execute(program.instructions, environment, [vector], (4,))
        environment |= dict(zip(derivative.inputs, grads, strict=True))
        execute(derivative.instructions, environment, [vector], (4,))
        found = [torch.zeros_like(x) if d is None else environment[d] for d in (derivative.dx, *derivative.dstates)]
        of_vector = sum((environment[v.grad].sum(0) for v in derivative.vector_gradients), torch.zeros(6))
    pairs = zip([*found, of_vector], expected, strict=True)
    return max(((one - other).abs().max() / max(1.0, other.abs().max())).item() for one, other in pairs)


@pytest.mark.parametrize(("op", "kinds"), CASES)
def test_the_rule_is_the_derivative_of_the_meaning(op: str, kinds: str) -> None:
    assert largest_fault(op, kinds) < 1e-13


@pytest.mark.parametrize("op", sorted(OF_BACKWARD_STEPS))
def test_what_occurs_in_backward_steps_alone_is_not_derived(op: str) -> None:
    x, out = Value("x", 6), Value("y", 6)
    instruction = Instruction(op, (x,) * (PRIMITIVES[op].arity or 0), out)
    program = Program("Twice", x, (Value("a", 6),), (), None, (instruction,), (out,))
    with pytest.raises(ValueError, match=f"'{op}' has no derivative"):
        derive(program)


@pytest.mark.parametrize("op", ["tanh", "mul", "rsqrt", "max", "where"])
def test_a_rule_that_is_wrong_by_a_little_is_seen(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = PRIMITIVES[op]

    def wrong(e: rules.Emitter, i: Instruction, g: Argument) -> rules.Gradients:
        return [None if s is None else e("mul", s, 1.0005) for s in right.rule(e, i, g)]

    monkeypatch.setitem(PRIMITIVES, op, dataclasses.replace(right, rule=wrong))
    assert largest_fault(op, kinds_of(op)[0]) > 1e-4


def test_ties_are_shared_as_pytorch_shares_them() -> None:
    a = torch.tensor([[1.0, 2.0, 2.0, 0.0]], dtype=torch.float64, requires_grad=True)
    b = torch.tensor([[1.0, 3.0, 1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    for op in ("maximum", "minimum"):
        expected = torch.autograd.grad(PRIMITIVES[op].meaning(a, b).sum(), [a, b])
        x, states = Value("x", 4), (Value("a", 4),)
        out = Value("y", 4)
        program = Program("Tie", x, states, (), None, (Instruction(op, (x, states[0]), out),), (out,))
        derivative = derive(program)
        environment = {x: a.detach(), states[0]: b.detach(), derivative.inputs[0]: torch.ones(1, 4, dtype=a.dtype)}
        execute(program.instructions, environment, [], (1,))
        execute(derivative.instructions, environment, [], (1,))
        assert derivative.dx is not None and derivative.dstates[0] is not None
        torch.testing.assert_close(environment[derivative.dx], expected[0])
        torch.testing.assert_close(environment[derivative.dstates[0]], expected[1])
