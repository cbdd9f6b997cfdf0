"""The scale of MASE and the errors of naive forecasts, by hand."""

import json

import numpy as np
import pytest

from steploom.tasks.forecast.yardstick import Yardstick


def test_by_hand() -> None:
    target = np.arange(50.0) ** 2
    target[10] = np.nan
    found = Yardstick.of(target, (2, 5))
    changes = np.array([target[t] - target[t - 2] for t in range(2, 50) if t not in (10, 12)])
    assert found.scale == pytest.approx(np.abs(changes).mean())
    assert found.errors.shape == (2, 9)
    # All changes are rises: nothing lies below the naive forecast.
    assert found.errors[0, :5].tolist() == [0] * 5
    np.testing.assert_allclose(found.errors[0, 5:], np.quantile(changes, [0.6, 0.7, 0.8, 0.9]))


def test_quantiles_of_both_signs_rise_through_0() -> None:
    errors = Yardstick.of(np.random.default_rng(0).normal(size=400), (24,)).errors[0]
    assert errors[0] < -1 and errors[4] == 0 and errors[8] > 1 and (np.diff(errors) >= 0).all()


@pytest.mark.parametrize("target", [np.empty(0), np.array([1.0, 2.0]), np.full(100, np.nan)])
def test_too_little_is_known(target: np.ndarray) -> None:
    found = Yardstick.of(target, (24,))
    assert np.isnan(found.scale) and found.errors.tolist() == [[0.0] * 9]


def test_json() -> None:
    for found in (
        Yardstick.of(np.arange(60.0) % 7, (7, 14)),
        Yardstick.of(np.arange(60.0), ()),
        Yardstick.of(np.empty(0), (7,)),
    ):
        again = Yardstick.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))
        np.testing.assert_equal(again.scale, found.scale)
        np.testing.assert_array_equal(again.errors, found.errors)
