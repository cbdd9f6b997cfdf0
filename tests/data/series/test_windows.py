"""Windows against rows picked one by one, and what they must not see."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from steploom.data.series.calendar import calendar_features
from steploom.data.series.series import Series, SeriesSet
from steploom.data.series.window_layout import Layout, rows_before
from steploom.data.series.windows import Windows
from tests.data.series.forecast_series import changed, hourly

CONTEXT, HORIZON = 30, 24


def learnt(data: SeriesSet, horizon: int = HORIZON, **options: object) -> Layout:
    return Layout.learn(data, [(CONTEXT, len(s)) for s in data], CONTEXT, horizon, **options)  # type: ignore[arg-type]


def test_values_are_the_rows_around_the_origin() -> None:
    data = hourly()
    layout = learnt(data)
    batch, scale = Windows(data, layout).at(np.array([1, 0]), np.array([200, 40]))
    unit, location, spread = (p.numpy() for p in (scale.unit, scale.location, scale.spread))

    def check(name: str, flags: str, at: tuple[int, ...], target: np.ndarray, row: int) -> None:
        value, i = target[row] if 0 <= row < len(target) else np.nan, at[0]
        seen = 0.0 if np.isnan(value) else 1.0
        expected = (np.log(value / unit[i] + 0.01) - location[i]) / spread[i] if seen else 0.0
        assert batch[name][at].item() == pytest.approx(expected, abs=1e-5), (name, at, row)
        assert batch[flags][at].item() == seen, (flags, at, row)

    for i, (number, origin) in enumerate(((1, 200), (0, 40))):
        target = data.series[number].target
        for k in range(CONTEXT):
            check("values", "observed", (i, k), target, origin - CONTEXT + k)
        for h in range(HORIZON):
            check("target", "target_observed", (i, h), target, origin + h)
            for j, season in enumerate((24, 168)):
                for repeat in range(3):
                    row = origin + h - season * (repeat + 1)
                    check("seasonal", "seasonal_observed", (i, h, 3 * j + repeat), target, row)
        for k in range(CONTEXT + HORIZON):
            for j, season in enumerate((24, 168)):
                row = origin - CONTEXT + k - season
                check("lags", "lags_observed", (i, k, j), target, row if row < origin else -1)
        assert unit[i] == pytest.approx(np.nanmean(np.abs(target)))
        squeezed = np.log(target / unit[i] + 0.01)
        assert spread[i] == pytest.approx(np.nanstd(squeezed))
        assert location[i] == pytest.approx(np.nanmean(squeezed[max(0, origin - 168) : origin]))
        level = (location[i] - np.nanmean(squeezed)) / spread[i]
        assert batch["level"][i].item() == pytest.approx(level, abs=1e-5)


def test_covariates_are_standardised_and_the_past_ones_end_at_the_origin() -> None:
    data = hourly()
    layout = learnt(data)
    batch, _ = Windows(data, layout).at(np.array([1]), np.array([200]))
    found = batch["covariates"][0].numpy()
    series = data.series[1]
    rows = np.arange(200 - CONTEXT, 200 + HORIZON)
    calendar = calendar_features(data.times(series)[rows], layout.cycles)
    count = calendar.shape[1]
    assert count > 0
    np.testing.assert_allclose(found[:, :count], calendar, atol=1e-6)
    every = np.concatenate([s.past for s in data])
    past = (series.past[rows] - np.nanmean(every, 0)) / np.nanstd(every, 0)
    past[CONTEXT:] = np.nan
    np.testing.assert_allclose(found[:, count : count + 2], np.nan_to_num(past), atol=1e-5)
    np.testing.assert_array_equal(found[:, count + 2 : count + 4], ~np.isnan(past))
    known = np.concatenate([s.known[: len(s)] for s in data])
    expected = (series.known[rows] - known.mean(0)) / known.std(0)
    np.testing.assert_allclose(found[:, count + 4 : count + 5], expected, atol=1e-5)
    assert found.shape[1] == layout.covariate_count


@pytest.mark.parametrize("price", [3.99, 5000.0, -0.1, 0.0])
def test_a_covariate_that_is_constant_in_training_is_measured_by_its_size(price: float) -> None:
    data = hourly((300,))
    known = np.full((348, 1), price)
    known[290:] = price * 1.1 + (price == 0)
    layout = Layout.learn(
        data.with_series([replace(data.series[0], known=known)]), [(CONTEXT, 280)], CONTEXT, HORIZON, calendar=False
    )
    assert layout.known == ((price, abs(price) or 1.0),)
    windows = Windows(data.with_series([replace(data.series[0], known=known)]), layout)
    seen = windows.at(np.array([0]), np.array([285]))[0]["covariates"][0, :, -2].numpy()
    np.testing.assert_array_equal(seen[: CONTEXT + 5], 0)
    np.testing.assert_allclose(seen[CONTEXT + 5 :], 0.1 * np.sign(price) + (price == 0), rtol=1e-6)


def test_only_known_covariates_are_seen_beyond_the_origin() -> None:
    data = hourly()
    layout, at = learnt(data), (np.array([0]), np.array([200]))
    before, _ = Windows(data, layout).at(*at)
    after, _ = Windows(changed(data, 0, 200, 1e6, ("target", "past")), layout).at(*at)
    for name, value in before.items():
        if name not in ("target", "target_observed"):
            assert torch.equal(value, after[name]), name
    moved, _ = Windows(changed(data, 0, 200, 1e6, ("known",)), layout).at(*at)
    assert not torch.equal(before["covariates"], moved["covariates"])


def test_at_the_end_of_a_series_the_target_is_missing() -> None:
    data = hourly()
    batch, _ = Windows(data, learnt(data)).at(np.array([0]), np.array([300]))
    assert batch["target_observed"].sum() == 0
    assert batch["values"].abs().sum() > 0


def test_a_horizon_longer_than_the_season_uses_the_last_seasons_before_the_origin() -> None:
    data = hourly()
    layout = learnt(data, horizon=40)
    batch, scale = Windows(data, layout).at(np.array([1]), np.array([300]))
    target = data.series[1].target
    for h in (0, 23, 24, 39):
        row = 300 + h - 24 * (h // 24 + 1)
        assert row < 300
        value = scale.invert(batch["seasonal"][:, h, 0])[0].item()
        expected = target[row]
        assert (batch["seasonal_observed"][0, h, 0] == 0) == np.isnan(expected)
        assert np.isnan(expected) or value == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("frequency", "horizon", "reach"),
    [("h", HORIZON, 3 * 175), ("3D", 4, CONTEXT), ("3D", 15, CONTEXT), ("3D", 40, 80), ("MS", 40, 6 * 13)],
)
def test_rows_before_are_all_that_a_window_looks_at(frequency: str, horizon: int, reach: int) -> None:
    data = replace(hourly((1200,)), frequency=frequency)
    layout = learnt(data, horizon, calendar=False)
    rows = rows_before(CONTEXT, horizon, data.seasons)
    assert rows == reach and layout.lags == data.seasons
    origin = 1100
    one, _ = Windows(data, layout).at(np.array([0]), np.array([origin]))
    series = data.series[0]
    cut = origin - rows
    short = replace(
        series,
        start=data.times(series, cut, 1)[0],
        target=series.target[cut:],
        past=series.past[cut:],
        known=series.known[cut:],
    )
    other, _ = Windows(data.with_series([short]), layout).at(np.array([0]), np.array([rows]))
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_a_window_does_not_depend_on_its_batch() -> None:
    data = hourly()
    windows = Windows(data, learnt(data))
    series, rows = np.array([0, 1, 1]), np.array([100, 60, 390])
    together, _ = windows.at(series, rows)
    for i in range(3):
        alone, _ = windows.at(series[i : i + 1], rows[i : i + 1])
        for name, value in together.items():
            assert torch.equal(value[i], alone[name][0]), name


def test_months_and_a_series_without_season() -> None:
    times = {"MS": "2001-01-01", "YS": "1950-01-01"}
    for frequency, start in times.items():
        values = 50 + np.arange(60.0)
        data = SeriesSet(
            [Series("a", np.datetime64(start, "ns"), values, np.zeros((60, 0)), np.zeros((60, 0)))], frequency
        )
        layout = Layout.learn(data, [(12, 60)], 12, 6)
        batch, _ = Windows(data, layout).at(np.array([0, 0]), np.array([20, 50]))
        assert all(torch.isfinite(v).all() for v in batch.values())
        assert batch["lags"].shape == (2, 18, len(data.seasons))
        expected = calendar_features(pd.date_range(start, periods=60, freq=frequency).to_numpy()[8:26], layout.cycles)
        np.testing.assert_allclose(batch["covariates"][0].numpy(), expected, atol=1e-6)


def test_the_layout_survives_json_and_learns_nothing_from_validation() -> None:
    data = hourly()
    rows = [(CONTEXT, 200), (CONTEXT, 300)]
    layout = Layout.learn(data, rows, CONTEXT, HORIZON)
    assert Layout.from_json(json.loads(json.dumps(layout.to_json()))) == layout
    for number, stop in enumerate((200, 300)):
        data = changed(data, number, stop, -1e6, ("target", "past", "known"))
    assert Layout.learn(data, rows, CONTEXT, HORIZON) == layout
    assert layout.logarithm and layout.series == ("series 0", "series 1") and layout.static == (2, 1)
    assert layout.vectors and not learnt(hourly((300,))).vectors


def test_a_new_series_has_no_vector_and_is_scaled_by_its_window() -> None:
    data = hourly()
    layout = learnt(data)
    stranger = data.with_series([replace(data.series[1], id="stranger"), data.series[0]])
    batch, scale = Windows(stranger, layout).at(np.array([0, 1]), np.array([100, 100]))
    assert batch["series"].tolist() == [0, 1]
    assert batch["level"][0] == 0 and batch["level"][1] != 0
    assert scale.unit[0] == pytest.approx(np.nanmean(np.abs(data.series[1].target[:100])))


@pytest.mark.parametrize("logarithm", [False, True])
def test_few_values_of_a_new_series_do_not_say_how_far_they_spread(logarithm: bool) -> None:
    """A new item with one day of sales is forecast with the doubt that the other items have."""
    data = hourly()
    layout = learnt(data, logarithm=logarithm)
    usual = np.median([spread for _, _, spread in layout.moments])
    own = 0.0 if logarithm else 1e-4
    long = replace(data.series[0], id="long", target=np.full(300, 7.0))
    windows = Windows(data.with_series([long, data.series[0]]), layout)

    def spread(origin: int) -> float:
        return float(windows.at(np.array([0]), np.array([origin]))[1].spread[0])

    assert spread(0) == pytest.approx(usual * np.sqrt(5)), "nothing is known"
    assert 2 * usual < spread(1) < np.sqrt(5) * usual
    assert usual < spread(4) < spread(2) < spread(1)
    assert own < spread(168) < 0.07 * usual
    known = windows.at(np.array([1]), np.array([3]))[1]
    assert float(known.spread[0]) == layout.moments[0][2], "a series of training has its own"


@pytest.mark.parametrize(
    ("values", "logarithm", "nonnegative"),
    [
        ((5.0, 1.0), None, False),
        ((5.0, 0.0), None, True),
        ((5.0, 0.0), False, False),
        ((5.0, -1.0), None, False),
        ((-1.0, 0.0), None, False),
    ],
)
def test_values_that_are_often_0_and_never_below_have_no_forecasts_below(
    values: tuple[float, float], logarithm: bool | None, nonnegative: bool
) -> None:
    """A logarithm, where it is taken, gives none below 0 by itself."""
    data = hourly((300,), missing=0)
    data = data.with_series([replace(data.series[0], target=np.resize(values, 300))])
    layout = learnt(data, logarithm=logarithm)
    assert layout.nonnegative == nonnegative
    assert layout.logarithm == (logarithm is None and min(values) > 0)
    assert Layout.from_json(layout.to_json()) == layout


def test_measured_seasons_are_those_of_the_data() -> None:
    data = hourly((1200,), missing=0)
    drifting = 100 + 50 * np.sin(2 * np.pi * np.arange(1200) / 23.5)
    data.series[0].target[:] = drifting
    assert learnt(data).lags == (24, 168)
    layout = learnt(data, measured=True)
    assert layout.seasons == pytest.approx((23.5, 164.5), rel=0.003)
    assert "day" not in layout.cycles and "week" not in layout.cycles
    batch, scale = Windows(data, layout).at(np.array([0]), np.array([1100]))
    target, seasonal = batch["target"][0].numpy(), batch["seasonal"][0].numpy()
    assert (batch["seasonal_observed"] == 1).all()
    assert np.abs(seasonal - target[:, None]).mean() < 0.2  # three weeks at lag 168 would be 10 rows off: 2.0
    assert scale.spread > 0
