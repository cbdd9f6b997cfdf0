"""A plan run as it is arranged equals the cell, step by step, and autograd through it."""

import time
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from steploom.cells.cell import Cell
from steploom.cells.registry import cell_names, make_cell
from steploom.program.plan import make_plan
from tests.program.plans import compare
from tests.program.random_cells import random_cell


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("sizes", [(3, 4), (1, 6), (6, 2)])
@pytest.mark.parametrize("name", cell_names())
def test_the_plan_equals_the_cell(name: str, sizes: tuple[int, int]) -> None:
    compare(make_cell(name, *sizes))


@pytest.mark.parametrize("number", range(30))
def test_the_plan_equals_a_cell_invented_at_random(number: int) -> None:
    compare(random_cell(number))


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_the_gradient_of_the_input_can_be_left_out(name: str) -> None:
    with_dx, without = (make_plan(make_cell(name, 3, 4), needs_dx) for needs_dx in (True, False))
    assert with_dx.dx is not None
    assert without.dx is None
    assert not without.deferred
    compare(make_cell(name, 3, 4), needs_dx=False)


class OfInput(Cell):
    """Reads nothing of its input but what a function makes of it, whose gradient takes more than the weights' does."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.input_size, self.states, self.function = 5, {"h": 4}, function
        self.input = nn.Linear(5, 4)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        return ((self.input(self.function(x)) + h).tanh(),)


def normalised(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])


def scaled(x: Tensor) -> Tensor:
    return x * x.mean(-1, keepdim=True).tanh()


@pytest.mark.parametrize("function", [normalised, scaled])
def test_what_is_saved_does_not_depend_on_the_gradient_of_the_input(function: Callable[[Tensor], Tensor]) -> None:
    cell = OfInput(function)
    with_dx, without = (make_plan(cell, needs_dx) for needs_dx in (True, False))
    assert [value.name for value in with_dx.saved] == [value.name for value in without.saved]
    assert with_dx.saves_state == without.saves_state
    compare(cell, needs_dx=False)


def test_equal_cells_share_a_plan() -> None:
    assert make_plan(make_cell("lstm", 3, 4)) is make_plan(make_cell("lstm", 3, 4).double())
    assert make_plan(make_cell("lstm", 3, 4)) is not make_plan(make_cell("lstm", 3, 5))
    assert make_plan(make_cell("lstm", 3, 4)) is not make_plan(make_cell("lstm", 3, 4), needs_dx=False)


def test_what_depends_on_the_input_alone_runs_before_the_loop() -> None:
    plan = make_plan(make_cell("lstm", 3, 4))
    assert [i.op for i in plan.hoisted] == ["product", "add", "add"]
    assert [i.op for i in plan.loop].count("product") == 1


def test_a_gru_has_a_product_to_add_up_and_one_by_itself() -> None:
    plan = make_plan(make_cell("gru", 3, 4))
    assert [i.args[1].width for i in plan.loop if i.op == "product"] == [4, 8]
    assert plan.loop[0].op == plan.loop[1].op == "product"


def test_an_lstm_saves_its_gates_and_states_and_computes_nothing_again() -> None:
    plan = make_plan(make_cell("lstm", 3, 4))
    assert len(plan.saved) == 5
    assert plan.saves_state == (True, True)
    assert not plan.recomputed


def test_cheap_arithmetic_is_done_again_rather_than_saved() -> None:
    plan = make_plan(make_cell("gru", 3, 4))
    assert [i.op for i in plan.recomputed] == ["sub"]
    assert all(value.name not in {i.out.name for i in plan.recomputed} for value in plan.saved)


class Unfolded(Cell):
    """Many small steps of an equation, each of which reads the one before it more than once."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.input_size, self.states, self.steps = 3, {"h": 4}, steps
        self.input = nn.Linear(3, 4)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        u = self.input(x)
        for _ in range(self.steps):
            h = 0.9 * h + 0.1 * (u - h) * (h - 0.3)
        return (h.clamp(-1.0, 1.0),)


def test_arithmetic_that_reads_what_was_read_before_is_arranged_in_a_time_that_grows_with_its_length() -> None:
    compare(Unfolded(steps=5))
    start = time.process_time()
    make_plan(Unfolded(steps=20))  # twice as long for each further step, it was a minute
    assert time.process_time() - start < 10


def test_products_that_no_step_waits_for_run_after_the_loop() -> None:
    plan = make_plan(make_cell("lstm", 3, 4))
    assert [i.op for i in plan.deferred] == ["product"]
    assert [i.op for i in plan.backward_loop].count("product") == 1


class Deep(Cell):
    """Its output is a product that no step reads."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size = 3
        self.states = {"y": 2, "h": 4}
        self.input = torch.nn.Linear(3, 4)
        self.recurrent = torch.nn.Linear(4, 4)
        self.output = torch.nn.Linear(4, 2)

    def forward(self, x, y, h):
        h = torch.tanh(self.input(x) + self.recurrent(h))
        return self.output(h), h


def test_an_output_that_no_step_reads_is_computed_after_the_loop() -> None:
    plan = compare(Deep())
    assert [i.op for i in plan.sunk] == ["product", "add"]
    assert [value.name for value in plan.stored] == ["h'"]
    assert plan.dstates[0] is None


def test_a_plan_is_printed_with_its_parts() -> None:
    text = str(make_plan(make_cell("gru", 3, 4)))
    for line in ("before the loop:", "each step:", "    h' = z1 ⊙ h + ", "each step backwards:", "saved: "):
        assert line in text
