"""Optimisers by name, and clipping by hand."""

import pytest
import torch
from torch import nn

from steploom.training.optimizers import clip_gradients, make_optimizer
from steploom.training.options import TrainOptions


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("adam", torch.optim.Adam),
        ("adamw", torch.optim.AdamW),
        ("rmsprop", torch.optim.RMSprop),
        ("sgd", torch.optim.SGD),
    ],
)
def test_the_options_reach_the_optimiser(name, kind):
    momentum = {"momentum": 0.5} if name in ("sgd", "rmsprop") else {}
    nesterov = {"nesterov": True} if name == "sgd" else {}
    options = TrainOptions.checked({"optimizer": name, "weight_decay": 0.25, **momentum, **nesterov})
    parameters = nn.Linear(2, 1).requires_grad_(True)
    parameters.bias.requires_grad_(False)
    optimizer = make_optimizer(parameters.parameters(), options)
    (group,) = optimizer.param_groups
    assert type(optimizer) is kind and group["weight_decay"] == 0.25
    assert len(group["params"]) == 1, "a frozen parameter is left out"
    if name in ("sgd", "rmsprop"):
        assert group["momentum"] == 0.5
    if name == "sgd":
        assert group["nesterov"]


def with_gradient(*values: float) -> list[nn.Parameter]:
    parameter = nn.Parameter(torch.zeros(len(values)))
    parameter.grad = torch.tensor(values)
    return [parameter, nn.Parameter(torch.zeros(1))]


def test_values_are_clipped_before_the_norm():
    parameters = with_gradient(3.0, -40.0)
    norm = clip_gradients(parameters, value=4.0, norm=1.0)
    assert norm is not None and float(norm) == pytest.approx(5.0)
    torch.testing.assert_close(parameters[0].grad, torch.tensor([0.6, -0.8]))


def test_nothing_is_clipped_unless_asked_for():
    parameters = with_gradient(3.0, -40.0)
    assert clip_gradients(parameters, value=0.0, norm=0.0) is None
    assert parameters[0].grad.tolist() == [3.0, -40.0]
