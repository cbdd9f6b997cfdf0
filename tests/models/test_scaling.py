"""Scaling of windows: there and back, and what must not change."""

import numpy as np
import pytest
import torch

from steploom.models.scaling import Moments, Scale, suits_logarithm

BOTH = pytest.mark.parametrize("logarithm", [False, True])


def window(logarithm: bool, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    values = random.gamma(2.0, 50.0, (4, 60))
    if not logarithm:
        values -= 90
    return values, random.random(values.shape) > 0.2


def unknown(count: int = 4) -> Moments:
    return Moments(*np.full((3, count), np.nan))


def scale_of(values: np.ndarray, observed: np.ndarray, logarithm: bool) -> Scale:
    """Two windows of known series and two of new ones."""
    series = Moments.of(values * 1.3, observed, logarithm)
    for part in (series.unit, series.location, series.spread):
        part[2:] = np.nan
    return Scale.of(values, observed, series, logarithm)


@BOTH
def test_there_and_back(logarithm: bool) -> None:
    values, observed = window(logarithm)
    scale = scale_of(values, observed, logarithm)
    scaled = scale.apply(values, observed)
    assert (scaled[~observed] == 0).all()
    np.testing.assert_allclose(scale.invert(torch.from_numpy(scaled)).numpy()[observed], values[observed], rtol=1e-10)
    for number, (row, there) in enumerate(zip(scaled, observed, strict=True)):
        assert row[there].mean() == pytest.approx(0, abs=1e-9)
        if number >= 2:
            assert row[there].std() == pytest.approx(1)


@BOTH
def test_a_known_series_keeps_its_unit_and_spread(logarithm: bool) -> None:
    values, observed = window(logarithm)
    series = Moments(np.full(4, 7.0), np.full(4, 0.2), np.full(4, 0.6))
    scale = Scale.of(values, observed, series, logarithm)
    assert (scale.unit == 7).all() and (scale.spread == 0.6).all()
    assert scale.apply(values, observed).sum(1) == pytest.approx(0, abs=1e-8)
    empty = Scale.of(values, np.zeros_like(observed), series, logarithm)
    assert (empty.location == 0.2).all()


@BOTH
def test_missing_values_have_no_influence(logarithm: bool) -> None:
    values, observed = window(logarithm)
    one = scale_of(values, observed, logarithm)
    other = scale_of(np.where(observed, values, np.nan), observed, logarithm)
    for a, b in ((one.unit, other.unit), (one.location, other.location), (one.spread, other.spread)):
        assert torch.equal(a, b)


@BOTH
def test_another_unit_gives_the_same_scaled_values(logarithm: bool) -> None:
    values, observed = window(logarithm)
    thousand = scale_of(values * 1000, observed, logarithm)
    np.testing.assert_allclose(
        thousand.apply(values * 1000, observed),
        scale_of(values, observed, logarithm).apply(values, observed),
        atol=1e-9,
    )


@BOTH
def test_relative_is_the_value_in_units(logarithm: bool) -> None:
    values, observed = window(logarithm)
    scale = scale_of(values, observed, logarithm)
    relative = scale.relative(torch.from_numpy(scale.apply(values, observed))).numpy()
    change = relative[:, 1:] - relative[:, :1]
    expected = (values[:, 1:] - values[:, :1]) / scale.unit.numpy()[:, None]
    both = observed[:, 1:] & observed[:, :1]
    np.testing.assert_allclose(change[both], expected[both], atol=1e-9)


def test_small_changes_of_a_large_value_survive_float32() -> None:
    values = 1e9 + np.sin(np.arange(50.0))[None] * 1e6
    observed = np.ones_like(values, dtype=bool)
    scale = Scale.of(values, observed, unknown(1), logarithm=False)
    single = torch.from_numpy(scale.apply(values, observed)).float()
    assert np.abs(scale.invert(single).numpy() - values).max() < 1.0


@BOTH
@pytest.mark.parametrize("value", [0.0, 5.0])
def test_constant_and_empty_windows_are_finite(logarithm: bool, value: float) -> None:
    values = np.full((2, 10), value)
    observed = np.array([[True] * 10, [False] * 10])
    scale = Scale.of(values, observed, unknown(2), logarithm)
    assert (scale.unit > 0).all() and (scale.spread > 0).all()
    assert scale.unit[1] == 1 and scale.spread[1] == 1
    back = scale.invert(torch.from_numpy(scale.apply(values, observed)))
    assert back[0].numpy() == pytest.approx(values[0], abs=1e-9)


def test_logarithm_never_gives_a_negative_or_infinite_value() -> None:
    values, observed = window(True)
    scale = Scale.of(values, observed, unknown(), logarithm=True)
    extreme = torch.tensor([-1e6, -50.0, 50.0, 1e6]).repeat(4, 1).requires_grad_()
    back = scale.invert(extreme)
    assert (back >= 0).all() and torch.isfinite(back).all()
    (slope,) = torch.autograd.grad(scale.relative(extreme).sum(), extreme)
    assert torch.isfinite(slope).all()


def test_logarithm_suits_positive_series() -> None:
    positive = np.array([1.0, 2.0, np.nan, 3.0])
    assert suits_logarithm([positive])
    assert not suits_logarithm([positive, np.array([-1.0, 2.0])])
    assert not suits_logarithm([np.array([0.0, 0.0, 1.0])])
    assert suits_logarithm([np.r_[0.0, np.ones(20)]])
    assert not suits_logarithm([np.array([np.nan])])
