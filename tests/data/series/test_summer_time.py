"""Messages about rows that summer time moved, or made to stand twice."""

from pathlib import Path

import pandas as pd
import pytest

from steploom.data.series.columns import Columns
from steploom.data.series.tables import Learnt, read_series
from steploom.errors import DataError

MOVED = "times with a zone are turned into UTC, and summer time moves them by an hour there"
PLAIN = "Write plain dates, or local times without a zone"


def write(folder: Path, times: pd.DatetimeIndex, form: str | None = None) -> Path:
    texts = times.strftime(form) if form else [time.isoformat() for time in times]
    path = folder / "data.csv"
    path.write_text("time,y\n" + "".join(f"{text},{i}\n" for i, text in enumerate(texts)))
    return path


@pytest.mark.parametrize(("step", "zone"), [("D", "Europe/Berlin"), ("6h", "America/New_York"), ("MS", "Europe/Paris")])
def test_local_times_with_a_zone_are_moved_in_utc(tmp_path: Path, step: str, zone: str) -> None:
    times = pd.date_range("2020-01-01", periods=500, freq=step).tz_localize(zone)
    with pytest.raises(DataError) as caught:
        read_series([write(tmp_path, times)], Columns())
    assert MOVED in str(caught.value) and str(caught.value).endswith(PLAIN)
    # The same moments, written in UTC.
    with pytest.raises(DataError, match=MOVED):
        read_series([write(tmp_path, times.tz_convert("UTC"))], Columns())


def test_rows_left_out_because_of_summer_time_are_explained(tmp_path: Path) -> None:
    times = pd.date_range("2020-01-01", periods=150).tz_localize("Europe/Berlin")
    notes = read_series([write(tmp_path, times)], Columns(), "D").notes
    assert "61 irregular rows lie off the grid of D" in notes[1] and notes[1].endswith(f"{MOVED}. {PLAIN}")
    times = pd.date_range("2020-03-01", periods=150).tz_localize("Europe/Berlin")
    with pytest.raises(DataError, match=MOVED):
        read_series([write(tmp_path, times)], Columns(), "W")


def test_other_irregular_times_are_not_blamed_on_it(tmp_path: Path) -> None:
    times = pd.date_range("2020-01-01", periods=100, tz="UTC")
    late = times + pd.to_timedelta([i % 5 for i in range(100)], unit="h")
    with pytest.raises(DataError, match="irregular") as caught:
        read_series([write(tmp_path, late)], Columns())
    assert "summer" not in str(caught.value)


@pytest.mark.parametrize("step", ["h", "15min"])
def test_an_hour_that_local_clocks_show_twice(tmp_path: Path, step: str) -> None:
    times = pd.date_range("2023-10-28", periods=300, freq=step, tz="Europe/Berlin")
    with pytest.raises(DataError, match=r"2023-10-29 02.* This looks like the end of summer time, .* in UTC, or each"):
        read_series([write(tmp_path, times, "%Y-%m-%d %H:%M")], Columns())


def test_other_times_that_stand_twice(tmp_path: Path) -> None:
    times = pd.date_range("2023-10-29", periods=24, freq="h").repeat(2)
    with pytest.raises(DataError, match=r"stands twice .* name their column with --series") as caught:
        read_series([write(tmp_path, times, "%Y-%m-%d %H:%M")], Columns())
    assert "summer" not in str(caught.value)


def test_what_to_check_about_rows_off_the_grid_depends_on_who_named_it(tmp_path: Path) -> None:
    odd = pd.date_range("2020-01-01", periods=50, freq="37min")
    with pytest.raises(DataError, match=r"off the grid of h.* Check --frequency$"):
        read_series([write(tmp_path, odd)], Columns(), "h")
    learnt = Learnt(Columns(time=("time",), targets=("y",)), "h", zone=False)
    with pytest.raises(DataError, match=r"off the grid of h.* The file should have the step of the training data$"):
        read_series([write(tmp_path, odd)], learnt)
