"""The sum of many losses."""

import math

import pytest
import torch

from steploom.errors import SteploomError
from steploom.training.loss_sum import LossSum, check_finite
from steploom.training.state import State


def test_totals_and_weights_are_summed_apart_and_exactly():
    losses = LossSum(torch.device("cpu"), 2.0**24, 3.0)
    for weight in (2.0, torch.tensor(3)):
        losses.add(losses.terms(torch.tensor(1.0, requires_grad=True), weight))
    assert losses.values() == (2.0**24 + 2, 8.0)
    assert losses.mean() == (2.0**24 + 2) / 8
    assert not losses.sums.requires_grad


def test_the_mean_of_nothing():
    assert math.isnan(LossSum(torch.device("cpu")).mean())


@pytest.mark.parametrize("total", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_is_told_with_its_place(total):
    with pytest.raises(SteploomError, match=r"not a finite number any more \(epoch 3, step 18\).*--lr"):
        check_finite(total, State(epoch=2, step=17))
    check_finite(1e300, State())
