"""The end of the training data goes to JSON and back, and data that follow continue it."""

import json

import numpy as np

from steploom.data.series.history import between_rows, continue_from, series_from_json, series_to_json, tail
from steploom.data.series.series import Series, SeriesSet


def series(name: str = "a", start: str = "2020-01-01", length: int = 10, future: int = 0, first: float = 0.0) -> Series:
    target = np.arange(length) + first
    past = np.stack([target, -target], axis=1).astype(float)
    known = np.arange(length + future)[:, None] + first + 0.5
    return Series(name, np.datetime64(start, "ns"), target.astype(float), past, known, (1,))


def equal(one: Series, two: Series) -> None:
    assert (one.id, one.start, one.static) == (two.id, two.start, two.static)
    for name in ("target", "past", "known"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_json_round_trip() -> None:
    one = series(future=3)
    one.target[4] = np.nan
    equal(series_from_json(json.loads(json.dumps(series_to_json(one), allow_nan=False))), one)
    bare = Series("b", np.datetime64("2020-01-01", "ns"), np.array([0.1, 0.2]), np.empty((2, 0)), np.empty((2, 0)))
    equal(series_from_json(json.loads(json.dumps(series_to_json(bare)))), bare)


def test_tail_keeps_the_future_of_known_covariates() -> None:
    end = tail(series(future=2), 4, "h")
    assert end.start == np.datetime64("2020-01-01T06") and end.target.tolist() == [6, 7, 8, 9]
    assert end.known.shape == (6, 1) and end.future == 2
    equal(tail(series(), 99, "h"), series())


def test_continued_without_a_gap_with_one_and_with_an_overlap() -> None:
    for hour, gap in ((10, 0), (13, 3), (8, -2)):
        later = series(start=f"2020-01-01T{hour:02d}", length=5, first=100)
        data, rows, count = continue_from([series(future=1)], SeriesSet([later], "h"), [0], 5)
        (joined,) = data.series
        expected = [*np.arange(10.0)[: 10 + min(gap, 0)], *[np.nan] * max(gap, 0), *range(100, 105)]
        np.testing.assert_array_equal(joined.target, expected)
        assert (count, rows, joined.start) == (1, [10 + gap], np.datetime64("2020-01-01"))
        assert len(joined.past) == len(joined.target) == len(joined.known)
        assert joined.known[10 + gap, 0] == 100.5
        if gap == 3:
            assert joined.known[10, 0] == 10.5 and np.isnan(joined.known[11, 0])


def test_not_continued_over_a_long_gap_another_name_or_another_phase() -> None:
    for later in (
        series(start="2020-01-02"),
        series("b", "2020-01-01T10"),
        series(start="2020-01-01T10:30"),
        series(start="2019-12-31"),
    ):
        data, rows, count = continue_from([series()], SeriesSet([later], "h"), [2], 5)
        assert (count, rows) == (0, [2])
        equal(data.series[0], later)


def test_series_that_would_go_on_but_for_their_grid() -> None:
    for start, found in (
        ("2020-01-01T10:30", True), ("2020-01-01T01:30", True), ("2020-01-01T15:30", True), ("2020-01-01T10", False),
        ("2019-12-31T23:30", False), ("2020-01-01T16:30", False),
    ):  # fmt: skip
        later = SeriesSet([series("new", start), series(start=start)], "h")
        before = series()
        assert [(i, one.id) for i, one in between_rows([before], later, 5)] == ([(1, "a")] if found else [])


def test_covariates_known_ahead_alone_leave_the_target_as_it_was() -> None:
    ahead = Series("a", np.datetime64("2020-01-01T10", "ns"), np.empty(0), np.empty((0, 2)), np.ones((4, 1)), (1,))
    data, rows, count = continue_from([series()], SeriesSet([ahead], "h"), [0], 5)
    (joined,) = data.series
    assert (rows, count, joined.future) == ([10], 1, 4) and joined.target.tolist() == list(range(10))
    np.testing.assert_array_equal(joined.known[8:, 0], [8.5, 9.5, 1, 1, 1, 1])


def test_covariates_of_rows_before_the_first_value_are_kept_behind_a_history() -> None:
    for hour, gap in ((10, 0), (12, 2), (8, -2)):
        later = series(start=f"2020-01-01T{hour:02d}", length=6, first=100)
        later.target[:3] = np.nan
        later.past[0, 0] = np.nan
        before = series(future=1)
        data, rows, count = continue_from([before], SeriesSet([later], "h"), [0], 5)
        (joined,) = data.series
        place = 10 + gap
        assert (count, rows, len(joined)) == (1, [place], place + 6)
        expected = np.r_[before.target, np.full(gap + 3, np.nan), [103, 104, 105]]
        np.testing.assert_array_equal(joined.target, expected)
        np.testing.assert_array_equal(joined.known[place:], later.known)
        np.testing.assert_array_equal(joined.past[place + 1 :], later.past[1:])
        # What the later rows do not say stays as it was.
        np.testing.assert_array_equal(joined.past[place], [8 if gap == -2 else np.nan, -100])


def test_rows_before_the_first_value_without_a_history_are_cut() -> None:
    later = series("b", length=6)
    later.target[:2] = np.nan
    data, rows, count = continue_from([series()], SeriesSet([later], "h"), [0], 5)
    assert (count, rows, data.series[0].start) == (0, [-2], np.datetime64("2020-01-01T02"))
    assert len(data.series[0].target) == len(data.series[0].past) == len(data.series[0].known) == 4
    # The same where they begin before all that is kept, or the first value is too far behind it.
    for start, length, gap in (("2019-12-31T20", 14, 8), ("2020-01-01T10", 20, 16)):
        later = series(start=start, length=length, first=100)
        later.target[:gap] = np.nan
        data, rows, count = continue_from([series()], SeriesSet([later], "h"), [0], 5)
        assert (count, rows) == ((1, [-4]) if gap == 8 else (0, [-16]))
        if count:
            expected = np.r_[np.arange(4), np.arange(108, 114)]
            np.testing.assert_array_equal(data.series[0].target, expected)
            np.testing.assert_array_equal(data.series[0].known[:, 0], np.arange(104, 114) + 0.5)
