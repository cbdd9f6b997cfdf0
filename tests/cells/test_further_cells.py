"""What is particular to one cell: its start, its options, and what it does where its equations are delicate."""

import math

import pytest
import torch

from steploom.cells.indrnn import IndRNNCell
from steploom.cells.janet import JANETCell
from steploom.cells.lstm import LSTMCell, ProjectedLSTMCell
from steploom.cells.minimal import MinGRUCell, MinLSTMCell
from steploom.cells.mogrifier import MogrifierLSTMCell
from steploom.cells.registry import cell_names, make_cell
from steploom.cells.slstm import SLSTMCell
from steploom.cells.sru import SRUCell
from steploom.errors import CellError
from steploom.layers.recurrent import Recurrent
from steploom.testing import check_cell


def initial(cell, batch=2):
    return cell.initial_state(batch, dtype=torch.float32, device="cpu")


@pytest.mark.parametrize("name", cell_names())
def test_all_states_start_at_zero(name):
    cell = make_cell(name, 3, 8)
    state = initial(cell)
    assert [part.shape for part in state] == [(2, size) for size in cell.states.values()]
    assert not any(part.any() for part in state)


@pytest.mark.parametrize("size", [1e2, 1e4, 1e6])
@pytest.mark.parametrize("name", [name for name in cell_names() if name not in ("rnn-relu", "rnn-identity")])
def test_extreme_inputs_give_finite_outputs_and_gradients(name, size):
    torch.manual_seed(0)
    rnn = Recurrent(make_cell(name, 3, 8))
    x = (size * torch.randn(40, 5, 3)).requires_grad_()
    y, state = rnn(x)
    assert all(part.isfinite().all() for part in (y, *state))
    gradients = torch.autograd.grad(y.sum() / size, [x, *rnn.parameters()])
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("name", cell_names())
def test_long_sequences_stay_bounded_at_the_start(name):
    """With fresh weights nothing explodes within 500 steps of inputs of size 1."""
    torch.manual_seed(0)
    rnn = Recurrent(make_cell(name, 8, 16))
    with torch.no_grad():
        y, _ = rnn(torch.randn(500, 4, 8))
    assert y.isfinite().all()
    assert y[-50:].abs().max() < 200


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", cell_names())
def test_zoneout_and_variational_dropout_give_finite_gradients(name, training):
    torch.manual_seed(0)
    rnn = Recurrent(make_cell(name, 3, 8), 2, zoneout=0.3, variational_dropout=0.3).train(training)
    x = (3 * torch.randn(25, 4, 3)).requires_grad_()
    y, state = rnn(x)
    gradients = torch.autograd.grad(sum(part.sum() for part in (y, *state)), [x, *rnn.parameters()])
    assert all(part.isfinite().all() for part in (y, *state, *gradients))
    assert all(gradient.any() for gradient in gradients[1:])


@pytest.mark.parametrize("forget", ["sigmoid", "exp"])
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_slstm_passes_the_check(forget, heads):
    torch.manual_seed(0)
    check_cell(SLSTMCell(3, 4, heads=heads, forget=forget))


@pytest.mark.parametrize("forget", ["sigmoid", "exp"])
def test_slstm_output_is_bounded_and_its_normaliser_at_least_one(forget):
    torch.manual_seed(0)
    rnn = Recurrent(SLSTMCell(3, 8, forget=forget))
    y, (_, _, n, m) = rnn(300 * torch.randn(60, 5, 3))
    assert y.abs().max() <= 1
    assert (n >= 1).all()
    assert m.abs().max() > 100


def test_slstm_is_the_same_for_every_scale_of_its_memories():
    """(c, n, m) and (c / k, n / k, m + log k) stand for the same."""
    torch.manual_seed(0)
    cell = SLSTMCell(3, 8).double()
    x, h, c, m = (torch.randn(2, size, dtype=torch.float64) for size in (3, 8, 8, 8))
    n = 1 + c.abs()
    one, _, _, _ = cell(x, h, c, n, m)
    other, _, _, _ = cell(x, h, c / 7, n / 7, m + math.log(7))
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_slstm_first_step_shows_its_input_alone():
    cell = SLSTMCell(3, 8)
    x = torch.randn(2, 3)
    h, _, n, m = cell(x, *initial(cell))
    i, _, z, o = cell.input(x).chunk(4, -1)
    torch.testing.assert_close(h, o.sigmoid() * z.tanh())
    torch.testing.assert_close(m, i)
    assert torch.equal(n, torch.ones(2, 8))


def test_slstm_heads_do_not_see_one_another():
    cell = SLSTMCell(3, 8, heads=2)
    x, state = torch.randn(2, 3), [part.clone() for part in initial(cell)]
    before = cell(x, *state)[0]
    state[0][:, :4] = 1.0
    after = cell(x, *state)[0]
    assert not torch.equal(before[:, :4], after[:, :4])
    assert torch.equal(before[:, 4:], after[:, 4:])


@pytest.mark.parametrize(("size", "heads"), [(8, 4), (6, 2), (5, 1)])
def test_slstm_takes_the_heads_that_fit(size, heads):
    assert SLSTMCell(3, size).recurrent.weight.shape == (heads, 4, size // heads, size // heads)


@pytest.mark.parametrize("heads", [3, 0, 2.0])
def test_slstm_heads_must_divide(heads):
    with pytest.raises(CellError, match="heads must be a whole number that divides hidden_size 8, found"):
        SLSTMCell(3, 8, heads=heads)


def test_slstm_forget_gate_must_be_known():
    with pytest.raises(CellError, match='forget must be "sigmoid" or "exp", found \'tanh\''):
        SLSTMCell(3, 8, forget="tanh")


@pytest.mark.parametrize(("rounds", "rank"), [(5, None), (5, 2), (1, None), (0, None)])
def test_mogrifier_passes_the_check(rounds, rank):
    torch.manual_seed(0)
    check_cell(MogrifierLSTMCell(3, 4, rounds=rounds, rank=rank))


def test_mogrifier_without_rounds_is_an_lstm():
    cell, plain = MogrifierLSTMCell(3, 4, rounds=0), LSTMCell(3, 4)
    plain.load_state_dict(cell.state_dict())
    x, h, c = torch.randn(2, 3), torch.randn(2, 4), torch.randn(2, 4)
    torch.testing.assert_close(cell(x, h, c), plain(x, h, c))


@pytest.mark.parametrize("options", [{"rounds": -1}, {"rounds": 1.5}, {"rank": 0}])
def test_mogrifier_options_are_whole_numbers(options):
    with pytest.raises(CellError, match="must be a whole number of at least"):
        MogrifierLSTMCell(3, 4, **options)


def test_variational_dropout_masks_every_product_of_a_mogrifier_that_reads_the_state():
    cell = MogrifierLSTMCell(3, 4, rounds=4)
    assert cell.recurrent_products == ("recurrent", "gate_1", "gate_3")


@pytest.mark.parametrize("bias", [2.0, -100.0])
@pytest.mark.parametrize("kind", [MinGRUCell, MinLSTMCell, SRUCell])
def test_variational_dropout_leaves_a_memory_without_a_recurrent_product_alone(kind, bias):
    """In float64: two engines run, and in float32 their rounding differs as much as a gate of a sum of ±100 moves."""
    torch.manual_seed(0)
    cell = kind(3, 8).double()
    with torch.no_grad():
        cell.input.bias.fill_(bias)
    x = torch.randn(30, 2, 3, dtype=torch.float64)
    plain, _ = Recurrent(cell)(x)
    dropped, _ = Recurrent(cell, variational_dropout=(0.0, 0.5))(x)
    torch.testing.assert_close(dropped, plain)


def test_variational_dropout_masks_what_the_vector_of_an_indrnn_multiplies():
    cell = IndRNNCell(1, 50, activation="identity", bias=False)
    with torch.no_grad():
        cell.recurrent_vector.fill_(1.0)
    y, _ = Recurrent(cell, variational_dropout=(0.0, 0.5))(torch.zeros(2, 3, 1), (torch.ones(1, 3, 50),))
    assert set(y[0].unique().tolist()) == {0.0, 2.0}


def test_two_closed_gates_of_a_minlstm_share_by_their_ratio():
    """σ(-200) is 0 in float32, so f / (f + i) would be 0 / 0."""
    cell = MinLSTMCell(1, 1)
    with torch.no_grad():
        cell.input.weight.zero_()
        cell.input.bias.copy_(torch.tensor([-200.0, -201.0, 0.0]))
    (h,) = cell(torch.zeros(1, 1), torch.ones(1, 1))
    torch.testing.assert_close(h, torch.full((1, 1), 1 / (1 + math.exp(-1))))


def test_janet_starts_with_memories_of_all_lengths():
    torch.manual_seed(0)
    start = JANETCell(3, 500, longest=100).input.bias.detach()[:500].exp()
    assert 1 <= start.min() < 2
    assert 98 < start.max() <= 99.01
    assert 46 < start.mean() < 54


@pytest.mark.parametrize("options", [{"longest": 2}, {"longest": 9.5}, {"longest": 9, "bias": False}])
def test_janet_must_know_a_length_and_have_a_bias_to_start(options):
    with pytest.raises(CellError, match="longest must be a whole number of at least 3, with bias=True"):
        JANETCell(3, 4, **options)


def test_indrnn_vector_starts_within_zero_and_one():
    start = IndRNNCell(3, 400).recurrent_vector
    assert start.min() >= 0
    assert start.max() <= 1
    assert start.std() > 0.25


def test_sru_keeps_the_size_of_what_runs_through_a_stack():
    torch.manual_seed(0)
    y, _ = Recurrent(SRUCell(64, 64), num_layers=6)(torch.randn(50, 8, 64))
    assert 0.5 < y.detach().std() < 2


@pytest.mark.parametrize("highway_bias", [0.0, -3.0])
def test_sru_highway(highway_bias):
    """With r = 0 the output is the input times √(1 + 2 exp(b_r))."""
    cell = SRUCell(4, 4, highway_bias=highway_bias)
    assert torch.equal(cell.input.bias.chunk(3)[1], torch.full((4,), highway_bias))
    with torch.no_grad():
        cell.input.bias.chunk(3)[1].fill_(-100)
    x = torch.randn(2, 4)
    torch.testing.assert_close(cell(x, *initial(cell))[0], x * math.sqrt(1 + 2 * math.exp(highway_bias)))
    assert cell.like(input_size=3).skip.weight.shape == (4, 3)


@pytest.mark.parametrize(("given", "output"), [(None, 3), (5, 5)])
def test_projection_is_half_the_memory_unless_given(given, output):
    cell = ProjectedLSTMCell(2, 6, proj_size=given)
    assert cell.states == {"h": output, "c": 6}
    assert cell.hidden_size == output


def test_projection_must_be_a_size():
    with pytest.raises(CellError, match="proj_size must be a whole number of at least 1, found 0"):
        ProjectedLSTMCell(2, 6, proj_size=0)
