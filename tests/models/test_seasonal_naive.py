"""The naive forecasts, by hand and against a slow loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steploom.models.seasonal_naive import last_value, seasonal_naive, values_a_season_ago

NAN = np.nan


def test_by_hand() -> None:
    target = np.array([1.0, 2, 3, 4, 5, 6, 7])
    assert seasonal_naive(target, np.array([6]), 5, 3).tolist() == [[4, 5, 6, 4, 5]]
    assert seasonal_naive(target, np.array([7, 3]), 2, 3).tolist() == [[5, 6], [1, 2]]
    assert last_value(target, np.array([7, 1]), 2).tolist() == [[7, 7], [1, 1]]


def test_missing_values_are_looked_for_one_season_further_back_and_then_taken_from_the_last() -> None:
    target = np.array([1.0, 2, NAN, NAN, 5, NAN])
    assert seasonal_naive(target, np.array([6]), 3, 3).tolist() == [[1, 5, 5]]
    assert np.isnan(seasonal_naive(np.array([NAN, NAN, 3]), np.array([2]), 1, 2)).all()


def test_values_a_season_ago_are_missing_where_nothing_was_measured_then() -> None:
    target = np.array([1.0, 2, NAN, NAN, 5, NAN])
    np.testing.assert_array_equal(values_a_season_ago(target, np.array([6]), 3, 3), [[1, 5, NAN]])
    assert np.isnan(values_a_season_ago(np.array([1.0, 2]), np.array([2]), 3, 24)).all()


def test_shorter_than_a_season() -> None:
    assert seasonal_naive(np.array([1.0, 2]), np.array([2]), 3, 24).tolist() == [[2, 2, 2]]


@given(
    st.lists(st.one_of(st.just(NAN), st.integers(0, 9).map(float)), min_size=2, max_size=30),
    st.integers(1, 8),
    st.integers(1, 12),
    st.data(),
)
@settings(max_examples=200, deadline=None)
def test_equals_a_loop(values: list[float], season: int, horizon: int, data: st.DataObject) -> None:
    origin = data.draw(st.integers(1, len(values)))
    expected = []
    for step in range(horizon):
        row = origin + step
        while row >= origin or (row >= 0 and np.isnan(values[row])):
            row -= season
        measured = [v for v in values[:origin] if not np.isnan(v)]
        expected.append(values[row] if row >= 0 else measured[-1] if measured else NAN)
    found = seasonal_naive(np.array(values), np.array([origin]), horizon, season)
    np.testing.assert_array_equal(found[0], expected)


@pytest.mark.parametrize("season", [1, 3])
def test_nothing_from_the_origin_on_is_used(season: int) -> None:
    target = np.arange(12.0)
    changed = target.copy()
    changed[7:] = -99
    np.testing.assert_array_equal(
        seasonal_naive(target, np.array([7]), 5, season), seasonal_naive(changed, np.array([7]), 5, season)
    )
