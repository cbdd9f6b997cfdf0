"""Sums of products: which products are computed, and how they are added up."""

import time

import torch
from torch import Tensor

from steploom.program.check import check
from steploom.program.passes.affine import sum_products
from steploom.program.passes.canonical import canonicalise
from steploom.program.passes.dead_code import remove_dead_code
from steploom.program.program import Instruction, Program
from steploom.program.trace import trace, trace_unchecked
from tests.program.step import Equations, Step, step_cell


def program_of(equations: Equations) -> Program:
    program = canonicalise(remove_dead_code(trace_unchecked(step_cell(equations), 7)))
    summed = remove_dead_code(sum_products(program))
    check(summed)
    return summed


def products(program: Program) -> dict[str, str]:
    """The matrices and what they are multiplied with."""
    return {i.args[1].name: i.args[0].name for i in program.instructions if i.op == "product"}


def ops(program: Program) -> list[str]:
    return [i.op for i in program.instructions]


def maker(program: Program, name: str) -> Instruction:
    return next(i for i in program.instructions if i.out.name == name)


def test_a_product_with_a_concatenation_becomes_a_sum_of_products() -> None:
    program = program_of(lambda s, x, h, c: (s.joined(torch.cat([x, h], -1)), c))
    assert products(program) == {"joined.weight[:, 0:6]": "x", "joined.weight[:, 6:14]": "h"}
    assert "concat" not in ops(program)


def test_columns_that_nobody_reads_are_not_computed() -> None:
    program = program_of(lambda s, x, h, c: (s.recurrent(h)[:, 8:16], c))
    assert products(program) == {"recurrent.weight[8:16]": "h"}
    assert program.instructions[1].args[1].name == "recurrent.bias[8:16]"


def test_a_sum_that_is_sliced_stays_whole() -> None:
    program = program_of(lambda s, x, h, c: (s.input(x) + s.recurrent(h)).chunk(4, -1)[:4:2])
    assert sorted(products(program)) == [
        *("input.weight[0:8]", "input.weight[16:24]"),
        *("recurrent.weight[0:8]", "recurrent.weight[16:24]"),
    ]
    whole = program_of(lambda s, x, h, c: (s.input(x) + s.recurrent(h)).chunk(4, -1)[1:3])
    assert list(products(whole)) == ["input.weight[8:24]", "recurrent.weight[8:24]"]


def gru(s: Step, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    r, z, n, _ = s.input(x).chunk(4, -1)
    r_h, z_h, n_h, _ = s.recurrent(h).chunk(4, -1)
    r, z = (r + r_h).sigmoid(), (z + z_h).sigmoid()
    return z * h + (1 - z) * (n + r * n_h).tanh(), c


def test_slices_that_are_added_pairwise_become_one_sum_of_narrower_products() -> None:
    program = program_of(gru)
    assert products(program) == {
        "input.weight[0:16]": "x",
        "recurrent.weight[0:16]": "h",
        "input.weight[16:24]": "x",
        "recurrent.weight[16:24]": "h",
    }


def test_what_depends_on_x_alone_is_added_first() -> None:
    program = program_of(lambda s, x, h, c: (((s.recurrent(h) + s.input(x)).chunk(4, -1)[0] + s.vector), c))
    order = [(i.op, [getattr(a, "name", a) for a in i.args]) for i in program.instructions]
    assert [op for op, _ in order] == ["product", "add", "add", "add", "product", "add"]
    assert order[0][1][1] == "x" or order[0][1][0] == "x"
    assert {args[1] for op, args in order[1:4]} == {"input.bias[0:8]", "recurrent.bias[0:8]", "vector"}


def test_gates_with_weights_of_their_own_slices_are_merged() -> None:
    def by_hand(s: Step, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        weight = s.recurrent.weight
        return (h @ weight[:8].T).sigmoid(), (h @ weight[8:16].T).tanh()

    assert products(program_of(by_hand)) == {"recurrent.weight[0:16]": "h"}


def test_a_product_that_two_different_sums_need_is_computed_once() -> None:
    def shared(s: Step, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        fresh = s.joined.weight[:, :6] @ x.T
        return (fresh.T + s.square(h)).tanh(), (fresh.T + s.weight_norm(c)).tanh()

    program = program_of(shared)
    assert list(products(program).values()).count("x") == 1
    assert len(products(program)) == 3


def test_differences_keep_their_sign() -> None:
    program = program_of(
        lambda s, x, h, c: ((c - s.square(h)).tanh(), (s.heads[0] @ c[:, :4].T).T.repeat(1, 2) - (h - s.square(c)))
    )
    assert ops(program).count("sub") == 2
    assert ops(program).count("product") == 3


def test_constants_in_a_sum_are_left_where_they_are() -> None:
    program = program_of(lambda s, x, h, c: ((s.square(h) + 1.0).sigmoid(), c))
    assert ops(program) == ["product", "add", "sigmoid"]
    assert program.instructions[1].args[1] == 1.0


def test_a_sum_of_more_terms_than_calls_may_be_nested_is_a_program() -> None:
    def long(s: Step, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        z = s.square(h)
        for k in range(600):
            z = z - (c * (k / 600)).tanh()
        return z.tanh(), (c - z).sigmoid()

    program = trace(step_cell(long))  # compared with the cell there
    assert ops(program).count("product") == 1
    assert ops(program).count("sub") == 601


def test_a_sum_that_is_added_to_itself_over_and_over_is_not_taken_apart() -> None:
    def doubled(s: Step, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        z = s.square(h)
        for _ in range(15):
            z = z + (z - c)
        return z.tanh(), c

    start = time.process_time()
    trace(step_cell(doubled))
    assert time.process_time() - start < 5  # twice as long for each further sum, it was half a minute
