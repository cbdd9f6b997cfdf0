"""A later table that does not go with the training data is refused."""

from pathlib import Path

import pandas as pd
import pytest

from steploom.errors import DataError
from steploom.tasks.forecast.data import read_source, read_to_predict, read_training_data
from steploom.tasks.forecast.past import Past
from steploom.tasks.forecast.task import EvaluateOptions, ForecastOptions


def written(folder: Path, name: str, start: str, frequency: str, count: int = 120) -> Path:
    times = pd.date_range(start, periods=count, freq=frequency)
    pd.DataFrame({"ds": times, "y": 1.0}).to_csv(folder / name, index=False)
    return folder / name


def trained(file: Path, **values: object) -> Past:
    options = ForecastOptions.checked({"horizon": 3, "context": 6, "target": "y", **values})
    return read_training_data(options, [file], None, None).past


@pytest.mark.parametrize(
    ("frequency", "shifted", "later", "message"),
    [
        ("W-SUN", "W-MON", "2022-04-25", "every 7 days from Sunday 2022-04-17; this one is at Monday 2022-04-25"),
        ("h", "h", "2020-01-10 00:30", "every hour from 2020-01-09 23:00; this one is at 2020-01-10 00:30"),
        ("QS-JAN", "QS-FEB", "2050-02-01", "every 3 months from 2050-01-01; this one is at 2050-02-01"),
    ],
)
def test_rows_off_the_grid_that_they_would_follow(
    tmp_path: Path, frequency: str, shifted: str, later: str, message: str
) -> None:
    past = trained(written(tmp_path, "train.csv", "2020-01-05", frequency))
    file = written(tmp_path, "next.csv", later, shifted, 4)
    refused = f"next.csv: the rows of series 'y' lie off the grid of its training data, {message}. Give its times"
    for read in (lambda: read_to_predict(past, file, 6), lambda: read_source(past, file, EvaluateOptions(), 6)):
        with pytest.raises(DataError) as caught:
            read()
        assert refused in str(caught.value) and str(caught.value).endswith("as in the training data")
    # What does not follow stands alone, and may keep its own times.
    alone = read_to_predict(past, written(tmp_path, "far.csv", "2070-01-01 00:30", shifted), 6)
    assert len(alone.series[0]) == 120


def test_the_series_is_named(tmp_path: Path) -> None:
    def table(name: str, starts: dict[str, str], count: int) -> Path:
        rows = [(s, time) for s, start in starts.items() for time in pd.date_range(start, periods=count, freq="h")]
        pd.DataFrame(rows, columns=["unique_id", "ds"]).assign(y=1.5).to_csv(tmp_path / name, index=False)
        return tmp_path / name

    past = trained(table("train.csv", {"a": "2020-01-01", "b": "2020-01-01"}, 120))
    later = table("next.csv", {"new": "2020-01-06 00:15", "a": "2020-01-06", "b": "2020-01-06 00:30"}, 5)
    with pytest.raises(DataError, match=r"next.csv: the rows of series 'b' lie off the grid"):
        read_to_predict(past, later, 6)


def test_days_with_a_zone_that_summer_time_has_moved(tmp_path: Path) -> None:
    times = pd.date_range("2023-11-01", periods=160, freq="D", tz="Europe/Berlin")
    for name, part in (("train.csv", times[:145]), ("next.csv", times[152:])):
        pd.DataFrame({"ds": part, "y": 1.0}).to_csv(tmp_path / name, index=False)
    past = trained(tmp_path / "train.csv", context=20)
    with pytest.raises(DataError, match=r"this one is at 2024-03-31 22:00\. .* Write plain dates, or local times"):
        read_to_predict(past, tmp_path / "next.csv", 20)


def test_a_series_keeps_its_categories(tmp_path: Path) -> None:
    def table(name: str, start: str, count: int, **kinds: str) -> Path:
        rows = [(s, time, kind) for s, kind in kinds.items() for time in pd.date_range(start, periods=count, freq="h")]
        pd.DataFrame(rows, columns=["unique_id", "ds", "kind"]).assign(y=1.5).to_csv(tmp_path / name, index=False)
        return tmp_path / name

    past = trained(table("train.csv", "2020-01-01", 120, a="tall", b="wide"), static=["kind"])
    good = table("good.csv", "2020-01-06", 5, a="tall", new="wide")
    assert [len(series) for series in read_to_predict(past, good, 6)] == [len(past.series[0]) + 5, 5]
    later = table("next.csv", "2020-01-06", 5, new="wide", a="wide")
    for read in (lambda: read_to_predict(past, later, 6), lambda: read_source(past, later, EvaluateOptions(), 6)):
        with pytest.raises(
            DataError, match=r"next.csv, column 'kind': .* series 'a' changes from 'tall', in the training"
        ):
            read()
