"""Canonical form: what is simplified, and what is written once."""

import pytest
import torch

from steploom.program.builder import Builder
from steploom.program.check import check
from steploom.program.passes.canonical import canonicalise
from steploom.program.passes.dead_code import remove_dead_code
from steploom.program.printing import equation
from steploom.program.program import Program, Value
from steploom.program.trace import trace_unchecked
from tests.program.step import Equations, step_cell

SIMPLER = {
    "adding nothing": (lambda h, c: h + 0.0, []),
    "one times": (lambda h, c: 1.0 * h, []),
    "twice negative": (lambda h, c: (-h).neg(), []),
    "minus a negative": (lambda h, c: h - (-c), ["h' = h + c"]),
    "plus a negative": (lambda h, c: h + (-c), ["h' = h - c"]),
    "negative first": (lambda h, c: -c + h, ["h' = h - c"]),
    "negative difference": (lambda h, c: -(h - c), ["h' = c - h"]),
    "by minus one": (lambda h, c: h * -1.0, ["h' = -h"]),
    "constants in a row": (lambda h, c: (h * 2.0) * 3.0 + 1.0 + 2.0, ["t1 = h · 6", "h' = t1 + 3"]),
    "by a number": (lambda h, c: h / 4.0, ["h' = h · 0.25"]),
    "one over": (lambda h, c: 1.0 / h, ["h' = reciprocal(h)"]),
    "number first": (lambda h, c: 3.0 + h, ["h' = h + 3"]),
    "comparison turned": (lambda h, c: torch.where(h < 0.5, h, c), ["t1 = h < 0.5", "h' = where(t1, h, c)"]),
    "by itself": (lambda h, c: h * h, ["h' = h²"]),
    "less a number": (lambda h, c: h - 1.0, ["h' = h + -1"]),
    "one less": (lambda h, c: 1.0 - h, ["h' = 1 - h"]),
    "alike": (lambda h, c: (h * c).tanh() + (c * h).tanh(), ["t1 = h ⊙ c", "t2 = tanh(t1)", "h' = t2 + t2"]),
    "slice of a slice": (
        lambda h, c: torch.cat([h[:, 2:][:, 1:5], c[:, :4]], -1),
        ["t1 = h[3:7]", "t2 = c[0:4]", "h' = [t1, t2]"],
    ),
    "put together again": (lambda h, c: torch.cat(h.chunk(2, -1), -1), []),
    "slice of a whole": (lambda h, c: torch.cat([h, c], -1)[:, 8:], []),
    "ones": (lambda h, c: h * torch.ones_like(h) + torch.zeros_like(c), []),
    "a repeated column": (
        lambda h, c: h[:, :1].repeat(1, 8) * 2.0,
        ["t1 = h[0:1]", "t2 = t1 · 2", "h' = expand(t2, width=8)"],
    ),
}  # fmt: skip


def canonical(equations: Equations) -> Program:
    program = remove_dead_code(canonicalise(remove_dead_code(trace_unchecked(step_cell(equations), 7))))
    check(program)
    return program


@pytest.mark.parametrize("name", SIMPLER)
def test_simplified(name: str) -> None:
    step, expected = SIMPLER[name]
    program = canonical(lambda s, x, h, c: (step(h, c), c))
    assert [equation(i) for i in program.instructions] == expected


def test_numbers_that_are_not_neutral_stay() -> None:
    program = canonical(lambda s, x, h, c: (h + 1e-30, c * 0.0))
    assert [i.op for i in program.instructions] == ["add", "mul"]


def test_the_sum_of_numbers_is_folded() -> None:
    build = Builder()
    assert build("add", 1.0, 2.0) == 3.0
    assert build("exp", 0.0) == 1.0
    assert not build.instructions


def test_the_same_instruction_is_written_once() -> None:
    build = Builder()
    a, b = Value("a", 3), Value("b", 3)
    assert build("mul", a, b) is build("mul", b, a)
    assert build("sub", a, b) is not build("sub", b, a)
    assert len(build.instructions) == 3
