"""Time stamps are read exactly or refused."""

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steploom.data.series.table_file import read_table
from steploom.data.series.timestamps import looks_like_times, parse_times, read_times
from steploom.errors import DataError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2014-01-02", "2014-01-02"),
        ("2014-1-2 3:04", "2014-01-02T03:04"),
        ("2014-01-02 03:04:05", "2014-01-02T03:04:05"),
        ("2014-01-02T03:04:05.25Z", "2014-01-02T03:04:05.25"),
        ("2014-01-02 03:04+01:00", "2014-01-02T02:04"),
        ("2014-03", "2014-03-01"),
        ("2014", "2014-01-01"),
        ("201403", "2014-03-01"),
        ("20140302", "2014-03-02"),
        ("2014030223", "2014-03-02T23"),
        ("201403022359", "2014-03-02T23:59"),
        ("2014/3/2", "2014-03-02"),
        ("2014.03.02 5:06", "2014-03-02T05:06"),
        ("31/12/2014 10.30.00", "2014-12-31T10:30"),
        ("12/31/2014 10:30 PM", "2014-12-31T22:30"),
        ("31.12.2014 12:00 am", "2014-12-31T00:00"),
        ("2014Q1", "2014-01-01"),
        ("2014-Q4", "2014-10-01"),
        ("2014 q3", "2014-07-01"),
        ("1388534400", "2014-01-01"),
        ("1388534400000", "2014-01-01"),
    ],
)
def test_forms(text: str, expected: str) -> None:
    assert parse_times([text])[0] == np.datetime64(expected, "ns")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yes",
        "12",
        "1.5",
        "2014-13-01",
        "2014-02-30",
        "2014-01-02 24:00",
        "1500-01-01",
        "3000-01-01",
        "1/13/14",
        "25:00",
    ],
)
def test_refused(text: str) -> None:
    assert np.isnat(parse_times([text])[0])


def test_day_and_month_are_told_apart_by_all_rows_or_not_at_all() -> None:
    assert parse_times(["02/01/2014", "13/01/2014"])[0] == np.datetime64("2014-01-02")
    assert parse_times(["02/01/2014", "01/13/2014"])[0] == np.datetime64("2014-02-01")
    with pytest.raises(ValueError, match="day and month cannot be told apart in dates such as '02/01/2014'"):
        parse_times(["02/01/2014", "03/01/2014"])


@given(
    st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)),
    st.sampled_from(["%Y-%m-%d %H:%M:%S.%f"]),
)
@settings(max_examples=100, deadline=None)
def test_iso_round_trip(time: dt.datetime, form: str) -> None:
    assert parse_times([time.strftime(form)])[0] == np.datetime64(time)


def table_of(folder: Path, text: str):
    (folder / "t.csv").write_text(text)
    return read_table(folder / "t.csv")


def test_bad_rows_are_named(tmp_path: Path) -> None:
    table = table_of(tmp_path, "ds,y\n2014-01-01,1\nsoon,2\n,3\n")
    with pytest.raises(
        DataError, match=r"row 3, column 'ds': expected a date and time, found 'soon'. Write times as 2014"
    ):
        read_times(table, ["ds"])
    with pytest.raises(DataError, match=r"row 3, column 'ds': the time is missing. Remove the row"):
        read_times(table_of(tmp_path, "ds,y\n2014-01-01,1\n,3\n"), ["ds"])


def test_year_month_day_hour(tmp_path: Path) -> None:
    table = table_of(tmp_path, "year,month,day,hour,y\n2014,1,2,3,1\n2014,12,31,23,1\n")
    times = read_times(table, ["year", "month", "day", "hour"])
    assert times.tolist() == np.array(["2014-01-02T03", "2014-12-31T23"], "datetime64[ns]").tolist()
    assert read_times(table, ["year", "month"])[1] == np.datetime64("2014-12-01")
    bad = table_of(tmp_path, "year,month,day,hour,y\n2014,1,2,3,1\n2014,2,30,0,1\n2014,2,3,24,1\n")
    with pytest.raises(DataError, match=r"row 3: there is no such time: year 2014, month 2, day 30, hour 0"):
        read_times(bad, ["year", "month", "day", "hour"])


def test_date_and_clock(tmp_path: Path) -> None:
    table = table_of(tmp_path, "Date;Time;CO\n10/03/2004;18.00.00;2\n21/03/2004;19.30.00;3\n")
    assert read_times(table, ["Date", "Time"])[1] == np.datetime64("2004-03-21T19:30")


def test_typed_columns_and_zones(tmp_path: Path) -> None:
    times = pd.date_range("2020-06-01", periods=3, freq="h", tz="Europe/Berlin")
    pd.DataFrame({"ds": times, "d": times.date, "y": 1.0}).to_parquet(tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert read_times(table, ["ds"])[0] == np.datetime64("2020-05-31T22")
    assert read_times(table, ["d"])[0] == np.datetime64("2020-06-01")
    assert looks_like_times(table, "ds") and not looks_like_times(table, "y")


def test_times_with_and_without_a_zone_are_not_mixed(tmp_path: Path) -> None:
    stamps = "2020-01-01 00:00,1\n2020-01-01 01:00,2\n2020-01-01T02:00Z,3\n2020-01-01 03:00+01:00,4\n"
    with pytest.raises(DataError) as caught:
        read_times(table_of(tmp_path, "ds,y\n" + stamps), ["ds"])
    assert "row 4, column 'ds': this time has a zone, '2020-01-01T02:00Z', and the one in row 2 has none" in str(
        caught.value
    )
    with pytest.raises(DataError) as caught:
        read_times(table_of(tmp_path, "ds,y\n2020-01-01T02:00+00:00,3\n2020/01/02,4\n"), ["ds"])
    assert "row 3, column 'ds': this time has no zone, '2020/01/02', and the one in row 2 has one" in str(caught.value)
    assert "Write all times with a zone, or all without" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1500-01-01", "expected a year from 1678 to 2261, found '1500-01-01'"),
        ("01/13/2262 10:00", "expected a year from 1678 to 2261, found '01/13/2262 10:00'"),
        ("30000101", "expected a year from 1678 to 2261, found '30000101'"),
        ("1/13/14", "expected a date and time, found '1/13/14'. Write the year with four digits: 2014-12-31"),
        ("31.12.14 23:00", "found '31.12.14 23:00'. Write the year with four digits: 2014-12-31"),
        ("2014-01-02 24:00", "found '2014-01-02 24:00'. Write midnight as 00:00 of the day that begins"),
        ("Jan 3 2014", "found 'Jan 3 2014'. Write times as 2014-12-31 or 2014-12-31 23:00:00"),
        ("2014-02-30", "expected a date and time, found '2014-02-30'. There is no such day or time"),
        ("2014-13-01", "expected a date and time, found '2014-13-01'. There is no such day or time"),
    ],
)
def test_why_a_time_cannot_be_read(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_times(table_of(tmp_path, f"ds,y\n{text},1\n"), ["ds"])
    assert "row 2, column 'ds': " in str(caught.value)
    assert message in str(caught.value)


def test_years_that_cannot_be_counted_in_nanoseconds(tmp_path: Path) -> None:
    bad = table_of(tmp_path, "year,month,day,y\n2014,1,2,1\n1500,2,3,1\n")
    with pytest.raises(DataError, match=r"row 3, column 'year': expected a year from 1678 to 2261, found 1500"):
        read_times(bad, ["year", "month", "day"])
