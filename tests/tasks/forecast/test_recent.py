"""The bias of the forecasts before an origin."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from steploom.data.series.series import Series, SeriesSet
from steploom.data.series.window_layout import Layout, rows_before
from steploom.data.series.windows import Windows
from steploom.models.forecaster import Forecaster
from steploom.models.recent_bias import REACH, recent_bias
from steploom.models.recurrent_shape import RecurrentShape
from steploom.tasks.forecast.recent import bias_before
from tests.data.series.forecast_series import changed, hourly

CONTEXT, HORIZON = 30, 12


@pytest.fixture
def network() -> Forecaster:
    data = hourly()
    layout = Layout.learn(data, [(CONTEXT, len(s)) for s in data], CONTEXT, HORIZON)
    torch.manual_seed(0)
    return Forecaster(RecurrentShape("gru", 5), layout).eval()


def test_it_is_that_of_the_forecasts_one_horizon_after_the_other(network: Forecaster) -> None:
    windows = Windows(hourly(), network.layout)
    series, rows = np.array([1, 0, 1, 1]), np.array([200, 150, 212, 60])
    found = bias_before(network, windows, series, rows)
    for number, row, bias in zip(series, rows, found, strict=True):
        errors = [
            network.misses(*windows.at(np.array([number]), np.array([before]))).mean_error
            for before in row - HORIZON * np.arange(1, REACH + 1)
            if before >= CONTEXT
        ]
        errors += [torch.tensor([float("nan")])] * (REACH - len(errors))
        torch.testing.assert_close(bias[None], recent_bias(torch.stack(errors, 1)))
    assert len(set(found.tolist())) == 4


def test_origins_with_nothing_before_them_have_none(network: Forecaster) -> None:
    found = bias_before(network, Windows(hourly(), network.layout), np.array([0, 1]), np.array([CONTEXT + 5, 3]))
    assert found.tolist() == [0, 0]
    assert len(bias_before(network, Windows(hourly(), network.layout), *np.zeros((2, 0), np.int64))) == 0


def test_nothing_from_the_origin_on_is_looked_at(network: Forecaster) -> None:
    data, row = hourly(), 220
    series, rows = np.array([1]), np.array([row])
    plain = bias_before(network, Windows(data, network.layout), series, rows)
    later, earlier = (
        bias_before(network, Windows(changed(data, 1, first, 7.0), network.layout), series, rows)
        for first in (row, row - 1)
    )
    assert torch.equal(plain, later) and not torch.equal(plain, earlier)


def _rows_before(data: SeriesSet, row: int, count: int) -> Series:
    one, first = data.series[0], row - count
    parts = {"target": one.target[first:row], "past": one.past[first:row], "known": one.known[first:]}
    return replace(one, start=data.times(one, first, 1)[0], **parts)


def test_it_reaches_back_as_far_as_a_model_keeps_rows(network: Forecaster) -> None:
    data = hourly((1200,))
    reach = rows_before(CONTEXT, HORIZON, data.seasons) + REACH * HORIZON
    series, rows = np.array([0]), np.array([1100])
    whole = bias_before(network, Windows(data, network.layout), series, rows)
    for kept, same in ((reach, True), (reach // 2, False)):
        cut = data.with_series([_rows_before(data, 1100, kept)])
        found = bias_before(network, Windows(cut, network.layout), series, np.array([kept]))
        assert torch.equal(found, whole) == same
