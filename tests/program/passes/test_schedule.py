"""The order of instructions, and pairs that run as one."""

from collections import Counter

import pytest

from steploom.program.passes.schedule import fuse, group_products
from steploom.program.program import Instruction, MatrixView, Value, VectorView

A, B, C = (Value(name, 2) for name in "abc")
M = Value("m", 2, "matrix", 2, MatrixView(0, 0, 2, 0, 2))
T, U, V = (Value(name, 2) for name in "tuv")
VECTOR = Value("v", 2, "vector", view=VectorView(0, 0, 2))
ONE = {"groups": 1}


def test_products_with_one_left_side_stand_together() -> None:
    first, between, second = (
        Instruction("product", (A, M), T),
        Instruction("tanh", (T,), U),
        Instruction("product", (A, M), V),
    )
    assert group_products([first, between, second]) == (first, second, between)


def test_products_with_other_left_sides_wait() -> None:
    instructions = (
        Instruction("product", (A, M), T),
        Instruction("tanh", (T,), U),
        Instruction("product", (U, M), V),
    )
    assert group_products(instructions) == instructions


def fused(wanted: set[Value], reads: int = 1) -> list[str]:
    instructions = [Instruction("mul", (A, B), T), Instruction("add", (C, T), U)]
    found = fuse(instructions, wanted, Counter({T: reads}))
    assert found[-1].out is U
    return [i.op for i in found]


def test_a_product_that_is_added_is_fused_with_the_sum() -> None:
    assert fused({U}) == ["fma"]


def test_a_product_that_others_read_is_not() -> None:
    assert fused({T, U}) == ["mul", "add"]
    assert fused({U}, reads=2) == ["mul", "add"]


def test_a_fused_instruction_keeps_its_arguments_in_order() -> None:
    instructions = [Instruction("mul", (A, B), T), Instruction("add", (C, T), U)]
    (only,) = fuse(instructions, {U}, Counter({T: 1}))
    assert only.args == (A, B, C)


@pytest.mark.parametrize(
    ("inner", "outer", "expected"),
    [
        (Instruction("sub", (A, B), T), Instruction("mul", (C, T), U), ("submul", (A, B, C))),
        (Instruction("mul", (A, B), T), Instruction("sum", (T,), U, {"groups": 1}), ("dot", (A, B))),
        (Instruction("square", (A,), T), Instruction("sum", (T,), U, {"groups": 1}), ("dot", (A, A))),
        (
            Instruction("mul", (VECTOR, A), T),
            Instruction("standardize_grad", (T, B, C), U, ONE),
            ("scaled_standardize_grad", (A, VECTOR, B, C)),
        ),
    ],
)
def test_pairs_are_fused(inner: Instruction, outer: Instruction, expected: tuple[str, tuple[Value, ...]]) -> None:
    (only,) = fuse([inner, outer], {U}, Counter({T: 1}))
    assert ((only.op, only.args), only.attrs) == (expected, outer.attrs)


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        (Instruction("mul", (A, VECTOR), T), Instruction("sum", (T,), U, ONE)),
        (Instruction("mul", (A, C), T), Instruction("standardize_grad", (T, B, C), U, ONE)),
        (Instruction("mul", (A, 2.0), T), Instruction("standardize_grad", (T, B, C), U, ONE)),
        (Instruction("mul", (A, VECTOR), T), Instruction("standardize_grad", (B, T, C), U, ONE)),
    ],
)
def test_pairs_of_other_kinds_of_arguments_stay(inner: Instruction, outer: Instruction) -> None:
    assert fuse((inner, outer), {U}, Counter({T: 1})) == (inner, outer)
