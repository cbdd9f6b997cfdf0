"""The bias of the last forecasts, and how much of it is taken to last."""

import pytest
import torch

from steploom.models.recent_bias import REACH, half_width, lasting_share, mean_error, recent_bias

# Two forecasts of three steps: 90 to 110, and ten times as wide.
QUANTILES = torch.stack([torch.linspace(-1, 1, 9).expand(3, 9), 10 * torch.linspace(-1, 1, 9).expand(3, 9)]) * 10 + 100


def test_an_error_is_counted_in_half_widths() -> None:
    assert torch.equal(half_width(QUANTILES), torch.tensor([[10.0] * 3, [100.0] * 3]))
    target, observed = torch.tensor([[105.0, 110.0, 100.0]] * 2), torch.ones(2, 3)
    torch.testing.assert_close(mean_error(QUANTILES, target, observed), torch.tensor([0.5, 0.05]))


def test_what_was_not_measured_does_not_count() -> None:
    target = torch.tensor([[105.0, 9e9, 105.0]] * 2)
    error = mean_error(QUANTILES, target, torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]))
    assert error[0] == pytest.approx(0.5) and error[1].isnan()
    few = torch.tensor([[1.0] + [0.0] * 4, [1.0, 1.0] + [0.0] * 3])
    error = mean_error(torch.linspace(-1, 1, 9).expand(2, 5, 9), torch.full((2, 5), 0.5), few)
    assert error[0].isnan() and error[1] == pytest.approx(0.5), "a fifth of the steps says too little"


def test_an_outage_is_bounded() -> None:
    error = mean_error(QUANTILES, torch.full((2, 3), -1e6), torch.ones(2, 3))
    assert error.tolist() == [-1.5, -1.5]


def test_a_forecast_that_leans_has_no_bias() -> None:
    """The errors of a median would all be positive on average, where the upper half is wider."""
    leaning = torch.tensor([0.0, 0, 0, 0, 1, 1, 2, 4, 6]).expand(1, 9, 9)
    target = torch.tensor([[0.0, 0, 0, 0, 1, 1, 2, 4, 6]])
    assert abs(float(mean_error(leaning, target, torch.ones(1, 9)))) < 1e-6


def test_the_last_error_counts_most_and_missing_ones_not_at_all() -> None:
    nan = float("nan")
    errors = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 1.0], [nan, 1.0, nan, nan], [nan] * 4, [1.0, nan, 0, nan]])
    assert errors.shape[1] == REACH
    torch.testing.assert_close(recent_bias(errors), torch.tensor([8 / 15, 1 / 15, 1.0, 0.0, 0.8]))


def test_the_share_that_lasts_is_the_slope_where_there_are_many_days() -> None:
    bias = torch.linspace(-1, 1, 50)
    error = 0.45 * bias
    error[3] = float("nan")
    usual = lasting_share(error, bias, 0)
    assert 0 < usual < 0.5, "without a day it is what is usual"
    assert lasting_share(error, bias, 1e9) == pytest.approx(0.45)
    assert usual < lasting_share(error, bias, 10) < 0.45
    assert lasting_share(-error, bias, 1e9) == 0, "a bias that turns round is left alone"
    assert lasting_share(9 * error, bias, 1e9) < 1
    assert lasting_share(error[:0], bias[:0], 0) == usual
    assert lasting_share(error, 0 * bias, 1e9) == pytest.approx(usual), "no bias tells nothing"
    assert lasting_share(0.1 * error, 0.1 * bias, 10) < lasting_share(error, bias, 10), "a small one little"
