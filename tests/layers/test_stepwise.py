"""Layers a step at a time against `Recurrent` over the whole sequence."""

import pytest
import torch

from steploom.cells.registry import make_cell
from steploom.layers.recurrent import Recurrent
from steploom.layers.stepwise import Stepwise, stack_state


def walk(recurrent, x, states):
    steps, outputs = Stepwise(recurrent), []
    for step in x:
        y, states = steps(step, states)
        outputs.append(y)
    return torch.stack(outputs), states


CASES = [
    ("lstm", {}),
    ("gru", {"num_layers": 3}),
    ("lstm-projected", {"num_layers": 2}),
    ("slstm", {"num_layers": 2, "residual": True}),
    ("rnn", {"num_layers": 2, "zoneout": 0.2}),
]


@pytest.mark.parametrize(("cell", "options"), CASES)
def test_steps_make_the_whole(cell, options):
    recurrent = Recurrent(make_cell(cell, 6, 6), **options).double().eval()
    x = torch.randn(5, 3, 6, dtype=torch.float64)
    state = tuple(torch.rand_like(part) for part in recurrent.initial_state(3))
    expected, finals = recurrent(x, state)
    found, states = walk(recurrent, x, tuple(zip(*(part.unbind(0) for part in state), strict=True)))
    torch.testing.assert_close(found, expected)
    for got, wanted in zip(stack_state(states), finals, strict=True):
        torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize(
    "options",
    [{"dropout": 0.5}, {"variational_dropout": (0.5, 0.0)}, {"variational_dropout": (0.5, 0.5)}, {"zoneout": 0.5}],
)
def test_what_is_random_is_random_in_training_alone(options):
    recurrent = Recurrent(make_cell("gru", 6, 6), 2, engine="reference", **options)
    x, state = torch.randn(4, 3, 6), ((torch.zeros(3, 6),), (torch.zeros(3, 6),))
    assert not torch.equal(walk(recurrent, x, state)[0], walk(recurrent, x, state)[0])
    recurrent.eval()
    assert torch.equal(walk(recurrent, x, state)[0], walk(recurrent, x, state)[0])


def test_a_variational_mask_holds_for_the_whole_sequence():
    recurrent = Recurrent(make_cell("rnn", 6, 6), variational_dropout=(0.5, 0.0))
    # Without memory of the steps before, equal inputs give equal outputs if the mask is the same.
    recurrent.cell.recurrent.weight.data.zero_()
    found, _ = walk(recurrent, torch.ones(4, 2, 6), ((torch.zeros(2, 6),),))
    assert all(torch.equal(y, found[0]) for y in found)
    assert not torch.equal(found[0, 0], found[0, 1])


@pytest.mark.parametrize("rate", [0.0, 0.9])
def test_the_first_layer_has_a_rate_of_its_own(rate):
    recurrent = Recurrent(make_cell("rnn", 60, 60), variational_dropout=(0.5, 0.0), input_dropout=rate)
    recurrent.cell.input.weight.data.copy_(torch.eye(60))
    recurrent.cell.input.bias.data.zero_()
    found, _ = walk(recurrent, torch.ones(1, 8, 60), ((torch.zeros(8, 60),),))
    assert (found == 0).float().mean().item() == pytest.approx(rate, abs=0.08 if rate else 0)
