"""The order of the native core: products first, then groups, then the pass that does most."""

import time
from collections import Counter

from steploom.engine.staging import Aliases, Alone, Elementwise, Products, Stage, stages_of
from steploom.program.program import Instruction, MatrixView, Value

MATRIX = Value("w", 4, "matrix", 4, MatrixView(0, 0, 4, 0, 4))


def staged(instructions: list[Instruction]) -> list[Stage]:
    aliases = Aliases()
    aliases.add(instructions)
    reads = Counter(a for i in instructions for a in i.args if isinstance(a, Value))
    return stages_of(instructions, reads, aliases)


def names(stages: list[Stage]) -> list[list[str]]:
    found = []
    for stage in stages:
        if isinstance(stage, Elementwise):
            found.append([i.out.name for i in stage.instructions])
        else:
            found.append([(stage.out if isinstance(stage, Products) else stage.instruction.out).name])
    return found


def test_a_pass_takes_what_reads_its_own_values_column_by_column_and_waits_for_what_is_read_whole() -> None:
    h, a, b, cut, turned, c, p, d = (Value(name, 4) for name in ["h", "a", "b", "cut", "turned", "c", "p", "d"])
    n, half, other = Value("n", 1), Value("half", 2), Value("other", 2)
    instructions = [
        Instruction("tanh", (h,), a),
        Instruction("mul", (a, h), b),
        Instruction("slice", (b,), half, {"start": 0, "stop": 2}),
        Instruction("slice", (b,), other, {"start": 2, "stop": 4}),
        Instruction("concat", (other, half), turned),
        Instruction("mul", (turned, b), c),  # reads columns of b elsewhere than it writes
        Instruction("sum", (c,), n, {"groups": 1}),
        Instruction("product", (b, MATRIX), p),
        Instruction("sigmoid", (p,), cut),
        Instruction("add", (cut, a), d),
    ]
    stages = staged(instructions)
    assert names(stages) == [["a", "b"], ["p"], ["c", "cut", "d"], ["n"]]
    assert [type(stage) for stage in stages] == [Elementwise, Products, Elementwise, Alone]


def test_the_pass_that_does_most_goes_first_and_of_equals_the_narrower() -> None:
    wide, narrow = Value("x", 8), Value("y", 2)
    instructions = [Instruction("tanh", (wide,), Value(f"w{n}", 8)) for n in range(2)]
    instructions += [Instruction("tanh", (narrow,), Value(f"n{n}", 2)) for n in range(2)]
    instructions += [Instruction("exp", (wide,), Value("more", 8))]
    assert names(staged(instructions)) == [["w0", "w1", "more"], ["n0", "n1"]]
    assert names(staged(instructions[:-1])) == [["n0", "n1"], ["w0", "w1"]]


def test_a_long_step_is_put_in_stages_in_a_time_that_grows_with_its_length() -> None:
    h = Value("h", 4)
    instructions = []
    for n in range(1500):
        product, new = Value(f"p{n}", 4), Value(f"h{n}", 4)
        instructions += [Instruction("product", (h, MATRIX), product), Instruction("tanh", (product,), new)]
        h = new
    start = time.process_time()
    assert len(staged(instructions)) == 3000
    assert time.process_time() - start < 1  # it was 5 s, and four times that for twice the length
