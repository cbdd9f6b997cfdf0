"""Walks of a level: still at the origin, as wide as asked for, and the same as moving the series itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from steploom.data.series.level_walk import LevelWalk
from steploom.data.series.window_batches import DrawnWindows
from steploom.data.series.window_layout import Layout, rows_before
from steploom.data.series.windows import Windows
from tests.data.series.forecast_series import hourly

CONTEXT, HORIZON, ROWS = 30, 24, [(30, 250), (30, 400)]


def drawn(origins: list[int], before: int, size: float) -> LevelWalk:
    return LevelWalk.drawn(np.random.default_rng(0), np.array(origins), before, HORIZON, size)


def test_a_walk_starts_at_the_origin_and_is_as_wide_as_asked_for() -> None:
    walk = drawn([600] * 4000, 48, 0.05)
    assert walk.change.shape == (4000, 72) and walk.first.tolist() == [552] * 4000
    assert np.all(walk.change[:, 47] == 0)
    assert walk.change[:, 71].std() == pytest.approx(0.05, rel=0.05)
    assert walk.change[:, 23].std() == pytest.approx(0.05, rel=0.05)
    assert walk[slice(1, None, 2)].change.shape == (2000, 72)


@pytest.mark.parametrize("logarithm", [True, False])
def test_windows_with_a_walk_are_those_of_the_moved_series(logarithm: bool) -> None:
    data = hourly((420, 900))
    layout = Layout.learn(data, [(CONTEXT, len(s)) for s in data], CONTEXT, HORIZON, logarithm=logarithm)
    origins = [300, 800]
    walk = drawn(origins, rows_before(CONTEXT, HORIZON, layout.lags), 0.3)
    batch, scale = Windows(data, layout).at(np.array([0, 1]), np.array(origins), walk)
    for i, series in enumerate(data.series):
        unit = layout.moments[i][0]
        change = np.zeros(len(series))
        place = np.arange(len(series)) - walk.first[i]
        inside = (place >= 0) & (place < walk.change.shape[1])
        change[inside] = walk.change[i, place[inside]]
        grown = (series.target + 0.01 * unit) * np.exp(change) - 0.01 * unit
        target = np.maximum(grown, 0) if logarithm else series.target + change * unit
        moved = data.with_series([replace(s, target=target) if j == i else s for j, s in enumerate(data.series)])
        expected, one_scale = Windows(moved, layout).at(np.array([i]), np.array([origins[i]]))
        assert scale.location[i].item() == pytest.approx(one_scale.location[0].item(), abs=1e-9)
        for name, values in expected.items():
            torch.testing.assert_close(batch[name][i : i + 1], values, rtol=1e-5, atol=1e-5, msg=name)


def test_batches_with_a_walk_hold_the_same_origins_at_other_levels() -> None:
    data = hourly()
    windows = Windows(data, Layout.learn(data, ROWS, CONTEXT, HORIZON))
    plain = DrawnWindows(windows, ROWS, 16, 5, 3).batch(2, 4)
    wandering = DrawnWindows(windows, ROWS, 16, 5, 3, 0.05)
    batch = wandering.batch(2, 4)
    assert torch.equal(batch["observed"], plain["observed"]) and torch.equal(batch["series"], plain["series"])
    for name in ("values", "target", "lags", "seasonal", "levels", "level"):
        assert not torch.equal(batch[name], plain[name]), name
    again = DrawnWindows(windows, ROWS, 16, 5, 3, 0.05).batch(2, 4)
    other = wandering.batch(2, 3)
    assert all(torch.equal(batch[name], again[name]) for name in batch)
    assert not torch.equal(batch["values"], other["values"])
    for rank in range(3):
        share = wandering.batch(2, 4, rank, 3)
        assert all(torch.equal(share[name], batch[name][rank::3]) for name in batch)
