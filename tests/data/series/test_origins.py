"""Which rows are learnt from and which validate."""

import numpy as np
import pytest

from steploom.data.series.origins import default_context, short_series, split_at, split_by_time
from steploom.data.series.series import Series, SeriesSet
from steploom.errors import DataError


def of_lengths(*lengths: int, frequency: str = "h") -> SeriesSet:
    start = np.datetime64("2020-01-01", "ns")
    return SeriesSet(
        [Series(f"s{n}", start, np.ones(n), np.empty((n, 0)), np.empty((n, 0))) for n in lengths], frequency
    )


def test_the_last_tenth_validates() -> None:
    split = split_by_time(of_lengths(1000), context=48, horizon=24)
    assert (split.train, split.valid) == ([(48, 900)], [(900, 1000)])


def test_short_series_validate_on_one_horizon_or_not_at_all() -> None:
    split = split_by_time(of_lengths(100, 95, 72), context=48, horizon=24)
    assert split.train == [(48, 76), (48, 95), (48, 72)]
    assert split.valid == [(76, 100), (95, 95), (72, 72)]
    with pytest.raises(
        DataError, match=r"series 's71' has 71 rows .* a context of 48 and a horizon of 24 need at least 72"
    ):
        split_by_time(of_lengths(71), context=48, horizon=24)


def test_too_short_series_are_counted_and_named() -> None:
    with pytest.raises(DataError) as caught:
        split_by_time(of_lengths(100, 5, 99, 71, 6, 7, 8), context=48, horizon=24)
    assert str(caught.value) == (
        "5 of 7 series are too short: 's5' has 5 rows from its first to its last value, 's71' 71, 's6' 6, and 2 more; "
        "a context of 48 and a horizon of 24 need at least 72. Give more rows, or a shorter --context or --horizon, "
        "or leave these series out with --skip-short"
    )
    with pytest.raises(DataError, match=r"2 of 2 series are too short: .* or a shorter --context or --horizon$"):
        split_by_time(of_lengths(5, 6), context=48, horizon=24)
    assert short_series(of_lengths(100, 5, 71, 72), 48, 24) == {"s5": 5, "s71": 71}
    assert short_series(of_lengths(100, 80, 90), 48, 24, begins=[71, -3, 72]) == {"s100": 71}


def test_no_share_no_validation() -> None:
    assert split_by_time(of_lengths(100), 10, 5, 0.0).valid == [(100, 100)]


def test_a_validation_file() -> None:
    split = split_at(of_lengths(100, 50), [80, 0], context=20, horizon=10)
    assert split.train == [(20, 80), (20, 20)] and split.valid == [(80, 100), (20, 50)]
    with pytest.raises(DataError, match="the validation file has no series with 10 rows"):
        split_at(of_lengths(100), [95], 20, 10)
    with pytest.raises(DataError, match="series 's100' has 25 rows"):
        split_at(of_lengths(100), [25], 20, 10)


@pytest.mark.parametrize(
    ("length", "frequency", "horizon", "expected"),
    [
        (9999, "h", 24, 72),
        (9999, "D", 7, 21),
        (9999, "MS", 12, 36),
        (60, "MS", 12, 24),
        (99999, "5min", 12, 288),
        (99999, "min", 12, 24),
        (200, "5min", 12, 164),
        (9, "h", 4, 4),
    ],
)
def test_default_context(length: int, frequency: str, horizon: int, expected: int) -> None:
    assert default_context(of_lengths(length, frequency=frequency), horizon) == expected
