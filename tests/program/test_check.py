"""The invariants of the form: each of them is seen to be broken."""

import dataclasses

import pytest

from steploom.cells.registry import make_cell
from steploom.program.check import check, check_instructions, check_plan
from steploom.program.plan import make_plan
from steploom.program.program import Instruction, Leaf, MatrixView, Program, Value, VectorView
from steploom.program.trace import trace


@pytest.fixture(scope="module")
def program() -> Program:
    return trace(make_cell("lstm", 3, 4))


def changed(program: Program, number: int, **changes: object) -> Program:
    instructions = list(program.instructions)
    instructions[number] = dataclasses.replace(instructions[number], **changes)
    return dataclasses.replace(program, instructions=tuple(instructions))


def test_an_index_that_belongs_to_no_value(program: Program) -> None:
    x, h = program.x, program.states[0]  # 3 and 4 features
    for op, args, attrs, message in [
        ("argsort", (h,), {"groups": 3, "descending": 0}, "other groups"),
        ("put_along", (x, h), {"groups": 1, "n": 4, "last": 0}, "an index for other values"),
    ]:
        with pytest.raises(ValueError, match=message):
            check_instructions([Instruction(op, args, Value("y", 4), attrs)], {x, h}, program.leaves)


def test_a_traced_program_keeps_them(program: Program) -> None:
    check(program)


def test_reading_before_writing(program: Program) -> None:
    with pytest.raises(ValueError, match="before it is written"):
        check(dataclasses.replace(program, instructions=program.instructions[::-1]))


def test_writing_twice(program: Program) -> None:
    twice = dataclasses.replace(program, instructions=(*program.instructions, program.instructions[-1]))
    with pytest.raises(ValueError, match="written already"):
        check(twice)


def test_an_output_that_is_not_written(program: Program) -> None:
    with pytest.raises(ValueError, match="is not written"):
        check(dataclasses.replace(program, instructions=program.instructions[:-1]))


def test_an_unknown_primitive(program: Program) -> None:
    with pytest.raises(ValueError, match="is no primitive"):
        check(changed(program, -1, op="conv"))


def test_a_wrong_number_of_arguments(program: Program) -> None:
    with pytest.raises(ValueError, match="number of arguments"):
        check(changed(program, -1, args=program.instructions[-1].args[:1]))


def test_a_wrong_width(program: Program) -> None:
    with pytest.raises(ValueError, match="width"):
        check(changed(program, -1, out=Value("h'", 5)))


def test_widths_that_do_not_fit(program: Program) -> None:
    with pytest.raises(ValueError, match="joins different widths"):
        check(changed(program, -1, args=(program.instructions[-1].args[0], program.x)))


def test_a_slice_that_reaches_out(program: Program) -> None:
    number = next(n for n, i in enumerate(program.instructions) if i.op == "slice")
    with pytest.raises(ValueError, match="reaches out"):
        check(changed(program, number, attrs={"start": 14, "stop": 18}))


def test_views_that_reach_out(program: Program) -> None:
    wide = Value("w", 16, "matrix", 3, MatrixView(0, 1, 17, 0, 3))
    with pytest.raises(ValueError, match="reaches out of its leaf"):
        check(changed(program, 0, args=(program.x, wide)))
    bias = program.instructions[1]
    assert bias.op == "add"
    long = Value("b", 16, "vector", view=VectorView(bias.args[1].view.leaf, 1, 17))
    with pytest.raises(ValueError, match="reaches out of its leaf"):
        check(changed(program, 1, args=(bias.args[0], long)))


def test_a_number_in_the_place_of_a_value(program: Program) -> None:
    with pytest.raises(ValueError, match="number where a value must stand"):
        check(changed(program, 0, args=(1.0, program.instructions[0].args[1])))


def test_names_that_occur_twice(program: Program) -> None:
    last = program.instructions[-1]
    namesake = Instruction("neg", (last.out,), Value("x", 4))
    with pytest.raises(ValueError, match="two values have one name"):
        check(dataclasses.replace(program, instructions=(*program.instructions, namesake)))


def test_a_plan_that_does_not_keep_what_it_reads() -> None:
    plan = make_plan(make_cell("lstm", 3, 4))
    check_plan(plan)
    for changes in ({"saved": plan.saved[1:]}, {"kept": plan.kept[1:]}, {"saves_state": (False, True)}):
        with pytest.raises(ValueError, match=r"before it is written|not kept"):
            check_plan(dataclasses.replace(plan, **changes))
    with pytest.raises(ValueError, match="is hoisted"):
        check_plan(dataclasses.replace(plan, hoisted=(*plan.hoisted, *plan.loop)))


def test_standardising_by_the_moments_of_something_else() -> None:
    program = trace(make_cell("lstm-layernorm", 3, 16))
    check(program)
    numbers = [n for n, i in enumerate(program.instructions) if i.op == "standardize"]
    first, second = (program.instructions[n] for n in numbers[:2])
    with pytest.raises(ValueError, match="does not read the moments of"):
        check(changed(program, numbers[1], args=(second.args[0], first.args[1])))


def test_groups_of_different_size() -> None:
    program = trace(make_cell("lstm-layernorm", 3, 16))
    number = next(n for n, i in enumerate(program.instructions) if i.op == "moments")
    out = dataclasses.replace(program.instructions[number].out, width=6)
    with pytest.raises(ValueError, match="groups of different size"):
        check(changed(program, number, out=out, attrs={"groups": 3, "eps": 1e-5}))


G, Y, MOMENTS = Value("g", 6), Value("y", 6), Value("m", 2)
GAIN = Value("v", 6, "vector", view=VectorView(0, 0, 6))


@pytest.mark.parametrize(
    ("op", "args", "message"),
    [
        ("scaled_standardize_grad", (G, Y, Y, MOMENTS), "scales with what is no vector"),
        ("scaled_standardize_grad", (GAIN, G, Y, MOMENTS), "a vector where rows must stand"),
        ("standardize_grad", (GAIN, Y, MOMENTS), "a vector where rows must stand"),
        ("standardize_grad", (G, Y, Y), "are not the moments"),
        ("standardize_grad", (G, MOMENTS, MOMENTS), "joins different widths"),
    ],
)
def test_gradients_of_norms_that_read_something_else(op: str, args: tuple[Value, ...], message: str) -> None:
    leaves = [Leaf("v", (6,), path="v")]
    right = Instruction("scaled_standardize_grad", (G, GAIN, Y, MOMENTS), Value("out", 6), {"groups": 1})
    check_instructions([right], [G, Y, MOMENTS], leaves)
    with pytest.raises(ValueError, match=message):
        check_instructions([dataclasses.replace(right, op=op, args=args)], [G, Y, MOMENTS], leaves)
