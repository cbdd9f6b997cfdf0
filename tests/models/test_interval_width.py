"""How wide intervals have to be, from how far outside of former ones lay what was measured."""

import numpy as np
import pytest
import torch

from steploom.data.series.window_layout import Layout
from steploom.data.series.windows import Windows
from steploom.models.forecaster import HEADS, Forecaster
from steploom.models.interval_width import outside, recent_forecasts, recent_widening
from steploom.models.recurrent_shape import RecurrentShape
from steploom.models.scaling import Scale
from tests.data.series.forecast_series import hourly

CONTEXT, HORIZON = 30, 12
NAN = float("nan")
BOTH = pytest.mark.parametrize("head", HEADS)


def forecaster(head: str, counts: bool = False) -> tuple[Forecaster, dict[str, torch.Tensor], Scale]:
    """A network without a logarithm, so that lengths in the data's unit are as long as in the scale."""
    data = hourly(counts=counts)
    layout = Layout.learn(data, [(CONTEXT, len(s)) for s in data], CONTEXT, HORIZON, logarithm=False)
    torch.manual_seed(0)
    output = "negative_binomial" if counts else "quantile"
    network = Forecaster(RecurrentShape("gru", 5), layout, head=head, output=output).eval()
    return network, *Windows(data, layout).at(np.array([0, 1, 1]), np.array([200, 60, 350]))


def test_a_bound_lies_1_outside_on_either_side() -> None:
    error, below, above = torch.tensor([-2.0, -1, 0, 2, 4, 8, NAN]), torch.full((7,), 2.0), torch.full((7,), 4.0)
    found = outside(error, below, above)
    assert found[:-1].tolist() == [1, 0.5, 0, 0.5, 1, 2] and found[-1].isnan()


def test_a_value_that_is_median_and_bound_in_one_lies_on_the_bound() -> None:
    assert outside(torch.zeros(2), torch.tensor([0.0, 3]), torch.full((2,), 5.0)).tolist() == [1, 0]


def test_it_is_the_quantile_of_what_was_measured() -> None:
    """Of very many forecasts: nothing pulls then."""
    many = torch.linspace(0, 2, 101).expand(1, 4000, 101)
    assert float(recent_widening(many)) == pytest.approx(1.6, abs=1e-3)
    holes = torch.stack((many, torch.full_like(many, NAN)), 1).flatten(1, 2)
    assert float(recent_widening(holes)) == pytest.approx(1.6, abs=1e-3)


def test_few_values_change_little() -> None:
    found = torch.full((5, 14, 24), NAN)
    for origin, count in enumerate((0, 1, 3, 14)):
        found[origin, :count] = 2.0
    found[4, :, 0] = 2.0
    expected = [1, 2 ** (1 / 4), 2 ** (3 / 6), 2 ** (14 / 17), 2 ** (14 / 24 / (14 / 24 + 3))]
    np.testing.assert_allclose(recent_widening(found), expected)
    short = torch.full((1, 100, 1), 2.0)
    np.testing.assert_allclose(recent_widening(short), [2 ** (100 / 120)], err_msg="20 values, not three")


def test_no_factor_is_extreme() -> None:
    found = torch.stack((torch.full((4000, 24), 50.0), torch.zeros(4000, 24)))
    np.testing.assert_allclose(recent_widening(found), [3, 0.5], rtol=2e-3)


def test_short_horizons_need_more_forecasts() -> None:
    assert [recent_forecasts(horizon) for horizon in (1, 6, 7, 8, 24, 500)] == [100, 17, 15, 14, 14, 14]


@BOTH
@pytest.mark.parametrize("counts", [False, True])
def test_a_width_spreads_the_quantiles_of_its_window(head: str, counts: bool) -> None:
    network, batch, scale = forecaster(head, counts)
    network.widening.fill_(1.5)
    mean, plain = network.predict(batch, scale)
    same = network.predict(batch, scale, None, torch.ones(3, dtype=torch.float64))
    assert torch.equal(same[0], mean) and torch.equal(same[1], plain)
    _, spread = network.predict(batch, scale, None, torch.tensor([1.0, 2.0, 0.5]))
    assert torch.equal(spread[0], plain[0])
    lengths, plain_lengths = ((q[..., 8] - q[..., 0]).sum(-1) for q in (spread, plain))
    assert lengths[1] > plain_lengths[1] and lengths[2] < plain_lengths[2]
    if not counts:
        median = plain[..., 4:5]
        torch.testing.assert_close(
            spread, median + (plain - median) * torch.tensor([1.0, 2.0, 0.5])[:, None, None], rtol=1e-5, atol=1e-3
        )


@BOTH
def test_misses_are_those_of_the_forecast_that_would_have_been_made(head: str) -> None:
    """On the bounds of what `predict` gives lies 1 outside, and half way to them half as much."""
    network, batch, scale = forecaster(head)
    network.lasting.fill_(0.4)
    network.widening.fill_(1.5)
    bias = torch.tensor([0.5, -1.0, 0.0])
    quantiles = scale.apply(network.predict(batch, scale, bias)[1].numpy(), np.ones(1, bool))
    low, middle, high = (torch.from_numpy(np.asarray(quantiles[..., i])).float() for i in (0, 4, 8))
    for target, expected in ((low, 1.0), ((middle + high) / 2, 0.5), (3 * high - 2 * middle, 3.0)):
        seen = batch | {"target": target, "target_observed": torch.ones(3, HORIZON)}
        seen["target_observed"][1, 2] = 0
        found = network.outside(network.misses(seen, scale), bias)
        assert found[1, 2].isnan()
        np.testing.assert_allclose(found.nan_to_num(expected), expected, atol=1e-3)
