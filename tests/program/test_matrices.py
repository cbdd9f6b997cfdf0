"""Moves and products of matrices that states hold: their meanings, derivatives and forms."""

import pytest
import torch
from torch import Tensor

from steploom.program.builder import Builder
from steploom.program.derivative import derive
from steploom.program.gathers import gather_columns, stretches
from steploom.program.interpret import execute, run_program
from steploom.program.matrices import matmul_columns
from steploom.program.program import Program, Value

ORDERS = [
    (0, 1, 2, 3, 4, 5),
    (5, 4, 3, 2, 1, 0),
    (0, 3, 1, 4, 2, 5),
    (0, 1, 2, 0, 1, 2, 0, 1, 2),
    (4, 4, 4, 1, 0, 4),
    (2, -1, -1, 0),
    (-1, 5, 5),
    (1, 0, -1, 2, 1, 0, -1, 2),
    (3,),
]
SIZES = [
    {"groups": 1, "n": 3, "k": 4, "m": 2},
    {"groups": 2, "n": 3, "k": 2, "m": 5},
    {"groups": 1, "n": 1, "k": 4, "m": 3},
    {"groups": 3, "n": 4, "k": 1, "m": 2},
    {"groups": 2, "n": 5, "k": 3, "m": 1},
    {"groups": 1, "n": 1, "k": 6, "m": 1},
]
LIES = [(0, 0), (1, 0), (0, 1)]


def derived_and_expected(op: str, widths: tuple[int, int], attrs: dict[str, object]) -> list[tuple[Tensor, Tensor]]:
    """The gradients of x and a state by the rule, as an engine would write it, and by autograd."""
    x, state = Value("x", widths[0]), Value("a", widths[1])
    build = Builder()
    args = (x, state)[: 2 if op == "matmul" else 1]
    out = build.rows(op, *args, **attrs)  # type: ignore[arg-type]
    both = (out, state)
    program = Program("One", x, (Value("b", out.width), state), (), None, tuple(build.instructions), both)
    torch.manual_seed(0)
    tensors = [torch.randn(4, value.width, dtype=torch.float64, requires_grad=True) for value in (x, *program.states)]
    outputs = run_program(program, [], tensors[0], tensors[1:])
    grads = [torch.randn_like(output) for output in outputs]
    expected = torch.autograd.grad(outputs, [tensors[0], tensors[2]], grads, materialize_grads=True)
    derivative = derive(program)
    environment = dict(zip((x, *program.states, *derivative.inputs), (*tensors, *grads), strict=True))
    with torch.no_grad():
        execute(program.instructions, environment, [], (4,))
        execute(derivative.instructions, environment, [], (4,))
    found = (derivative.dx, derivative.dstates[1])
    return [
        (torch.zeros_like(e) if value is None else environment[value], e)
        for value, e in zip(found, expected, strict=True)
    ]


@pytest.mark.parametrize("order", ORDERS)
def test_the_gradient_of_a_column_is_the_sum_of_where_it_stands(order: tuple[int, ...]) -> None:
    for found, expected in derived_and_expected("gather", (6, 6), {"order": order}):
        torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-14)


def test_a_gather_leaves_0_where_no_column_is_named() -> None:
    a = torch.tensor([[1.0, 2.0, torch.inf]])
    assert gather_columns(a, order=(1, -1, 0)).tolist() == [[2.0, 0.0, 1.0]]


@pytest.mark.parametrize("order", ORDERS)
def test_stretches_say_the_whole_order(order: tuple[int, ...]) -> None:
    said = [-1 if first < 0 else first + j * step for first, count, step in stretches(order) for j in range(count)]
    assert said == list(order)


def test_a_transpose_is_a_stretch_a_row_of_it() -> None:
    order = torch.arange(24).view(4, 6).T.flatten().tolist()
    assert stretches(order) == [(row, 4, 6) for row in range(6)]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("lies", LIES)
def test_the_gradients_of_a_product_are_products(sizes: dict[str, int], lies: tuple[int, int]) -> None:
    groups, n, k, m = sizes.values()
    attrs = {**sizes, "left_transposed": lies[0], "right_transposed": lies[1]}
    for found, expected in derived_and_expected("matmul", (groups * n * k, groups * k * m), attrs):
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("lies", LIES)
def test_a_product_with_a_vector_keeps_its_meaning_in_canonical_form(
    sizes: dict[str, int], lies: tuple[int, int]
) -> None:
    groups, n, k, m = sizes.values()
    attrs = {**sizes, "left_transposed": lies[0], "right_transposed": lies[1]}
    left, right = Value("l", groups * n * k), Value("r", groups * k * m)
    build = Builder()
    out = build.rows("matmul", left, right, **attrs)
    (written,) = build.instructions
    assert written.attrs["m"] > 1 or written.attrs["n"] == 1
    a, b = torch.randn(3, left.width, dtype=torch.float64), torch.randn(3, right.width, dtype=torch.float64)
    environment = {left: a, right: b}
    execute([written], environment, [], (3,))
    torch.testing.assert_close(environment[out], matmul_columns(a, b, **attrs))


def test_moves_one_after_the_other_are_one() -> None:
    a = Value("a", 6)
    build = Builder()
    turned = build.rows("gather", a, order=(0, 3, 1, 4, 2, 5))
    assert build.rows("gather", turned, order=(0, 2, 4, 1, 3, 5)) is a
    twice = build.rows("gather", turned, order=(5, 4, -1, 0, 1))
    maker = build.maker(twice)
    assert maker is not None and (maker.args, maker.attrs["order"]) == ((a,), (5, 2, -1, 0, 3))
    part = build.maker(build.rows("slice", turned, start=1, stop=2))
    assert part is not None and part.op == "slice" and part.args == (a,)
