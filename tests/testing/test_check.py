"""`check_cell` passes every good cell and fails every broken one, naming the law."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from steploom.cells.cell import Cell
from steploom.cells.lstm import LSTMCell, ProjectedLSTMCell
from steploom.cells.registry import cell_names, make_cell
from steploom.engine import aten
from steploom.errors import CellError
from steploom.layers.recurrent import Recurrent
from steploom.program.primitives import PRIMITIVES
from steploom.testing import check_cell
from steploom.testing.agreement import check_native
from tests.program.random_cells import RandomCell


class Good(Cell):
    """What the broken cells break."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.states = {"h": hidden_size, "m": hidden_size}
        self.input = nn.Linear(input_size, hidden_size)
        self.recurrent = nn.Linear(hidden_size, hidden_size)

    def forward(self, x, h, m):
        m = 0.5 * m + 0.5 * torch.tanh(self.input(x) + self.recurrent(h))
        return m.sin(), m


@pytest.mark.parametrize("name", cell_names())
def test_every_cell_passes(name):
    torch.manual_seed(0)
    check_cell(make_cell(name, 3, 5))


@pytest.mark.parametrize("seed", range(10))
def test_cells_that_nobody_has_seen_pass(seed):
    torch.manual_seed(seed)
    cell = RandomCell(3, 4, seed)
    assert Recurrent(cell, engine="native").explain().startswith("native")
    check_cell(cell)


def test_what_rounding_leaves_of_a_gradient_that_vanishes_is_no_difference():
    torch.manual_seed(27)
    check_native(RandomCell(3, 4, 27).double())


@pytest.mark.parametrize("seed", [7, 8, 9])
def test_a_bias_that_changes_nothing_passes(seed):
    torch.manual_seed(seed)
    check_native(Biased(6, 3, 4).double())


class Biased(Cell):
    """Attends to its own parts. A bias of the keys shifts all scores of a query alike, so its gradient is 0."""

    def __init__(self, input_size, parts, size):
        super().__init__()
        self.parts, self.size = parts, size
        self.states = {"h": parts * size}
        self.input = nn.Linear(input_size, parts * size)
        self.query, self.key = nn.Linear(size, size), nn.Linear(size, size)

    def forward(self, x, h):
        new = torch.tanh(self.input(x) + h).view(-1, self.parts, self.size)
        scores = self.query(new) @ self.key(new).mT / self.size**0.5
        return ((scores.softmax(-1) @ new).flatten(1),)


class Odd(Good):
    """A cell of which float64 tells less, or other things, than float32."""

    def __init__(self, input_size, hidden_size, kind):
        super().__init__(input_size, hidden_size)
        self.kind = kind

    def forward(self, x, h, m):
        h, m = super().forward(x, h, m)
        if self.kind == "in its own dtype":
            return h.float().softmax(-1).type_as(h), m
        if self.kind == "a number of its dtype":
            return h / (h.square().mean(-1, keepdim=True) + torch.finfo(h.dtype).eps).sqrt(), m
        if self.kind == "of another kind in float32":
            return (h.tanh() if h.dtype == torch.float32 else h.sigmoid()), m
        return 0.1 * (500 * self.input(x)).sin(), m


@pytest.mark.parametrize(
    "kind", ["in its own dtype", "a number of its dtype", "of another kind in float32", "of much curvature"]
)
def test_odd_cells_pass(kind):
    torch.manual_seed(0)
    check_cell(Odd(3, 5, kind))


def test_a_step_that_fails_on_single_rows_is_told_by_the_law():
    class Batchwise(Good):
        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size)
            self.norm = nn.BatchNorm1d(hidden_size)

        def forward(self, x, h, m):
            h, m = super().forward(x, h, m)
            return self.norm(h), m

    with pytest.raises(CellError, match=r"breaks the law 'a batch equals its rows one by one'.* raises ValueError"):
        check_cell(Batchwise(3, 5))


@pytest.mark.parametrize("name", cell_names())
def test_every_cell_runs_on_the_native_engine(name):
    assert Recurrent(make_cell(name, 3, 5)).explain().startswith("native")


@pytest.mark.parametrize("op", ["tanh", "mul", "maximum"])
def test_a_derivative_rule_that_is_slightly_wrong(monkeypatch, op):
    """Sizes that no other test has, so that the plan with the wrong derivative is not kept for them."""
    right = PRIMITIVES[op]

    def wrong(e, i, g):
        first, *others = right.rule(e, i, g)
        return [e("mul", first, 1.0005), *others]

    monkeypatch.setitem(PRIMITIVES, op, dataclasses.replace(right, rule=wrong))
    message = assert_breaks(Clipped(11, 9 + len(op)), "breaks the law 'all engines give the same'")
    assert "native engine" in message
    assert "a fault of the engine and not of the cell" in message


class Clipped(Cell):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.states = {"h": hidden_size}
        self.input = nn.Linear(input_size, hidden_size)
        self.recurrent = nn.Linear(hidden_size, hidden_size)

    def forward(self, x, h):
        return (torch.maximum(torch.tanh(self.input(x)) * self.recurrent(h), -0.1 * h),)


@pytest.mark.parametrize("sizes", [(1, 1), (2, 15)])
def test_odd_sizes_pass(sizes):
    check_cell(LSTMCell(*sizes))


def test_projection_and_own_cells_pass():
    check_cell(ProjectedLSTMCell(3, 5, proj_size=2))
    check_cell(Good(3, 4))


def test_the_cell_is_left_as_it_was():
    cell = LSTMCell(3, 4)
    before = {name: parameter.clone() for name, parameter in cell.named_parameters()}
    random_state = torch.get_rng_state()
    check_cell(cell)
    assert torch.equal(torch.get_rng_state(), random_state)
    for name, parameter in cell.named_parameters():
        assert parameter.grad is None
        assert parameter.dtype == torch.float32
        assert torch.equal(parameter, before[name])


def assert_breaks(cell, law):
    with pytest.raises(CellError, match=law) as caught:
        check_cell(cell)
    return str(caught.value)


def test_wrong_number_of_states():
    class Broken(Good):
        def forward(self, x, h, m):
            return super().forward(x, h, m)[:1]

    assert_breaks(Broken(3, 4), r"Broken declares 2 states \(h, m\) but returns 1 state")


def test_wrong_shape_of_a_state():
    class Broken(Good):
        def forward(self, x, h, m):
            h, m = super().forward(x, h, m)
            return h, m[:, :2]

    assert_breaks(Broken(3, 4), r"State `m` enters as \(batch, 4\) but the cell returns \(batch, 2\)")


def test_mixed_rows():
    class Broken(Good):
        def forward(self, x, h, m):
            return super().forward(x - 0.01 * x.mean(0), h, m)

    message = assert_breaks(Broken(3, 4), "breaks the law 'a batch equals its rows one by one'")
    assert "reference engine, float64" in message
    assert "differ by up to 0.0" in message


def test_hidden_memory_between_calls():
    class Broken(Good):
        memory = 0.0

        def forward(self, x, h, m):
            h, m = super().forward(x + self.memory, h, m)
            self.memory = 0.01 * float(h.detach().mean())
            return h, m

    assert_breaks(Broken(3, 4), "breaks the law 'a call leaves nothing behind'")


def test_memory_of_the_step_number():
    """It begins anew with each sequence of the same length, so only a cut sequence shows it."""

    class Broken(Good):
        step = 0

        def forward(self, x, h, m):
            self.step = 0 if self.step == 6 else self.step
            h, m = super().forward(x * (1 + 0.01 * self.step), h, m)
            self.step += 1
            return h, m

    assert_breaks(Broken(3, 4), "breaks the law 'padding never changes a result'")


def test_random_initial_state():
    class Broken(Good):
        def initial_state(self, batch, *, dtype, device):
            return tuple(torch.randn(batch, 4, dtype=dtype, device=device) for _ in self.states)

    assert_breaks(Broken(3, 4), "breaks the law 'a reset equals a fresh start'")


def test_fixed_dtype():
    class Broken(Good):
        def forward(self, x, h, m):
            return super().forward(x, torch.zeros(h.shape), m)

    assert_breaks(Broken(3, 4), "Broken cannot run in float64: .* Make new tensors in the dtype of an argument")


class SlightlyWrong(torch.autograd.Function):
    """tanh whose derivative is wrong by 0.05 %."""

    @staticmethod
    def forward(ctx, a):
        ctx.save_for_backward(a)
        return a.tanh()

    @staticmethod
    def backward(ctx, d):
        (a,) = ctx.saved_tensors
        return d * (1 - a.tanh() ** 2) * 1.0005


def test_slightly_wrong_derivative():
    class Broken(Good):
        def forward(self, x, h, m):
            m = 0.5 * m + 0.5 * SlightlyWrong.apply(self.input(x) + self.recurrent(h))
            return m.sin(), m

    assert_breaks(Broken(3, 4), "breaks the law 'gradients equal finite differences'")


def test_cut_gradient():
    class Broken(Good):
        def forward(self, x, h, m):
            return super().forward(x, h.detach(), m)

    assert_breaks(Broken(3, 4), "breaks the law 'gradients equal finite differences'")


def test_gradient_that_padding_spoils():
    """Padding enters as 0, where the root has no finite gradient, though no result depends on it."""

    class Broken(Good):
        def forward(self, x, h, m):
            h, m = super().forward(x, h, m)
            return h + F.linear(x, self.input.weight).abs().sqrt(), m

    assert_breaks(Broken(3, 4), "breaks the law 'padding never changes a result'")


@pytest.mark.parametrize("wrong", ["outputs", "states", "gradients"])
def test_wrong_engine(monkeypatch, wrong):
    right = aten.run

    def run(cell, x, state, **options):
        y, final = right(cell, x, state, **options)
        if wrong == "outputs":
            y = y * 1.0005
        elif wrong == "states":
            final = (final[0], final[1] * 1.0005)
        else:
            y = y * 1.0005 - (y * 0.0005).detach()
        return y, final

    monkeypatch.setattr(aten, "run", run)
    message = assert_breaks(LSTMCell(3, 4), "breaks the law")
    assert "aten engine" in message
