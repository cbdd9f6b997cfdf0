"""`Recurrent`: what its arguments do, and what it says to wrong ones."""

import math

import pytest
import torch
from torch import nn

from steploom.cells.cell import Cell
from steploom.cells.gru import GRUCell, ResetBeforeGRUCell
from steploom.cells.lstm import CoupledLSTMCell, LSTMCell, PeepholeLSTMCell
from steploom.cells.registry import cell_names, make_cell
from steploom.cells.simple import RNNCell
from steploom.engine.choice import use_engine
from steploom.errors import CellError, OptionError
from steploom.layers.recurrent import Recurrent


class Leaky(Cell):
    """A cell with three states of different sizes, no product called `recurrent`, and an initial state of its own."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.states = {"h": hidden_size, "slow": 2, "count": 1}
        self.read = nn.Linear(input_size + hidden_size, hidden_size)
        self.start = nn.Parameter(torch.full((2,), 0.5))

    def initial_state(self, batch, *, dtype, device):
        h, _, count = super().initial_state(batch, dtype=dtype, device=device)
        return h, self.start.expand(batch, 2), count

    def forward(self, x, h, slow, count):
        h = torch.tanh(self.read(torch.cat([x, h], -1)) + slow.sum(-1, keepdim=True))
        return h, 0.9 * slow + 0.1 * h[:, :1], count + 1


def same(one, other):
    (y, state), (y_other, state_other) = one, other
    torch.testing.assert_close(y, y_other)
    torch.testing.assert_close(state, state_other)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", [LSTMCell(3, 4), GRUCell(3, 4), PeepholeLSTMCell(3, 4), Leaky(3, 4)])
def test_shapes(cell, bidirectional, batch_first):
    rnn = Recurrent(cell, num_layers=3, bidirectional=bidirectional, batch_first=batch_first)
    directions = 2 if bidirectional else 1
    y, state = rnn(torch.randn(5, 7, 3))
    assert y.shape == (5, 7, 4 * directions)
    assert rnn.output_size == 4 * directions
    batch = 5 if batch_first else 7
    assert [tuple(part.shape) for part in state] == [(3 * directions, batch, n) for n in cell.states.values()]


@pytest.mark.parametrize(("time", "batch", "hidden"), [(1, 1, 1), (1, 17, 15), (63, 3, 1), (63, 1, 15)])
@pytest.mark.parametrize("name", cell_names())
def test_odd_sizes_agree_between_engines(name, time, batch, hidden):
    torch.manual_seed(0)
    rnn = Recurrent(make_cell(name, 2, hidden), num_layers=2, bidirectional=True).double()
    x = torch.randn(time, batch, 2, dtype=torch.float64)
    lengths = torch.randint(0, time + 1, (batch,))
    with use_engine("reference"):
        expected = rnn(x, lengths=lengths)
    same(rnn(x, lengths=lengths), expected)


def test_layers_follow_one_another():
    rnn = Recurrent(LSTMCell(3, 4), num_layers=2)
    x = torch.randn(5, 2, 3)
    first, _ = Recurrent(rnn.cells[0])(x)
    second, final = Recurrent(rnn.cells[1])(first)
    y, state = rnn(x)
    torch.testing.assert_close(y, second)
    torch.testing.assert_close(tuple(part[1:] for part in state), final)


def test_batch_first_transposes_all_but_the_states():
    rnn = Recurrent(LSTMCell(3, 4), num_layers=2, bidirectional=True)
    turned = Recurrent(LSTMCell(3, 4), num_layers=2, bidirectional=True, batch_first=True)
    turned.load_state_dict(rnn.state_dict())
    x, state = torch.randn(5, 2, 3), tuple(torch.randn(4, 2, 4) for _ in range(2))
    lengths, resets = torch.tensor([5, 3]), torch.rand(5, 2) < 0.3
    y, final = rnn(x, state, lengths, resets)
    y_turned, final_turned = turned(x.transpose(0, 1), state, lengths, resets.transpose(0, 1))
    same((y_turned.transpose(0, 1), final_turned), (y, final))


@pytest.mark.parametrize("engine", ["aten", "reference"])
def test_padding_is_zero_and_final_states_stand_before_it(engine):
    rnn = Recurrent(LSTMCell(3, 4), engine=engine)
    x = torch.randn(6, 3, 3)
    x[2:, 1] = math.nan
    y, (h, c) = rnn(x, lengths=torch.tensor([6, 2, 0]))
    assert not y[2:, 1].any()
    assert not y[:, 2].any()
    short, (h_short, c_short) = rnn(x[:2, 1:2])
    torch.testing.assert_close(y[:2, 1:2], short)
    torch.testing.assert_close((h[:, 1:2], c[:, 1:2]), (h_short, c_short))
    assert not h[:, 2].any()
    assert not c[:, 2].any()


def test_final_memory_survives_a_thousand_steps_of_padding_to_the_last_bit():
    """In the padding the gates of the aten engine are shut, not nearly shut."""
    rnn = Recurrent(LSTMCell(3, 16), engine="aten")
    x = torch.randn(1001, 2, 3)
    _, (_, c) = rnn(x, lengths=torch.tensor([1, 1001]))
    _, (_, c_soon) = rnn(x[:2], lengths=torch.tensor([1, 2]))
    torch.testing.assert_close(c[:, 0], c_soon[:, 0], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("engine", ["aten", "reference"])
def test_no_uninitialised_memory_reaches_the_results(engine, monkeypatch):
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    torch.use_deterministic_algorithms(True)
    try:
        rnn = Recurrent(LSTMCell(3, 4), num_layers=2, bidirectional=True, engine=engine)
        y, state = rnn(torch.randn(5, 3, 3), lengths=torch.tensor([5, 0, 2]), resets=torch.rand(5, 3) < 0.5)
        sum(part.sum() for part in (y, *state)).backward()
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(part.isfinite().all() for part in (y, *state, *(p.grad for p in rnn.parameters())))


def test_a_cells_own_initial_state_is_used_and_learnt():
    rnn = Recurrent(Leaky(3, 4), num_layers=2)
    assert torch.equal(rnn.initial_state(5)[1], torch.full((2, 5, 2), 0.5))
    y, state = rnn(torch.randn(4, 5, 3), resets=torch.tensor([[False], [True], [False], [False]]).expand(4, 5))
    assert torch.equal(state[2], torch.full((2, 5, 1), 3.0))
    y.sum().backward()
    assert rnn.cells[1].start.grad.abs().sum() > 0


def test_residual_adds_where_the_sizes_agree():
    rnn = Recurrent(GRUCell(3, 4), num_layers=2, residual=True)
    x = torch.randn(5, 2, 3)
    first, _ = Recurrent(rnn.cells[0])(x)
    second, _ = Recurrent(rnn.cells[1])(first)
    torch.testing.assert_close(rnn(x)[0], first + second)
    rnn = Recurrent(GRUCell(4, 4), residual=True)
    x = torch.randn(5, 2, 4)
    torch.testing.assert_close(rnn(x)[0], x + Recurrent(rnn.cells[0])(x)[0])


def test_residual_leaves_padding_zero():
    rnn = Recurrent(GRUCell(4, 4), num_layers=2, residual=True)
    y, _ = rnn(torch.randn(5, 2, 4), lengths=torch.tensor([5, 3]))
    assert not y[3:, 1].any()


@pytest.mark.parametrize("engine", ["aten", "reference"])
def test_dropout_is_between_the_layers(engine):
    torch.manual_seed(0)
    rnn = Recurrent(RNNCell(3, 200), num_layers=2, dropout=0.5, engine=engine)
    x = torch.randn(5, 2, 3)
    assert not torch.equal(rnn(x)[0], rnn(x)[0])
    assert not (rnn(x)[0] == 0).any()
    rnn.eval()
    assert torch.equal(rnn(x)[0], rnn(x)[0])


def test_one_layer_has_nothing_to_drop():
    rnn = Recurrent(RNNCell(3, 4), dropout=0.5)
    x = torch.randn(5, 2, 3)
    assert torch.equal(rnn(x)[0], rnn(x)[0])


def test_variational_dropout_has_one_mask_a_sequence():
    """A linear recurrence with unit input weights shows the mask: the same features are missing at every step."""
    torch.manual_seed(0)
    cell = RNNCell(50, 50, activation="identity", bias=False)
    with torch.no_grad():
        cell.input.weight.copy_(torch.eye(50))
        cell.recurrent.weight.zero_()
    rnn = Recurrent(cell, variational_dropout=(0.4, 0.0))
    y, _ = rnn(torch.ones(20, 3, 50))
    values, share = y.unique(), (y == 0).float().mean()
    torch.testing.assert_close(values, torch.tensor([0.0, 1 / 0.6]))
    assert (y == y[0]).all()
    assert not torch.equal(y[0, 0], y[0, 1])
    assert 0.2 < share < 0.6


@pytest.mark.parametrize("rate", [0.0, 0.8])
def test_the_mask_of_the_first_layer_has_a_rate_of_its_own(rate):
    torch.manual_seed(0)
    rnn = Recurrent(RNNCell(50, 50), 2, variational_dropout=(0.4, 0.0), input_dropout=rate)
    entering = []
    for cell in rnn.cells:
        cell.register_forward_pre_hook(lambda _, given: entering.append((given[0] == 0).float().mean().item()))
    with use_engine("reference"):
        rnn(torch.ones(5, 8, 50))
    first, second = entering[0], entering[-1]
    assert first == pytest.approx(rate, abs=0.08 if rate else 0) and second == pytest.approx(0.4, abs=0.08)


def test_variational_dropout_masks_the_recurrent_product_alike_at_every_step():
    torch.manual_seed(0)
    cell = RNNCell(1, 50, activation="identity", bias=False)
    with torch.no_grad():
        cell.input.weight.zero_()
        cell.recurrent.weight.copy_(torch.eye(50))
    rnn = Recurrent(cell, variational_dropout=(0.0, 0.5))
    y, _ = rnn(torch.zeros(4, 3, 1), (torch.ones(1, 3, 50),))
    dropped = y[0] == 0
    assert dropped.any()
    assert not dropped.all()
    for step in range(4):
        torch.testing.assert_close(y[step], torch.where(dropped, 0.0, 2.0 ** (step + 1)))
    assert torch.equal(rnn.eval()(torch.zeros(4, 3, 1), (torch.ones(1, 3, 50),))[0], torch.ones(4, 3, 50))


@pytest.mark.parametrize("kind", [GRUCell, ResetBeforeGRUCell])
def test_variational_dropout_leaves_the_memory_of_a_gru_alone(kind):
    """With an update gate of 1 the state stands still, whatever is dropped from the products."""
    cell = kind(3, 8)
    with torch.no_grad():
        cell.input.bias.chunk(3)[1].fill_(100.0)
    rnn = Recurrent(cell, variational_dropout=0.5)
    state = torch.randn(1, 2, 8)
    y, _ = rnn(torch.randn(6, 2, 3), (state,))
    torch.testing.assert_close(y, state.expand(6, 2, 8))
    assert not cell.recurrent._forward_pre_hooks


def test_variational_dropout_masks_the_state_of_a_cell_without_such_a_product():
    torch.manual_seed(0)
    rnn = Recurrent(Leaky(3, 4), variational_dropout=0.5)
    x = torch.randn(6, 2, 3)
    assert not torch.equal(rnn(x)[0], rnn(x)[0])
    rnn.eval()
    assert torch.equal(rnn(x)[0], rnn(x)[0])


def test_variational_dropout_says_which_products_it_cannot_mask():
    class Joined(Leaky):
        recurrent_products = ("read",)

    with pytest.raises(CellError, match=r"recurrent product of Joined, but \(2, 7\) enters there"):
        Recurrent(Joined(3, 4), variational_dropout=0.5)(torch.randn(6, 2, 3))


def test_zoneout_keeps_a_share_of_the_units_in_training():
    torch.manual_seed(0)
    cell = RNNCell(1, 400)
    rnn = Recurrent(cell, zoneout=0.3)
    state = torch.full((1, 5, 400), 9.0)
    y, _ = rnn(torch.randn(1, 5, 1), (state,))
    kept = y == 9.0
    assert 0.25 < kept.float().mean() < 0.35
    assert (y[~kept].abs() <= 1).all()


def test_zoneout_is_its_expectation_otherwise():
    cell = LSTMCell(3, 4)
    rnn = Recurrent(cell, zoneout={"c": 0.25}).eval()
    x, state = torch.randn(1, 2, 3), (torch.randn(1, 2, 4), torch.randn(1, 2, 4))
    y, (h, c) = rnn(x, state)
    new_h, new_c = cell(x[0], state[0][0], state[1][0])
    torch.testing.assert_close(h[0], new_h)
    torch.testing.assert_close(y[0], new_h)
    torch.testing.assert_close(c[0], 0.25 * state[1][0] + 0.75 * new_c)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_zoneout_mixes_states_of_two_types_as_autocast_leaves_them(dtype):
    for name in cell_names():
        rnn = Recurrent(make_cell(name, 3, 4), zoneout=0.2).eval()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y, _ = rnn(torch.randn(5, 2, 3, dtype=dtype))
        assert y.isfinite().all()


def test_zoneout_and_variational_dropout_with_every_cell():
    for name in cell_names():
        rnn = Recurrent(make_cell(name, 3, 4), 2, True, zoneout=0.2, variational_dropout=0.2)
        y, _ = rnn(torch.randn(5, 2, 3), lengths=torch.tensor([5, 2]))
        y.sum().backward()
        assert not y[2:, 1].any()
        assert all(parameter.grad.isfinite().all() for parameter in rnn.parameters())


def test_explain():
    assert Recurrent(LSTMCell(3, 4)).explain() == "native: it runs any step that is a program of primitives"
    assert Recurrent(Leaky(3, 4)).explain().startswith("native")
    assert Recurrent(LSTMCell(3, 4), engine="reference").explain() == "reference: it was asked for"
    assert Recurrent(LSTMCell(3, 4), zoneout=0.1).explain() == "reference: zoneout mixes the states at every step"
    rnn = Recurrent(LSTMCell(3, 4), variational_dropout=0.1)
    assert rnn.explain() == "reference: variational dropout masks the recurrent product"
    assert rnn.eval().explain().startswith("native")
    assert Recurrent(LSTMCell(3, 4), variational_dropout=(0.1, 0.0)).explain().startswith("native")


def test_further_cells_are_of_the_same_kind():
    rnn = Recurrent(CoupledLSTMCell(3, 4, peepholes=True).double(), num_layers=2, bidirectional=True)
    assert [cell.input_size for cell in rnn.cells] == [3, 3, 8, 8]
    assert all(cell.peephole_f is not None and cell.input.weight.dtype == torch.float64 for cell in rnn.cells)
    assert len({id(parameter) for parameter in rnn.parameters()}) == 4 * 6


def test_a_broken_cell_is_found_at_the_first_step():
    class Broken(Leaky):
        def forward(self, x, h, slow, count):
            return super().forward(x, h, slow, count)[:2]

    with pytest.raises(CellError, match=r"Broken declares 3 states \(h, slow, count\) but returns 2 states"):
        Recurrent(Broken(3, 4))(torch.randn(2, 2, 3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_layers": 0}, "num_layers must be a whole number of at least 1, found 0"),
        ({"num_layers": 1.5}, "num_layers"),
        ({"dropout": 1.0}, "dropout must be a number from 0 to below 1, found 1.0"),
        ({"dropout": "much"}, "dropout"),
        ({"variational_dropout": -0.1}, "variational_dropout"),
        ({"input_dropout": 1}, "input_dropout must be a number from 0 to below 1, found 1"),
        ({"variational_dropout": (0.1, 0.2, 0.3)}, "variational_dropout must be a rate or a pair"),
        ({"zoneout": 2}, "zoneout"),
        ({"zoneout": {"c": 2}}, r"zoneout\['c'\]"),
        ({"zoneout": {"C": 0.1}}, "zoneout names the state 'C', but the cell has h, c. Did you mean 'c'"),
        ({"engine": "refrence"}, "No engine is called 'refrence'. Did you mean 'reference'"),
    ],
)
def test_wrong_construction_names_the_argument(arguments, message):
    with pytest.raises(OptionError, match=message):
        Recurrent(LSTMCell(3, 4), **arguments)


def test_not_a_cell():
    with pytest.raises(CellError, match=r"Expected a steploom\.Cell, found LSTMCell"):
        Recurrent(nn.LSTMCell(3, 4))


STATE = (torch.zeros(1, 2, 4), torch.zeros(1, 2, 4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": torch.zeros(5, 2)}, r"x must be \(time, batch, input_size\) with input_size 3, found \(5, 2\)"),
        ({"x": torch.zeros(5, 2, 4)}, "x must be"),
        ({"x": [[1.0]]}, r"x must be a tensor \(time, batch, input_size\), found list"),
        ({"x": torch.zeros(0, 2, 3)}, "x must hold at least one step"),
        ({"x": torch.zeros(5, 2, 3).double()}, "x is torch.float64 on cpu, but `input.weight` is torch.float32"),
        ({"state": STATE[0]}, r"state must be a tuple .* \(h, c\), found Tensor"),
        ({"state": STATE[:1]}, "found a tuple of 1"),
        ({"state": (STATE[0], None)}, r"state `c` must be a tensor, found NoneType"),
        ({"state": (STATE[0], STATE[1].double())}, r"state `c` is torch.float64 on cpu, but x is torch.float32 on cpu"),
        ({"state": (STATE[0], torch.zeros(1, 2, 5))}, r"state `c` must be .* = \(1, 2, 4\), found \(1, 2, 5\)"),
        ({"lengths": [5, 5]}, r"lengths must be a tensor of integers \(batch,\) = \(2,\), found list"),
        ({"lengths": torch.tensor([5])}, r"lengths must be integers \(batch,\) = \(2,\)"),
        ({"lengths": torch.tensor([5.0, 5.0])}, "lengths must be integers"),
        ({"lengths": torch.tensor([5, 5], dtype=torch.uint16)}, r"such as torch.int64, found torch.uint16 \(2,\)"),
        ({"lengths": torch.tensor([6, 5])}, "lengths must lie between 0 and the 5 steps of x, found 5 to 6"),
        ({"lengths": torch.tensor([-1, 5])}, "lengths must lie between"),
        ({"resets": torch.zeros(5, 2)}, "resets must be bool"),
        ({"resets": [True]}, "resets must be a tensor of bool, found list"),
        ({"resets": torch.zeros(2, 5, dtype=torch.bool)}, "resets must be bool with a value for each of 5 steps of 2"),
    ],
)
def test_wrong_call_names_the_argument(arguments, message):
    with pytest.raises(OptionError, match=message):
        Recurrent(LSTMCell(3, 4))(**{"x": torch.zeros(5, 2, 3), **arguments})


def test_other_engines_refuse_weights_of_another_dtype_too():
    with pytest.raises(OptionError, match=r"x is torch.float64 but the weights are torch.float32. Convert one"):
        Recurrent(LSTMCell(3, 4), engine="reference")(torch.zeros(5, 2, 3).double())


def test_the_state_of_a_cell_without_weights_is_of_the_kind_of_x():
    class Mean(Cell):
        def __init__(self, input_size: int) -> None:
            super().__init__()
            self.states = {"m": input_size}

        def forward(self, x, m):
            return (0.9 * m + 0.1 * x,)

    y, (m,) = Recurrent(Mean(3))(torch.ones(4, 2, 3, dtype=torch.float64))
    assert y.dtype == m.dtype == torch.float64


def test_layers_with_states_of_different_sizes_are_refused():
    class Shifted(Cell):
        def __init__(self, input_size, hidden_size):
            super().__init__()
            self.states = {"h": hidden_size, "last": input_size}
            self.mix = nn.Linear(2 * input_size, hidden_size)

        def forward(self, x, h, last):
            return self.mix(torch.cat([x, last], -1)).tanh() + 0.5 * h, x

    Recurrent(Shifted(5, 5), num_layers=2)
    Recurrent(Shifted(3, 5), bidirectional=True)
    with pytest.raises(CellError, match="so its layers cannot be stacked"):
        Recurrent(Shifted(3, 5), num_layers=2)
