"""What a cell declares, and what it is told when the declaration is not kept."""

import copy

import pytest
import torch
from torch import nn

from steploom.cells.cell import Cell, check_declaration, check_returned, probe
from steploom.cells.indrnn import IndRNNCell
from steploom.cells.lstm import LSTMCell
from steploom.cells.registry import cell_names, make_cell
from steploom.cells.simple import RNNCell
from steploom.errors import CellError


class Decay(Cell):
    """A cell as a user writes it, with keyword and positional arguments of its own."""

    def __init__(self, input_size, hidden_size, rate=0.5, *, activation=torch.tanh):
        super().__init__()
        self.states = {"h": hidden_size}
        self.rate, self.activation = rate, activation
        self.input = nn.Linear(input_size, hidden_size)

    def forward(self, x, h):
        return (self.rate * h + self.activation(self.input(x)),)


def test_arguments_are_remembered():
    cell = Decay(3, 4, 0.9, activation=torch.relu)
    assert cell.input_size == 3
    fresh = cell.like(input_size=7)
    assert (fresh.input_size, fresh.hidden_size, fresh.rate) == (7, 4, 0.9)
    assert fresh.activation is torch.relu
    assert fresh.input.in_features == 7
    assert fresh.input.weight is not cell.input.weight
    assert "input_size=3, hidden_size=4, rate=0.9" in repr(cell)


def test_like_keeps_dtype_and_mode():
    fresh = LSTMCell(2, 3).double().eval().like(input_size=5)
    assert fresh.input.weight.dtype == torch.float64
    assert not fresh.training


def test_like_leaves_a_dtype_of_its_own_alone():
    class Mixed(Decay):
        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size)
            self.turn = nn.Parameter(torch.ones(hidden_size, dtype=torch.complex64))
            self.register_buffer("exact", torch.ones(hidden_size, dtype=torch.float64))

    like = Mixed(2, 3).like()
    assert (like.turn.dtype, like.exact.dtype) == (torch.complex64, torch.float64)


def test_like_shares_no_argument():
    activation = nn.PReLU()
    cell = RNNCell(2, 3, activation=activation)
    assert cell.activation is activation
    assert cell.like().activation is not activation


def test_like_of_a_copy():
    assert copy.deepcopy(Decay(3, 4, rate=0.1)).like(input_size=5).rate == 0.1


def test_like_names_the_missing_argument():
    class Fixed(Decay):
        def __init__(self):
            super().__init__(3, 4)

    with pytest.raises(CellError, match="Fixed has no constructor argument 'input_size', so it cannot be stacked"):
        Fixed().like(input_size=5)


def test_a_wrong_call_is_reported_by_the_constructor():
    with pytest.raises(TypeError, match="hidden_size"):
        Decay(3)


def test_initial_state_is_zero():
    state = LSTMCell(2, 3).initial_state(5, dtype=torch.float64, device="cpu")
    assert [tuple(part.shape) for part in state] == [(5, 3), (5, 3)]
    assert all(part.dtype == torch.float64 and not part.any() for part in state)


def test_declaration_must_be_a_cell():
    with pytest.raises(CellError, match=r"Expected a steploom\.Cell, found Linear"):
        check_declaration(nn.Linear(2, 3))


def test_declaration_needs_a_step():
    class Stepless(Cell):
        def __init__(self, input_size):
            super().__init__()
            self.states = {"h": 1}

    with pytest.raises(CellError, match="Stepless defines no forward"):
        check_declaration(Stepless(2))


@pytest.mark.parametrize("states", [None, {}, {"h": 0}, {"h": 2.5}, {"h": True}, ["h"]])
def test_declaration_needs_states(states):
    cell = Decay(2, 3)
    cell.states = states
    with pytest.raises(CellError, match=r"Set self\.states in __init__"):
        check_declaration(cell)


def test_declaration_needs_an_input_size():
    class Sizeless(Decay):
        def __init__(self, width):
            super().__init__(width, 3)

    with pytest.raises(CellError, match="declares no input size"):
        check_declaration(Sizeless(2))


def returned(cell, *new):
    state = cell.initial_state(4, dtype=torch.float32, device="cpu")
    check_returned(cell, state, new)


def test_returned_shape():
    with pytest.raises(CellError) as caught:
        returned(LSTMCell(2, 128), torch.zeros(4, 128), torch.zeros(4, 64))
    assert str(caught.value) == (
        "State `c` enters as (batch, 128) but the cell returns (batch, 64). "
        "Return `c` with the size it was declared with."
    )


def test_returned_without_the_batch():
    with pytest.raises(CellError, match=r"enters as \(batch, 3\) but the cell returns \(3\)"):
        returned(RNNCell(2, 3), torch.zeros(3))


def test_returned_number():
    with pytest.raises(CellError, match=r"LSTMCell declares 2 states \(h, c\) but returns 1 state\."):
        returned(LSTMCell(2, 3), torch.zeros(4, 3))


def test_returned_kind():
    cell = RNNCell(2, 3)
    with pytest.raises(CellError, match=r"RNNCell returns a tensor\. Return a tuple of its states: \(h,\)"):
        check_returned(cell, (torch.zeros(4, 3),), torch.zeros(4, 3))
    with pytest.raises(CellError, match="returns a NoneType for state `h`"):
        returned(cell, None)


def test_probe_draws_nothing_from_the_random_state():
    class Noisy(Decay):
        def forward(self, x, h):
            return (h + torch.randn_like(h),)

    before = torch.get_rng_state()
    cell = Noisy(2, 3)
    torch.set_rng_state(before)
    probe(cell)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", cell_names())
def test_recurrent_weights_start_orthogonal_a_gate(name):
    cell = make_cell(name, 5, 6)
    for product in cell.recurrent_products or ():
        if product.startswith("gate_"):
            continue  # of a Mogrifier: nothing runs through it step after step
        module = getattr(cell, product)
        # A gate's block is square, or tall where the output is smaller than the memory; sLSTM has one a head.
        for block in module.weight.flatten(0, 1) if name == "slstm" else module.weight.split(6):
            torch.testing.assert_close(block.T @ block, torch.eye(block.shape[1]))
        assert getattr(module, "bias", None) is None or not module.bias.any()


@pytest.mark.parametrize(
    ("name", "bias", "forget"),
    [
        ("lstm", "input.bias", 1),
        ("lstm-peephole", "input.bias", 1),
        ("lstm-coupled", "input.bias", 0),
        ("lstm-projected", "input.bias", 1),
        ("lstm-layernorm", "input_norm.bias", 1),
        ("mogrifier-lstm", "input.bias", 1),
        ("janet", "input.bias", 0),
        ("minlstm", "input.bias", 0),
        ("slstm", "input.bias", 1),
    ],
)
def test_forget_bias_starts_at_one(name, bias, forget):
    gates = make_cell(name, 5, 6).get_parameter(bias).split(6)
    assert [bool(gate.any()) for gate in gates] == [place == forget for place in range(len(gates))]
    assert torch.equal(gates[forget], torch.ones(6))


@pytest.mark.parametrize("name", cell_names())
def test_cells_without_bias(name):
    cell = make_cell(name, 5, 6).like(bias=False)
    assert not [key for key, _ in cell.named_parameters() if key.endswith("bias")]
    probe(cell)


@pytest.mark.parametrize("kind", [RNNCell, IndRNNCell])
def test_wrong_activation(kind):
    with pytest.raises(CellError, match="activation must be a name or a callable, found 3"):
        kind(2, 3, 3)


@pytest.mark.parametrize("kind", [RNNCell, IndRNNCell])
def test_unknown_activation(kind):
    with pytest.raises(CellError, match=r"No activation is called 'tahn'\. Did you mean 'tanh'\?"):
        kind(2, 3, "tahn")


class Remembering(Decay):
    """Keeps its sizes as most modules do, before its states are declared."""

    def __init__(self, input_size, hidden_size, output_size=None):
        super().__init__(input_size, hidden_size)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.states = {"h": output_size or self.hidden_size}


def test_a_cell_may_keep_its_hidden_size():
    cell = check_declaration(Remembering(3, 4))
    assert cell.hidden_size == cell.like(input_size=7).hidden_size == 4
    probe(cell)


def test_a_hidden_size_other_than_that_of_the_output_is_told():
    with pytest.raises(CellError, match=r"sets self\.hidden_size to 4, but its first state `h`, .* 6 .* another name"):
        check_declaration(Remembering(3, 4, 6))


def test_like_keeps_what_the_constructor_put_into_evaluation():
    class Frozen(Decay):
        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size)
            self.input.eval()

    assert not Frozen(2, 3).like().input.training
    assert Frozen(2, 3).like().training
    assert not Frozen(2, 3).eval().like().training
