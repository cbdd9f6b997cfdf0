"""A cell that changes is traced again; one that does not is not."""

import copy
from collections import OrderedDict, deque
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from steploom.cells.cell import Cell
from steploom.cells.lstm import LSTMCell
from steploom.engine import compiled, watch
from steploom.engine.choice import use_engine
from steploom.engine.watch import Watch
from steploom.layers.drop_in import LSTM
from steploom.layers.recurrent import Recurrent


class Settings:
    def __init__(self, scale):
        self.scale = scale


class Changeable(Cell):
    """Its step reads all kinds of things."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.states = {"h": hidden_size}
        self.input = nn.Linear(input_size, hidden_size)
        self.recurrent = nn.Linear(hidden_size, hidden_size)
        self.activation = torch.tanh
        self.dropout = nn.Dropout(0.5)
        self.slope = 0.5
        self.rates = [0.5, {"inner": 0.25}]
        self.settings = Settings(0.75)
        self.register_buffer("offset", torch.ones(hidden_size))

    def forward(self, x, h):
        z = self.input(x) + self.recurrent(h) * self.rates[0] * self.rates[1]["inner"] + self.offset
        if not self.training:
            z = z + 1
        if not self.dropout.training:
            z = z + 2
        return (self.activation(z * self.slope) * self.settings.scale,)


def change_attribute(cell):
    cell.slope = 0.25


def change_activation(cell):
    cell.activation = torch.sigmoid


def change_list(cell):
    cell.rates[0] = 2.0


def change_inner_dictionary(cell):
    cell.rates[1]["inner"] = 2.0


def change_object(cell):
    cell.settings.scale = 2.0


def change_mode(cell):
    cell.eval()


def change_mode_of_a_submodule(cell):
    cell.dropout.eval()


def tie(cell):
    cell.offset = cell.recurrent.bias


def replace_module(cell):
    cell.recurrent = nn.Sequential(nn.Linear(4, 4), nn.Tanh())


def drop_bias(cell):
    cell.recurrent.bias = None


def parametrize(cell):
    torch.nn.utils.parametrizations.weight_norm(cell.recurrent)


def change_class(cell):
    class Doubled(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    cell.input.__class__ = Doubled


CHANGES = (
    change_attribute,
    change_activation,
    change_list,
    change_inner_dictionary,
    change_object,
    change_mode,
    change_mode_of_a_submodule,
    tie,
    replace_module,
    drop_bias,
    parametrize,
    change_class,
)


@pytest.mark.parametrize("change", CHANGES)
def test_a_stale_program_never_runs(change):
    rnn = Recurrent(Changeable(3, 4))
    x = torch.randn(5, 2, 3)
    with use_engine("native"):
        before, _ = rnn(x)
        change(rnn.cell)
        found, _ = rnn(x)
    with use_engine("reference"):
        expected, _ = rnn(x)
    torch.testing.assert_close(found, expected)
    if change not in (tie, parametrize):
        assert not torch.allclose(found, before)


def count_traces(monkeypatch):
    traced = []
    right = compiled.trace
    monkeypatch.setattr(compiled, "trace", lambda cell: traced.append(cell) or right(cell))
    return traced


def test_an_unchanged_cell_is_traced_once(monkeypatch):
    traced = count_traces(monkeypatch)
    rnn = Recurrent(Changeable(3, 4), engine="native")
    for _ in range(3):
        rnn(torch.randn(5, 2, 3))[0].sum().backward()
        rnn.double()(torch.randn(2, 1, 3, dtype=torch.float64))
        rnn.float().eval()(torch.randn(2, 1, 3))
        rnn.train()
        weights = {name: 2 * value.detach() for name, value in rnn.named_parameters()}
        torch.func.functional_call(rnn, weights, (torch.randn(2, 1, 3),))
        rnn.load_state_dict(rnn.state_dict())
    assert len(traced) == 3  # in training, in float64, in evaluation


def test_weights_that_are_swapped_for_a_call_are_used():
    rnn = Recurrent(LSTMCell(3, 4), engine="native")
    x = torch.randn(5, 2, 3)
    rnn(x)
    weights = {name: (2 * value.detach()).requires_grad_() for name, value in rnn.named_parameters()}
    y, _ = torch.func.functional_call(rnn, weights, (x,))
    doubled = copy.deepcopy(rnn)
    with torch.no_grad():
        for parameter in doubled.parameters():
            parameter.mul_(2)
    torch.testing.assert_close(y, doubled(x)[0])
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(y.sum(), list(weights.values())))


def test_a_cell_is_forgotten_when_nobody_holds_it():
    before = len(compiled._by_cell)
    rnn = Recurrent(Changeable(3, 4), engine="native")
    rnn(torch.randn(5, 2, 3))
    assert len(compiled._by_cell) == before + 1
    del rnn
    assert len(compiled._by_cell) == before


def test_the_watch_sees_renamed_entries():
    cell = Changeable(3, 4)
    seen = Watch(cell)
    assert seen.holds(cell)
    cell.rates[1]["other"] = cell.rates[1].pop("inner")
    assert not seen.holds(cell)


class Named(list):
    """A list of a class of its own."""


@dataclass(slots=True)
class Slotted:
    scale: float
    rates: list


class Mangled(Slotted):
    __slots__ = "__own"

    def set(self, value):
        self.__own = value
        return self


def ordered():
    return OrderedDict(a=0.5, b=0.25, c=0.125)


@pytest.mark.parametrize(
    ("holder", "change"),
    [
        ([0.5, 0.25], lambda values: values.append(0.5)),
        ([0.5, 0.25], lambda values: values.pop()),
        ([0.5, 0.25], lambda values: values.reverse()),
        (Named([0.5, 0.25]), lambda values: values.reverse()),
        (Named([0.5, 0.25]), lambda values: values.clear()),
        ({0.5, 0.25}, lambda values: values.add(0.125)),
        ({0.5, 0.25}, lambda values: values.remove(0.5)),
        ({"a": 0.5, "b": 0.25}, lambda values: values.update(b=0.5)),
        ({"a": 0.5, "b": 0.25}, lambda values: values.update(a=values.pop("a"))),
        (ordered(), lambda values: values.move_to_end("a")),
        (ordered(), lambda values: values.popitem()),
        (ordered(), lambda values: values.update(d=1.0)),
        (SimpleNamespace(), lambda values: setattr(values, "a", 0.5)),
        (deque([0.5, 0.25]), lambda values: values.rotate()),
        (deque([0.5, 0.25]), lambda values: values.append(0.5)),
        (Slotted(0.5, [0.25]), lambda values: setattr(values, "scale", 0.25)),
        (Slotted(0.5, [0.25]), lambda values: values.rates.append(0.25)),
        (Mangled(0.5, []).set(1.5), lambda values: values.set(2.5)),
        (Mangled(0.5, []), lambda values: values.set(2.5)),
        (np.ones(3), lambda values: np.copyto(values, 2.0)),
        ([{"a": np.zeros((2, 2))}], lambda values: values[0]["a"].__setitem__((0, 1), 1.0)),
    ],
)
def test_the_watch_sees_what_changes_in_a_holder(holder, change):
    cell = LSTMCell(2, 3)
    cell.holder = holder
    seen = Watch(cell)
    assert seen.unchanged(cell)
    change(holder)
    assert not seen.unchanged(cell)
    assert not seen.holds(cell)


def test_the_watch_knows_an_order_that_is_not_that_of_insertion():
    cell = LSTMCell(2, 3)
    cell.holder = ordered()
    cell.holder.move_to_end("a")
    assert Watch(cell).unchanged(cell)


def test_drop_ins_are_traced_once_a_kind(monkeypatch):
    traced = count_traces(monkeypatch)
    for _ in range(2):
        layer = LSTM(3, 21, num_layers=3, bidirectional=True)
        for _ in range(2):
            layer(torch.randn(4, 2, 3))
    assert len(traced) == 2  # the first layer and the others differ in the size of the input


@pytest.mark.parametrize("cell", [LSTMCell(2, 3), Changeable(2, 3)])
def test_what_a_cell_was_made_with_costs_no_call(cell):
    """It holds slots, which only Python can look into."""
    assert not any(isinstance(holder, watch._Slots) for holder in Watch(cell)._holders)


class Recording(LSTMCell):
    """Its step writes into an object."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.record = SimpleNamespace(last=None)

    def forward(self, x, h, c):
        self.record.last = h, c = super().forward(x, h, c)
        return h, c


@pytest.mark.filterwarnings("ignore:The reference engine")
def test_a_step_that_writes_into_an_object_runs_step_by_step():
    rnn = Recurrent(Recording(2, 3))
    assert "writes into an object that the cell holds" in rnn.explain()
    for _ in range(2):
        y, _ = rnn(torch.randn(4, 2, 2))
        assert torch.equal(rnn.cell.record.last[0], y[-1])
