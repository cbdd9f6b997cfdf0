"""Season lengths found in made-up series."""

import numpy as np
import pytest

from steploom.data.series.seasonality import measured_seasons


def weekly(length: int, day: float, seed: int = 0, noise: float = 0.3) -> np.ndarray:
    t = np.arange(length)
    week = np.sin(2 * np.pi * t / (7 * day)) > 0.5
    return np.sin(2 * np.pi * t / day) + week + noise * np.random.default_rng(seed).normal(size=length)


def test_a_series_on_the_clock_keeps_its_seasons() -> None:
    assert measured_seasons([weekly(2000, 24.0)], (24, 168)) == (24, 168)


@pytest.mark.parametrize("day", [23.4, 23.6, 24.5])
def test_a_drifting_clock_is_measured(day: float) -> None:
    target = weekly(1200, day)
    target[300:320] = np.nan
    found = measured_seasons([target, 5 * weekly(1500, day, 1)], (24, 168))
    assert found == pytest.approx((day, 7 * day), rel=0.002)


def test_noise_trends_and_short_series_move_nothing() -> None:
    random = np.random.default_rng(0)
    nothing = [
        random.normal(size=3000),
        random.normal(size=3000).cumsum(),
        np.arange(3000.0),
        np.zeros(3000),
        np.full(3000, np.nan),
        weekly(400, 23.5),
    ]
    for target in nothing:
        assert measured_seasons([target], (24, 168)) == (24, 168)
    assert measured_seasons([np.ones(10)], ()) == ()
    assert measured_seasons([random.normal(size=200)], (12,)) == (12,)
