"""The step of a series, its grid and its seasons."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steploom.data.series.find_frequency import FrequencyProblem, anchors, find_frequency
from steploom.data.series.frequency import check_frequency, grid_positions, season_lengths, step_in_words, time_grid
from steploom.errors import OptionError

FREQUENCIES = [
    "100ms", "30s", "5min", "15min", "90min", "h", "2h", "D", "3D", "W-SUN", "W-TUE", "2W-MON", "MS", "ME", "2MS",
    "QS-FEB", "QE-DEC", "YS-JAN", "YE-DEC", "YS-APR", "B",
]  # fmt: skip


def grid(frequency: str, count: int = 60) -> np.ndarray:
    return pd.date_range("2014-01-03", periods=count, freq=frequency).to_numpy().astype("datetime64[ns]")


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_found_with_and_without_gaps(frequency: str) -> None:
    times = grid(frequency)
    keep = np.ones(60, bool)
    keep[[7, 8, 20, 33]] = False
    for kept in (np.ones(60, bool), keep):
        series = np.zeros(kept.sum(), np.int64)
        found = find_frequency(times[kept], series)
        positions, regular = grid_positions(times[kept], times[0], found)
        assert regular.all() and positions.tolist() == np.flatnonzero(kept).tolist()
        assert time_grid(times[0], found, 60).tolist() == times.tolist()
        assert check_frequency(found) == found


@pytest.mark.parametrize(("days", "alias"), [(28, "4W-FRI"), (30, "30D"), (60, "60D"), (91, "13W-FRI")])
def test_periods_of_days_that_are_nearly_months_may_have_gaps(days: int, alias: str) -> None:
    times = pd.date_range("2010-01-01", periods=60, freq=f"{days}D").delete([17, 40, 41]).to_numpy("datetime64[ns]")
    assert find_frequency(times, np.zeros(len(times), np.int64)) == alias


@pytest.mark.parametrize("frequency", FREQUENCIES)
@given(st.integers(-40, 40), st.integers(0, 30))
@settings(max_examples=20, deadline=None)
def test_grid_and_positions_are_inverse(frequency: str, first: int, count: int) -> None:
    start = grid(frequency, 1)[0]
    times = time_grid(start, frequency, count, first)
    positions, regular = grid_positions(times, start, frequency)
    assert regular.all() and positions.tolist() == list(range(first, first + count))


@pytest.mark.parametrize(
    ("written", "grid_of"),
    [(name, f"{kind}-{month}") for name, kind in (("Q", "QS"), ("QE", "QE")) for month in ("JAN", "FEB", "MAR")]
    + [(name, f"{kind}-{month}") for name, kind in (("Y", "YS"), ("YE", "YE")) for month in ("JAN", "APR", "DEC")]
    + [("2QS", "2QS-MAR"), ("2YS", "2YS-APR"), ("M", "MS"), ("2ME", "2ME"), ("B", "B"), ("3B", "3B")],
)
def test_a_series_keeps_its_phase_whatever_the_frequency_is_anchored_at(written: str, grid_of: str) -> None:
    times = grid(grid_of) + np.timedelta64(90, "m")
    frequency = check_frequency(written)
    positions, regular = grid_positions(times, times[0], frequency)
    assert regular.all() and positions.tolist() == list(range(60))
    assert time_grid(times[20], frequency, 60, -20).tolist() == times.tolist()


def test_series_of_months_may_lie_on_different_phases() -> None:
    parts = grid("QS-JAN"), grid("QS-FEB")
    frequency = find_frequency(np.concatenate(parts), np.repeat([0, 1], 60))
    for times in parts:
        assert time_grid(times[0], frequency, 60).tolist() == times.tolist()
        assert time_grid(times[0], frequency, 1, 59)[0] == times[59]


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_a_time_off_the_grid_has_the_number_of_the_time_before_it(frequency: str) -> None:
    times = grid(frequency, 30) + np.timedelta64(6, "h")
    asked = times[0] + np.arange(-40, 40) * np.timedelta64(13, "h")
    positions, regular = grid_positions(asked, times[0], frequency)
    first, last = int(positions.min()), int(positions.max())
    around = time_grid(times[0], frequency, last - first + 2, first)
    assert (around[positions - first] <= asked).all() and (around[positions - first + 1] > asked).all()
    assert regular.tolist() == (around[positions - first] == asked).tolist()


def test_times_between_the_grid_are_off_it() -> None:
    for frequency in FREQUENCIES:
        times = grid(frequency, 5)
        assert not grid_positions(times + np.timedelta64(7, "ms"), times[0], frequency)[1].any()


@pytest.mark.parametrize(
    ("frequency", "seasons"),
    [("h", (24, 168)), ("5min", (288, 2016)), ("15min", (96, 672)), ("2h", (12, 84)), ("D", (7, 365)), ("B", (5,)),
     ("W-SUN", (52,)), ("MS", (12,)), ("QE-DEC", (4,)), ("YS-JAN", ()), ("3D", ()), ("7h", (24,)), ("s", (3600, 86400)),
     ("2MS", (6,)), ("100ms", ())],
)  # fmt: skip
def test_seasons(frequency: str, seasons: tuple[int, ...]) -> None:
    assert season_lengths(frequency) == seasons


@pytest.mark.parametrize(
    ("frequency", "words"),
    [("h", "hour"), ("15min", "15 minutes"), ("90min", "90 minutes"), ("2h", "2 hours"), ("W-SUN", "7 days"),
     ("D", "day"), ("B", "business day"), ("ME", "month"), ("2QS-FEB", "6 months"), ("YE-DEC", "12 months"),
     ("100ms", "100 milliseconds"), ("250us", "250000 nanoseconds")],
)  # fmt: skip
def test_steps_in_words(frequency: str, words: str) -> None:
    assert step_in_words(frequency) == words


def test_irregular_rows_are_tolerated_few_and_refused_many() -> None:
    times = grid("h", 100)
    times[50] += np.timedelta64(7, "m")
    assert find_frequency(times, np.zeros(100, np.int64)) == "h"
    times[::7] += np.timedelta64(7, "m")
    with pytest.raises(FrequencyProblem) as caught:
        find_frequency(times, np.zeros(100, np.int64))
    assert "time stamps are irregular: 1" in caught.value.what


def test_the_grid_follows_most_rows_not_the_first() -> None:
    times = grid("h", 100)
    times[0] += np.timedelta64(7, "m")
    anchor = anchors(times, np.zeros(100, np.int64), "h")
    assert grid_positions(times, anchor, "h")[1].tolist() == [False] + [True] * 99


def test_series_may_lie_on_different_phases() -> None:
    times = np.r_[grid("h", 30), grid("h", 30) + np.timedelta64(30, "m")]
    series = np.repeat([0, 1], 30)
    assert find_frequency(times, series) == "h"
    assert grid_positions(times, anchors(times, series, "h"), "h")[1].all()


def test_mixed_frequencies() -> None:
    series = np.repeat([0, 1], 30)
    with pytest.raises(FrequencyProblem) as caught:
        find_frequency(np.r_[grid("15min", 30), grid("h", 30)], series)
    assert "series have different steps: most step by " in caught.value.what
    assert caught.value.row is not None
    changing = np.r_[grid("h", 50), grid("h", 50)[-1] + np.arange(1, 31) * np.timedelta64(15, "m")]
    with pytest.raises(FrequencyProblem) as caught:
        find_frequency(changing[:70], np.zeros(70, np.int64))
    assert "irregular" in caught.value.what or "the step changes" in caught.value.what
    late = np.r_[grid("15min", 50), grid("15min", 50)[-1] + np.arange(1, 31) * np.timedelta64(1, "h")]
    with pytest.raises(FrequencyProblem) as caught:
        find_frequency(late, np.zeros(80, np.int64))
    assert caught.value.what == "the step changes: most rows step by 15min, from here 30 rows by h"
    assert caught.value.row == 50


def test_no_step_at_all() -> None:
    with pytest.raises(FrequencyProblem, match="every series has only one row"):
        find_frequency(grid("h", 2), np.array([0, 1]))


@pytest.mark.parametrize(("written", "meant"), [("H", "h"), ("1h", "h"), ("15T", "15min"), ("M", "MS"), ("W", "W-SUN")])
def test_frequencies_as_users_write_them(written: str, meant: str) -> None:
    assert check_frequency(written) == meant


@pytest.mark.parametrize("text", ["", "fortnight", "-1h", "0h", "CBMS"])
def test_no_frequency(text: str) -> None:
    with pytest.raises(OptionError, match=r"is no frequency\. Expected for example 15min"):
        check_frequency(text)
