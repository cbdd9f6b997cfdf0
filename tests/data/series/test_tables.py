"""A user's tables become series on a regular grid, or one clear message."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steploom.data.series.columns import Columns
from steploom.data.series.tables import Learnt, SeriesTable, read_series
from steploom.errors import DataError, OptionError


def hours(count: int, start: str = "2020-01-01") -> list[str]:
    return pd.date_range(start, periods=count, freq="h").strftime("%Y-%m-%d %H:%M:%S").tolist()


def read(folder: Path, text: str | bytes, name: str = "data.csv", **columns: object) -> SeriesTable:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_series([path], Columns(**columns))  # type: ignore[arg-type]


def lines(header: str, rows: list[str]) -> str:
    return header + "\n" + "\n".join(rows) + "\n"


def test_one_series(tmp_path: Path) -> None:
    table = read(tmp_path, lines("when,load", [f"{t},{i}" for i, t in enumerate(hours(30))]))
    (series,) = table.data.series
    assert (series.id, table.data.frequency, table.data.time, table.data.target) == ("load", "h", "when", "load")
    assert series.start == np.datetime64("2020-01-01") and series.target.tolist() == list(range(30))
    assert table.data.seasons == (24, 168)
    assert table.notes == ["'load', frequency h, 2020-01-01 to 2020-01-02 05:00, 30 values, 0 of them missing (0.0%)"]


@pytest.mark.parametrize(
    ("starts", "step", "given", "shown", "kept"),
    [
        (["2000-01-01", "2000-02-01"], "3MS", None, "QS", "QS-JAN"),
        (["2000-02-01", "2000-02-01"], "3MS", None, "QS-FEB", "QS-FEB"),
        (["2000-02-01"], "3MS", "QS-JAN", "QS", "QS-JAN"),
        (["2000-01-03", "2000-01-05"], "7D", None, "W", "W-MON"),
        (["2000-01-03", "2000-01-10"], "7D", None, "W-MON", "W-MON"),
        (["2000-04-01", "2000-01-01"], "12MS", None, "YS", "YS-APR"),
        (["2000-01-31", "2000-02-29"], "3ME", None, "QE", "QE-OCT"),
    ],
)
def test_an_anchor_that_not_all_series_have_is_not_shown(
    tmp_path: Path, starts: list[str], step: str, given: str | None, shown: str, kept: str
) -> None:
    rows = [f"{s},{t:%Y-%m-%d},1" for s, start in enumerate(starts) for t in pd.date_range(start, periods=9, freq=step)]
    path = tmp_path / "data.csv"
    path.write_text(lines("series,ds,y", rows))
    table = read_series([path], Columns(), given)
    assert f", frequency {shown}, " in table.notes[0] and table.learnt.frequency == kept


def test_the_summary_counts_from_the_first_measured_value(tmp_path: Path) -> None:
    wide = [f"{t},{i if i >= 10 and i != 20 else ''},{i if i >= 12 else ''},{i}" for i, t in enumerate(hours(30))]
    path = tmp_path / "data.csv"
    path.write_text(lines("ds,a,b,x", [*wide, "2020-01-02 06:00:00,,,30"]))
    asked = Columns(targets=("a", "b"), known=("x",))
    notes = {leading: read_series([path], asked, keep_leading=leading).notes for leading in (False, True)}
    assert (
        notes[True]
        == notes[False]
        == ["2 series, frequency h, 2020-01-01 10:00 to 2020-01-02 06:00, 38 values, 1 of them missing (2.6%)"]
    )


def test_gaps_and_missing_values_stay_missing(tmp_path: Path) -> None:
    rows = [f"{t},{i}" for i, t in enumerate(hours(30))]
    rows[10] = rows[10].split(",")[0] + ",NA"
    del rows[20:23]
    series = read(tmp_path, lines("ds,y", rows)).data.series[0]
    expected = np.arange(30.0)
    expected[[10, 20, 21, 22]] = np.nan
    np.testing.assert_array_equal(series.target, expected)


def test_irregular_rows_are_left_out_and_reported(tmp_path: Path) -> None:
    rows = [f"{t},{i}" for i, t in enumerate(hours(60))]
    rows[10] = rows[10].replace("10:00:00", "10:07:00")
    table = read(tmp_path, lines("ds,y", rows))
    assert np.flatnonzero(np.isnan(table.data.series[0].target)).tolist() == [10]
    assert "1 irregular rows lie off the grid of h and are left out, the first: data.csv, row 12" in table.notes[1]
    assert "10:07" in table.notes[1]


def test_long_and_wide_give_the_same_series(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    wide = pd.DataFrame(rng.normal(size=(50, 3)).round(3), columns=["b", "a", "c"])
    wide.loc[:4, "a"] = np.nan
    wide.loc[47:, "c"] = np.nan
    wide.loc[20, "b"] = np.nan
    wide.insert(0, "ds", hours(50))
    long = wide.melt("ds", var_name="unique_id", value_name="y")
    one = read(tmp_path, wide.to_csv(index=False)).data
    two = read(tmp_path, long.to_csv(index=False)).data
    three = read(tmp_path, long.sort_values("ds", kind="stable").to_csv(index=False)).data
    for other in (two, three):
        for x, y in zip(one, other, strict=True):
            assert (x.id, x.start) == (y.id, y.start)
            np.testing.assert_array_equal(x.target, y.target)
    assert [s.id for s in one] == ["b", "a", "c"]
    assert [len(s) for s in one] == [50, 45, 47]
    assert (one.target, two.target, one.series_name) == ("value", "y", "unique_id")


def test_covariates_static_and_future_rows(tmp_path: Path) -> None:
    rows = [
        f"{s},{t},{'' if i > 25 else i},{i * 2},{i * 3},{k}"
        for s, k in (("p", "x"), ("q", "y"))
        for i, t in enumerate(hours(30))
    ]
    table = read(
        tmp_path,
        lines("store,ds,sales,past,promo,kind", rows),
        series="store",
        targets=("sales",),
        past=("past",),
        known=("promo",),
        static=("kind",),
    )
    p, q = table.data.series
    assert (p.target.shape, p.past.shape, p.known.shape, p.future) == ((26,), (26, 1), (30, 1), 4)
    assert p.known[-1, 0] == 87 and (p.static, q.static) == ((0,), (1,)) and table.data.categories == (("x", "y"),)


def test_text_covariates_become_columns_of_0_and_1(tmp_path: Path) -> None:
    winds = ["NW", "SE", "", "NW"] * 6
    rows = [f"{t},{i},{w}" for i, (t, w) in enumerate(zip(hours(24), winds, strict=True))]
    table = read(tmp_path, lines("ds,y,wind", rows), targets=("y",), past=("wind",))
    assert table.data.past == ("wind=NW", "wind=SE")
    np.testing.assert_array_equal(table.data.series[0].past[:3], [[1, 0], [0, 1], [np.nan, np.nan]])
    (tmp_path / "later.csv").write_text("ds,y,wind\n2020-02-01,1,NE\n")
    with pytest.raises(
        DataError, match=r"row 2, column 'wind': the category 'NE' was not in the training data, which had NW, SE"
    ):
        read_series([tmp_path / "later.csv"], Learnt.from_json(table.learnt.to_json()))


def truths(kind: str) -> pd.DataFrame:
    flags = [True, False] * 15
    frame = pd.DataFrame({"x": "u", "ds": pd.to_datetime(hours(30)), "y": range(30), "flag": flags, "k": True})
    spelt = {"capital": "True False", "small": "true false", "all capitals": "TRUE FALSE"}.get(kind)
    if spelt:
        frame["flag"] = frame["flag"].map(lambda flag: spelt.split()[not flag])
        frame["k"] = spelt.split()[0]
    return frame.astype({"flag": "category", "k": "category"}) if kind == "categories" else frame


@pytest.mark.parametrize("before", ["parquet", "capital", "small"])
@pytest.mark.parametrize("after", ["parquet", "capital", "small", "all capitals", "categories"])
def test_truth_values_are_the_same_in_every_kind_of_file(tmp_path: Path, before: str, after: str) -> None:
    for name, kind in (("before", before), ("after", after)):
        if kind in ("parquet", "categories"):
            truths(kind).to_parquet(tmp_path / name)
        else:
            truths(kind).to_csv(tmp_path / name, index=False)
    asked = Columns(series="x", targets=("y",), known=("flag",), static=("k",))
    table = read_series([tmp_path / "before"], asked)
    later = read_series([tmp_path / "after"], Learnt.from_json(table.learnt.to_json()))
    for (series,) in (table.data.series, later.data.series):
        assert series.known[:, 0].tolist() == [1, 0] * 15 and series.static == (0,)
    assert table.data.known == ("flag",)


def test_a_truth_value_among_texts_is_a_category(tmp_path: Path) -> None:
    rows = [f"{t},{i},{w}" for i, (t, w) in enumerate(zip(hours(24), ["True", "perhaps", "false"] * 8, strict=True))]
    table = read(tmp_path, lines("ds,y,rain", rows), targets=("y",), past=("rain",))
    assert table.data.past == ("rain=false", "rain=perhaps", "rain=true")
    with pytest.raises(DataError, match="column 'rain' holds text"):
        read(tmp_path, lines("ds,y,rain", rows))
    rows = [f"{t},{i},True" for i, t in enumerate(hours(24))]
    with pytest.raises(DataError, match="column 'rain' holds truth values"):
        read(tmp_path, lines("ds,y,rain", rows))


def test_later_tables_use_what_training_learnt(tmp_path: Path) -> None:
    table = read(
        tmp_path, lines("x,ds,y,k", [f"u,{t},{i},c" for i, t in enumerate(hours(30))]), series="x", static=("k",)
    )
    learnt = Learnt.from_json(table.learnt.to_json())
    assert learnt == table.learnt
    (tmp_path / "later.csv").write_text("x,ds,y,k\nv,2020-03-01 05:00,7,c\nv,2020-03-01 07:00,8,c\n")
    later = read_series([tmp_path / "later.csv"], learnt).data
    assert later.frequency == "h" and len(later.series[0]) == 3 and later.series[0].static == (0,)
    (tmp_path / "later.csv").write_text("x,ds,y,k\nv,2020-03-01 05:00,7,cc\n")
    with pytest.raises(
        DataError, match=r"the category 'cc' was not in the training data, which had c. Did you mean 'c'"
    ):
        read_series([tmp_path / "later.csv"], learnt)


def test_several_files_and_where_the_last_begins(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(lines("ds,y", [f"{t},1" for t in hours(30)]))
    (tmp_path / "b.csv").write_text(lines("ds,y", [f"{t},2" for t in hours(30, "2020-01-02 08:00")]))
    table = read_series([tmp_path / "a.csv", tmp_path / "b.csv"], Columns())
    assert table.begins == [32] and len(table.data.series[0]) == 62
    assert np.isnan(table.data.series[0].target[30:32]).all()
    with pytest.raises(
        DataError,
        match=r"a.csv, row 2: the rows are not sorted by time: 2020-01-01 comes after .* \(row 31 of .*b.csv\). "
        "Files are read one after the other",
    ):
        read_series([tmp_path / "b.csv", tmp_path / "a.csv"], Columns())
    (tmp_path / "c.csv").write_text(lines("ds,y", [f"{t},1" for t in hours(30, "2020-01-02 05:00")]))
    with pytest.raises(DataError, match=r"stands twice .*and no row in two of them"):
        read_series([tmp_path / "a.csv", tmp_path / "c.csv"], Columns())
    with pytest.raises(DataError, match=r"\(row 31 of .*a.csv\). Files are read one after the other"):
        read_series([tmp_path / "a.csv", tmp_path / "a.csv"], Columns())


def test_files_with_and_without_a_zone_are_not_mixed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(lines("ds,y", [f"{t},1" for t in hours(30)]))
    (tmp_path / "b.csv").write_text(lines("ds,y", [f"{t}Z,2" for t in hours(30, "2020-01-02 08:00")]))
    message = r"b.csv, row 2, column 'ds': this time has a zone, and those of .*a.csv have none. Write all times with"
    with pytest.raises(DataError, match=message):
        read_series([tmp_path / "a.csv", tmp_path / "b.csv"], Columns())
    learnt = read_series([tmp_path / "b.csv"], Columns()).learnt
    with pytest.raises(DataError, match=r"a.csv, .*: this time has no zone, and those of the training data have one"):
        read_series([tmp_path / "a.csv"], Learnt.from_json(learnt.to_json()))


def test_columns_that_are_found(tmp_path: Path) -> None:
    parts = pd.date_range("2020-01-01", periods=30, freq="h")
    raw = pd.DataFrame(
        {"No": range(30), "year": parts.year, "month": parts.month, "day": parts.day, "hour": parts.hour, "pm2.5": 1.5}
    )
    table = read(tmp_path, raw.to_csv(index=False), targets=("pm2.5",))
    assert table.learnt.columns.time == ("year", "month", "day", "hour") and table.data.time == "time"
    unnamed = pd.DataFrame({"y": 1.0}, index=parts)
    assert read(tmp_path, unnamed.to_csv()).data.frequency == "h"
    parquet = pd.DataFrame({"y": 1.0}, index=parts)
    parquet.to_parquet(tmp_path / "x.parquet")
    assert len(read_series([tmp_path / "x.parquet"], Columns()).data.series[0]) == 30


BAD = [
    ("ds,y\n2020-01-01 00:00,1\n2020-01-01 01:00,2\n2020-01-01 01:00,3\n", {},
     "row 4: the time 2020-01-01 01:00 stands twice (also in row 3). Keep one row a time; if the table holds several"),
    ("s,ds,y\na,2020-01-01 00:00,1\nb,2020-01-01 00:00,2\na,2020-01-01 00:00,3\n", {"series": "s"},
     "row 4: the time 2020-01-01 of series 'a' stands twice (also in row 2)"),
    ("ds,y\n2020-01-01 00:00,1\n2020-01-01 02:00,2\n2020-01-01 01:00,3\n", {},
     "row 4: the rows are not sorted by time: 2020-01-01 01:00 comes after 2020-01-01 02:00 (row 3). Sort the rows"),
    ("ds,y\n2020-01-01 00:00,\n2020-01-01 01:00,NA\n", {}, "column 'y': the column has no value in any row"),
    ("s,ds,y\na,2020-01-01,1\na,2020-01-02,2\nb,2020-01-01,\nb,2020-01-02,NaN\n", {"series": "s"},
     "column 'y': series 'b' has no value in any row"),
    ("s,ds,y\na,2020-01-01,1\n,2020-01-02,2\n",
     {"series": "s"}, "row 3, column 's': the name of the series is missing"),
    ("ds,y\n2020-01-01,1\n2020-01-02,oops\n", {}, "row 3, column 'y': expected a number, found 'oops'"),
    ("ds,y\n2020-01-01,1\n2020-01-02,inf\n", {}, "row 3, column 'y': expected a finite number, found infinity"),
    ("ds,y\n2020-01-01,1\nlater,2\n", {}, "row 3, column 'ds': expected a date and time, found 'later'"),
    ("ds,y\n2020-01-01,1\n", {}, "the step between rows cannot be found: the table has one row. Give more rows"),
    ("s,ds,y\na,2020-01-01,1\nb,2020-01-02,1\n", {"series": "s"},
     "the step between rows cannot be found: every series has only one row. Give more rows, or name another column "
     "with --series: each of the 2 rows has a name of its own in 's'"),
    ("ds,y\n2020-01-01,1\n2020-01-02,2\n", {"targets": ("ds",)},
     "column 'ds': this column holds the times, so it cannot be used as --target"),
    ("ds,y\n2020-01-01,1\n2020-01-02,2\n", {"targets": ("y",), "past": ("ds",)},
     "column 'ds': this column holds the times, so it cannot be used as --past-covariates. Leave it out: the network "
     "sees the calendar anyway"),
    ("ds,y\n2020-01-15,1\n2020-02-15,2\n2020-03-15,2\n2020-04-15,2\n", {},
     "row 2: rows are months apart, but neither on the first nor on the last day of a month. Write the first day of "
     "each month instead"),
    ("ds,y\n2020-01-01,1\n2020-01-02,2\n",
     {"targets": ("z",)}, "there is no column 'z' (--target); the columns are ds, y"),
    ("ds,y\n2020-01-01,1\n2020-01-02,2\n", {"time": ("dz",)}, "there is no column 'dz' (--time)"),
    ("a,b\n1,1\n2,2\n", {}, "no column holds times; the columns are a, b. Name the time column with --time"),
    ("ds,y,w\n2020-01-01,1,a\n2020-01-02,2,b\n",
     {}, "without --target every column would be a series, but column 'w' holds text"),
    ("unique_id,ds,a,b\nx,2020-01-01,1,2\n", {},
     "the column to forecast is not clear; it may be a, b. Name it with --target"),
    ("s,ds,y,k\na,2020-01-01,1,u\na,2020-01-02,2,v\n", {"series": "s", "targets": ("y",), "static": ("k",)},
     "row 3, column 'k': a static column must be constant in each series; series 'a' changes from 'u' to 'v'"),
    ("s,ds,y,k\na,2020-01-01,1,\na,2020-01-02,2,v\n", {"series": "s", "targets": ("y",), "static": ("k",)},
     "row 2, column 'k': the category is missing"),
]  # fmt: skip


@pytest.mark.parametrize("joined", [False, True])
def test_numbers_of_rows_are_no_series(tmp_path: Path, joined: bool) -> None:
    """pandas writes its index without being asked, R its row names."""
    frame = pd.DataFrame({"when": hours(30), "load": range(30, 60), "wind": range(60, 90)})
    frame = frame.drop(index=[3, 7])
    if joined:
        frame.index = pd.Index([*range(14), *range(14)])
    frame.to_csv(tmp_path / "index.csv")
    pd.read_csv(tmp_path / "index.csv").to_csv(tmp_path / "unnamed.csv", index=False)
    frame.to_parquet(tmp_path / "index.parquet")
    for name in ("index.csv", "unnamed.csv", "index.parquet"):
        table = read_series([tmp_path / name], Columns())
        assert [s.id for s in table.data] == ["load", "wind"]
        assert table.notes[-1].endswith("' has no name and numbers the rows: it is left out")
        path = tmp_path / name
        one = read_series([path], Columns(past=("wind",)))
        assert [s.id for s in one.data] == ["load"]
        asked = Columns(targets=("load", table.notes[-1].split("'")[1]))
        assert len(read_series([path], asked).data) == 2, "unless it is asked for"
        assert len(read_series([path], asked).notes) == 1


def test_measured_values_without_a_name_are_a_series(tmp_path: Path) -> None:
    rows = [f"{t},{(3 * i) % 7},{i % 5}" for i, t in enumerate(hours(30))]
    table = read(tmp_path, lines("when,load,", rows))
    assert [s.id for s in table.data] == ["load", "column 3"] and len(table.notes) == 1


@pytest.mark.parametrize(("text", "columns", "message"), BAD)
def test_bad_tables(tmp_path: Path, text: str, columns: dict[str, object], message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, text, **columns)
    assert message in str(caught.value) and str(caught.value).startswith(str(tmp_path / "data.csv"))


def test_mixed_frequencies_name_the_row(tmp_path: Path) -> None:
    quarter = pd.date_range("2020-01-01", periods=40, freq="15min").strftime("%Y-%m-%d %H:%M").tolist()
    rows = [f"a,{t},1" for t in hours(60)] + [f"b,{t},1" for t in quarter]
    with pytest.raises(DataError, match=r"row 63: series have different steps: most step by h, this one by 15min"):
        read(tmp_path, lines("s,ds,y", rows), series="s")


def test_a_year_too_far_is_no_gap(tmp_path: Path) -> None:
    rows = [f"{t},1" for t in hours(50)] + ["2200-01-01 00:00:00,1"]
    with pytest.raises(DataError, match=r"row 52: the time jumps from 2020-01-03 01:00 to 2200-01-01: \d+ steps of h"):
        read(tmp_path, lines("ds,y", rows))


def test_one_column_with_two_meanings(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="column 'y' is given twice: --target and --past-covariates"):
        read(tmp_path, "ds,y\n2020-01-01,1\n2020-01-02,2\n", targets=("y",), past=("y",))
    with pytest.raises(OptionError, match="a table with a column of series names has one target column"):
        read(tmp_path, "s,ds,y,z\na,2020-01-01,1,2\n", series="s", targets=("y", "z"))


def test_a_frequency_that_is_given(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text(lines("ds,y", [f"{t},{i}" for i, t in enumerate(hours(30)) if i % 2 == 0]))
    assert read_series([path], Columns()).data.frequency == "2h"
    assert len(read_series([path], Columns(), "h").data.series[0]) == 29
    with pytest.raises(DataError, match=r"row 3: 13 of 15 rows lie off the grid of D"):
        read_series([path], Columns(), "D")
    path.write_text(lines("ds,y", [f"2020-{month:02}-15,1" for month in range(1, 13)]))
    with pytest.raises(DataError, match=r"12 of 12 rows lie off the grid of MS, .*first day of each month instead"):
        read_series([path], Columns(), "MS")


@pytest.mark.parametrize("frequency", ["15min", "h", "D", "W-SUN", "MS", "QE-DEC"])
@given(st.data())
@settings(max_examples=20, deadline=None)
def test_every_value_lands_on_its_time(
    tmp_path_factory: pytest.TempPathFactory, frequency: str, data: st.DataObject
) -> None:
    """Whatever is missing, each written value is found at its own time, and nothing else has a value."""
    folder = tmp_path_factory.mktemp("grid")
    count = 40
    values = data.draw(st.lists(st.one_of(st.none(), st.integers(-9, 9)), min_size=count, max_size=count))
    dropped = data.draw(st.sets(st.integers(5, count - 2), max_size=6))
    values[0], values[1], values[-1] = 1, 2, 3
    times = pd.date_range("2019-11-03", periods=count, freq=frequency)
    rows = [
        f"{t},{'' if v is None else v}" for i, (t, v) in enumerate(zip(times, values, strict=True)) if i not in dropped
    ]
    path = folder / "d.csv"
    path.write_text(lines("ds,y", rows))
    found = read_series([path], Columns(), frequency).data
    stamps = found.times(found.series[0])
    assert stamps.tolist() == times.to_numpy().astype("datetime64[ns]").tolist()
    expected = [np.nan if v is None or i in dropped else float(v) for i, v in enumerate(values)]
    np.testing.assert_array_equal(found.series[0].target, expected)


def test_thousands_of_series_are_read_in_seconds(tmp_path: Path) -> None:
    stamps = hours(500)
    path = tmp_path / "big.csv"
    with path.open("w") as file:
        file.write("unique_id,ds,y\n")
        for i in range(1000):
            file.writelines(f"s{i},{t},{(i * j) % 97}\n" for j, t in enumerate(stamps))
    start = time.process_time()
    data = read_series([path], Columns()).data
    assert time.process_time() - start < 5
    assert len(data) == 1000 and data.series[7].target[3] == 21


def test_real_files(shared_data: Path) -> None:
    beijing = read_series(
        [shared_data / "beijing-pm25/PRSA_data_2010.1.1-2014.12.31.csv"],
        Columns(targets=("pm2.5",), past=("TEMP", "cbwd")),
    )
    (series,) = beijing.data.series
    assert (len(series), int(np.isnan(series.target).sum()), beijing.begins) == (43_800, 2067 - 24, [-24])
    abilene = read_series([shared_data / "abilene-geant/abilene_node_out_5min.csv.gz"], Columns()).data
    assert (len(abilene), abilene.frequency) == (13, "5min")
    assert int(np.isfinite(abilene.series[-1].target).sum()) == 48_096
    geant = read_series([shared_data / "abilene-geant/geant_node_out_15min.csv.gz"], Columns()).data
    assert (len(geant), int(np.isnan(geant.series[0].target).sum())) == (23, 625)
    assert geant.series[-1].target[np.isfinite(geant.series[-1].target)].max() > 4e8  # spikes are kept
