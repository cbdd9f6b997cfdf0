"""Every cell equals its equations and their derivatives as written by hand, in float64, on every engine."""

import numpy as np
import pytest
import torch

from steploom.cells.mogrifier import MogrifierLSTMCell
from steploom.cells.registry import cell_names, make_cell
from steploom.cells.simple import RNNCell
from steploom.cells.slstm import SLSTMCell
from steploom.engine.choice import use_engine
from steploom.layers.recurrent import Recurrent
from tests.cells import by_hand, by_hand_few_gates, by_hand_normalised
from tests.cells.by_hand import backpropagate, run

STEPS = by_hand.STEPS | by_hand_few_gates.STEPS | by_hand_normalised.STEPS
CLOSE = {"rtol": 1e-10, "atol": 1e-10}
ATEN = ("rnn", "rnn-relu", "lstm", "gru")
SIZES = [(1, 1, 1, 1), (63, 3, 2, 15), (5, 17, 3, 1), (7, 1, 4, 5), (4, 3, 4, 4), (6, 2, 3, 8)]


def build(name, input_size, hidden_size):
    if name == "rnn-atan":
        return RNNCell(input_size, hidden_size, activation=torch.atan)
    if name == "slstm-exp":
        return SLSTMCell(input_size, hidden_size, forget="exp", heads=hidden_size)
    if name == "mogrifier-rank":
        return MogrifierLSTMCell(input_size, hidden_size, rounds=4, rank=2)
    return make_cell(name, input_size, hidden_size)


def test_every_named_cell_is_written_by_hand():
    assert set(cell_names()) <= set(STEPS)


@pytest.mark.parametrize(("time", "batch", "input_size", "hidden_size"), SIZES)
@pytest.mark.parametrize(
    ("name", "engine"), [(name, "reference") for name in STEPS] + [(name, "aten") for name in ATEN]
)
def test_forward_and_gradients(name, time, batch, input_size, hidden_size, engine):
    torch.manual_seed(0)
    cell = build(name, input_size, hidden_size).double()
    for parameter in cell.parameters():
        # With larger weights the rectified state of a Li-GRU grows without bound.
        torch.nn.init.normal_(parameter, std=0.2 if name == "ligru" else 0.4)
    x = torch.randn(time, batch, input_size, dtype=torch.float64, requires_grad=True)
    state = [torch.randn(1, batch, n, dtype=torch.float64) for n in cell.states.values()]
    if "n" in cell.states:
        # What sLSTM divides by is positive, or 0 before the first step.
        state[2] = state[2].abs().where(torch.rand_like(state[2]) < 0.7, 0)
        state[1] = state[1].where(state[2] > 0, 0)
    state = [part.requires_grad_() for part in state]
    d_y = torch.randn(time, batch, cell.hidden_size, dtype=torch.float64)
    d_final = [torch.randn_like(part) for part in state]
    with use_engine(engine):
        y, final = Recurrent(cell)(x, tuple(state))
    torch.autograd.backward([y, *final], [d_y, *d_final])

    p = {name: parameter.detach().numpy() for name, parameter in cell.named_parameters()}
    states = tuple(part[0].detach().numpy() for part in state)
    y_hand, final_hand, saved = run(STEPS[name], p, x.detach().numpy(), states)
    d_finals = tuple(part[0].numpy() for part in d_final)
    d_x, d_states, d_p = backpropagate(STEPS[name], p, saved, d_y.numpy(), d_finals)

    np.testing.assert_allclose(y.detach(), y_hand, **CLOSE)
    np.testing.assert_allclose(x.grad, d_x, **CLOSE)
    for ours, hand in zip(final, final_hand, strict=True):
        np.testing.assert_allclose(ours[0].detach(), hand, **CLOSE)
    for ours, hand in zip(state, d_states, strict=True):
        grad = torch.zeros_like(ours) if ours.grad is None else ours.grad
        np.testing.assert_allclose(grad[0], hand, **CLOSE)
    assert set(d_p) == set(p)
    for key, parameter in cell.named_parameters():
        np.testing.assert_allclose(parameter.grad, d_p[key], **CLOSE, err_msg=key)
