"""Calendar features against the calendar itself."""

import numpy as np
import pytest

from steploom.data.series.calendar import CYCLES, calendar_cycles, calendar_features, feature_count


def stamps(*texts: str) -> np.ndarray:
    return np.array(texts, "datetime64[ns]")


@pytest.mark.parametrize(
    ("frequency", "last", "cycles"),
    [
        ("s", "2020-01-02", ("hour",)),
        ("min", "2020-01-10", ("hour", "day")),
        ("h", "2020-01-10", ("day",)),
        ("h", "2020-04-01", ("day", "week")),
        ("h", "2023-01-01", ("day", "week", "year")),
        ("12h", "2020-06-01", ("week",)),
        ("D", "2023-01-01", ("week", "month", "year")),
        ("B", "2023-01-01", ("week", "month", "year")),
        ("W-SUN", "2025-01-01", ("month", "year")),
        ("MS", "2025-01-01", ("year",)),
        ("QS", "2025-01-01", ("year",)),
        ("YS", "2055-01-01", ()),
    ],
)
def test_cycles_are_those_the_data_can_teach(frequency: str, last: str, cycles: tuple[str, ...]) -> None:
    assert calendar_cycles(frequency, np.datetime64("2020-01-01"), np.datetime64(last)) == cycles


def test_features_repeat_after_a_cycle_and_not_before() -> None:
    first = stamps("2021-03-01T05:00")[0]
    for name, length in (("hour", "3600s"), ("day", "1D"), ("week", "7D")):
        step = np.timedelta64(int(length[:-1]), length[-1]).astype("timedelta64[ns]")
        here, again, between = (calendar_features(first + k * step // 4, [name]) for k in (0, 4, 1))
        np.testing.assert_allclose(here, again, atol=1e-6)
        assert np.abs(here - between).max() > 0.5


def test_place_in_the_year_and_month() -> None:
    year = calendar_features(stamps("2020-01-01", "2020-07-02", "2021-01-01"), ["year"])
    np.testing.assert_allclose(year, [[0, 1], [0, -1], [0, 1]], atol=1e-6)
    month = calendar_features(stamps("2021-02-01", "2021-02-15", "2021-04-16"), ["month"])
    np.testing.assert_allclose(month, [[0, 1], [0, -1], [0, -1]], atol=1e-6)


def test_weekend() -> None:
    days = stamps("2021-05-28T12:00", "2021-05-29", "2021-05-30T23:00", "2021-05-31")
    assert calendar_features(days, ["week"])[:, -1].tolist() == [0, 1, 1, 0]


def test_times_before_1970() -> None:
    early, late = (calendar_features(stamps(t), ["day", "week"]) for t in ("1960-01-05T07:00", "2021-01-05T07:00"))
    np.testing.assert_allclose(early, late, atol=1e-6)  # both are Tuesdays


def test_count_and_shape() -> None:
    times = np.zeros((3, 4), "datetime64[ns]")
    for cycles in ((), ("day",), tuple(CYCLES)):
        features = calendar_features(times, cycles)
        assert features.shape == (3, 4, feature_count(cycles))
        assert features.dtype == np.float32
        assert np.abs(features).max(initial=0) <= 1
