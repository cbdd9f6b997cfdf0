"""Series for tests of windows and forecasters."""

import numpy as np

from steploom.data.series.series import Series, SeriesSet


def hourly(
    lengths: tuple[int, ...] = (300, 420), seed: int = 0, missing: float = 0.1, counts: bool = False
) -> SeriesSet:
    """Series with a daily season, two past covariates, one known ahead and two static columns."""
    random = np.random.default_rng(seed)
    series = []
    for i, length in enumerate(lengths):
        hour = np.arange(length)
        target = 100 * (i + 1) * (1.5 + np.sin(2 * np.pi * hour / 24)) + random.normal(size=length)
        target = np.round(target / 20) if counts else target
        target[random.random(length) < missing] = np.nan
        past = random.normal(size=(length, 2))
        past[random.random(past.shape) < missing] = np.nan
        known = random.normal(size=(length + 48, 1))
        start = np.datetime64("2020-01-01", "ns") + np.timedelta64(7 * i, "h")
        series.append(Series(f"series {i}", start, target, past, known, (i % 2, 0)))
    return SeriesSet(series, "h", past=("a", "b"), known=("k",), static=("s", "t"), categories=(("x", "y"), ("z",)))


def changed(
    data: SeriesSet, number: int, first: int, values: float, columns: tuple[str, ...] = ("target",)
) -> SeriesSet:
    """The same series with other values from row `first` of one of them on."""
    from dataclasses import replace

    series = list(data.series)
    arrays = {name: getattr(series[number], name).copy() for name in columns}
    for array in arrays.values():
        array[first:] = values
    series[number] = replace(series[number], **arrays)
    return data.with_series(series)
