"""Files become tables, or one clear message."""

import csv
import gzip
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steploom.data.series.table_file import read_table
from steploom.errors import DataError


def written(folder: Path, content: bytes | str, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_plain_table(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "ds,y\n2020-01-01,1.5\n2020-01-02,-2e3\n"))
    assert table.names == ["ds", "y"]
    assert table.numbers("y").tolist() == [1.5, -2000.0]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfds,y\r\n2020-01-01,1\r\n2020-01-02,2\r\n",
        b"ds,y\r2020-01-01,1\r2020-01-02,2",
        b"ds;y\n2020-01-01;1\n2020-01-02;2\n",
        b"ds\ty\n2020-01-01\t1\n2020-01-02\t2\n",
        b"ds|y\n2020-01-01|1\n2020-01-02|2\n",
        b'"ds","y"\n"2020-01-01","1"\n"2020-01-02","2"\n',
        b"ds , y\n2020-01-01 , 1\n2020-01-02 ,+2 \n",
        b"\n\nds,y\n\n2020-01-01,1\n   \n2020-01-02,2\n\n",
        b"\nds;y\n2020-01-01;1\n\n2020-01-02;2\n",
        gzip.compress(b"ds,y\n2020-01-01,1\n2020-01-02,2\n"),
    ],
    ids=["bom-crlf", "cr", "semicolon", "tab", "bar", "quoted", "spaces", "blank-lines", "blank-semicolon", "gzip"],
)
def test_every_dialect_reads_the_same(tmp_path: Path, content: bytes) -> None:
    table = read_table(written(tmp_path, content))
    assert table.names == ["ds", "y"]
    assert table.texts("ds").to_pylist() == ["2020-01-01", "2020-01-02"]
    assert table.numbers("y").tolist() == [1.0, 2.0]


def test_lines_are_counted_in_the_file(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, 'a,b\n1,"two\nlines"\n\n3,x\n'))
    assert [table.line(0), table.line(1)] == [2, 5]
    with pytest.raises(DataError, match=r"row 5, column 'b': expected a number, found 'x'") as caught:
        read_table(written(tmp_path, "a,b\n1,2\n\n\n3,x\n")).numbers("b")
    assert caught.value.row == 5


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ('1,a\n2,"b\n3,c\n4,d\n', "row 3: a quotation mark opens a cell that nothing closes: 3 lines of the file"),
        ('1,a\n2,"b\n3,c\n4,"d\n5,e\n', "row 3: a quotation mark opens a cell that is not closed in its row: 3 lines"),
    ],
)
def test_a_quotation_mark_without_its_other_half_takes_no_rows_away(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(written(tmp_path, f"y,note\n{rows}"))


def test_rows_behind_a_long_cell_are_found(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    table = read_table(written(tmp_path, "note,y\n" + "a" * 200_000 + ",1\nb,x\n"))
    with pytest.raises(DataError, match=r"row 3, column 'y': expected a number, found 'x'"):
        table.numbers("y")
    with pytest.raises(DataError, match=r"row 3: expected 2 cells as in the header, found 3"):
        read_table(written(tmp_path, "note,y\n" + "a" * 200_000 + ",1\nb,2,3\n"))
    assert read_table(written(tmp_path, "n" * 200_000 + ",y\nb,2\n")).names[1] == "y"
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize("text", ["", "NA", "NaN", "nan", "null", "NULL", "N/A", "None", "#N/A", " NA "])
def test_missing_values(tmp_path: Path, text: str) -> None:
    assert np.isnan(read_table(written(tmp_path, f"t,y\n1,{text}\n2,3\n")).numbers("y")).tolist() == [True, False]


def test_a_text_that_means_missing_elsewhere_stays_text(tmp_path: Path) -> None:
    assert read_table(written(tmp_path, "country,y\nNA,1\n")).texts("country").to_pylist() == ["NA"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty. Expected CSV (UTF-8, also gzipped) or Parquet"),
        (b"  \n\n", "the file is empty"),
        (b"ds,y\n", "there is a header and no row below it"),
        (b"ds,y", "there is a header and no row below it"),
        (b"hello", "there is a header and no row below it"),
        (b"ds,y\n1,2\n1,2,3\n", "row 3: expected 2 cells as in the header, found 3"),
        (b"ds,y\n1,2\n\n1\n", "row 4: expected 2 cells as in the header, found 1"),
        (b"ds,y,y\n1,2,3\n", "row 1: the column name 'y' stands twice in the header. Rename one"),
        (b"ds,y\n1,caf\xe9\n", "row 2: byte 0xe9 is not UTF-8 (Latin-1, perhaps). Save the file as UTF-8"),
        ("ds,y\n1,2\n".encode("utf-16"), "the text is UTF-16; expected UTF-8"),
        (b"ds,y\0\n1,2\n", "row 1: this is no text (it holds a zero byte)"),
        (b"PK\x03\x04...", "this is a zip archive or an Excel workbook"),
        (b"\x1f\x8b\x08broken", "the gzip file is damaged or cut off"),
        (gzip.compress(b"ds,y\n" + b"1,2\n" * 1000)[:-20], "the gzip file is damaged or cut off"),
        (b"PAR1broken", "the Parquet file cannot be read"),
    ],
)
def test_bad_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert str(caught.value).startswith(str(path)) and message in str(caught.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    written(tmp_path, "a,b\n1,2\n", "air.csv")
    with pytest.raises(DataError, match=r"there is no such file. Did you mean 'air.csv'"):
        read_table(tmp_path / "aire.csv")
    with pytest.raises(DataError, match=r"there is no such file$"):
        read_table(tmp_path / "no" / "folder.csv")
    with pytest.raises(DataError, match="this is a folder; expected a file"):
        read_table(tmp_path)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("inf", "expected a finite number, found infinity"),
        ("-Infinity", "expected a finite number, found -infinity"),
        ("1e999", "expected a finite number, found infinity"),
        ("1_000", "expected a number, found '1_000'"),
        ("abc", "expected a number, found 'abc'"),
        ('"3,5"', "found '3,5'. Write a decimal point, and nothing between thousands"),
        ("1.100.000", "found '1.100.000'. Write a decimal point, and nothing between thousands"),
        ('"1,100,000.5"', "Write a decimal point, and nothing between thousands"),
        ("1 100", "Write a decimal point, and nothing between thousands"),
        ("1'100.5", "Write a decimal point, and nothing between thousands"),
        ("True", "found 'True'. Write 1 for true and 0 for false"),
        ("no", "found 'no'. Write 1 for true and 0 for false"),
        ("5 %", "found '5 %'. Write the number alone, without its unit"),
        ("$5.50", "Write the number alone, without its unit"),
        ("-", "Leave the cell empty where the value is unknown"),
        ("x" * 99, "found '" + "x" * 37 + "...'"),
    ],
)
def test_bad_numbers(tmp_path: Path, cell: str, message: str) -> None:
    table = read_table(written(tmp_path, f"t,y\n1,2\n2,{cell}\n"))
    with pytest.raises(DataError) as caught:
        table.numbers("y")
    assert "row 3, column 'y'" in str(caught.value) and message in str(caught.value)


def test_wrong_column_name_says_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no column 'pm25' \(--target\); the columns are ds, pm2.5. Did you mean 'pm2.5'"
    ):
        read_table(written(tmp_path, "ds,pm2.5\n1,2\n")).require("pm25", "--target")


def test_rows_longer_than_a_block(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "note,y\n" + "a" * 3_000_000 + ",1\nb,2\n"))
    assert table.numbers("y").tolist() == [1, 2]


def test_many_columns_are_read_in_seconds(tmp_path: Path) -> None:
    names = [f"column number {i}" for i in range(50_000)]
    path = written(tmp_path, ",".join(names) + "\n" + ",".join("1" for _ in names) + "\n")
    start = time.process_time()
    table = read_table(path)
    assert table.numbers(names[-1]).tolist() == [1]
    assert time.process_time() - start < 5


def test_unnamed_empty_columns_are_left_out(tmp_path: Path) -> None:
    """A separator at the end of each line, as some programs write it."""
    assert read_table(written(tmp_path, "ds;y;;\n2020-01-01;1;; \n2020-01-02;2;;\n")).names == ["ds", "y"]
    assert read_table(written(tmp_path, ",y,\n2020-01-01,1,\n2020-01-02,2,3\n")).names == ["column 1", "y", "column 3"]


def test_a_name_with_a_comma_is_to_be_quoted(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, 'ds,"load, MW"\n1,2\n'))
    with pytest.raises(DataError) as caught:
        table.require("load", "--target")
    assert 'the columns are ds, "load, MW". Put a name with a comma in quotation marks: --target' in str(caught.value)
    assert str(caught.value).endswith("""--target '"load, MW"'""")


def test_parquet(tmp_path: Path) -> None:
    times = pd.date_range("2020-01-01", periods=3, freq="h")
    frame = pd.DataFrame(
        {"ds": times, "y": [1, None, 3], "n": [1, 2, 3], "flag": [True, False, True], "s": list("abc")}
    )
    frame.to_parquet(tmp_path / "data.parquet")
    table = read_table(tmp_path / "data.parquet")
    np.testing.assert_array_equal(table.numbers("y"), [1, np.nan, 3])
    assert table.numbers("n").tolist() == [1, 2, 3]
    assert table.numbers("flag").tolist() == [1, 0, 1]
    with pytest.raises(DataError, match=r"row 1, column 's': expected a number, found 'a'"):
        table.numbers("s")


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)), min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_numbers_survive_exactly(tmp_path_factory: pytest.TempPathFactory, values: list[float | None]) -> None:
    rows = "".join(f"{i},{'' if v is None else repr(v)}\n" for i, v in enumerate(values))
    table = read_table(written(tmp_path_factory.mktemp("numbers"), "t,y\n" + rows))
    np.testing.assert_array_equal(table.numbers("y"), np.array(values, dtype=float))


@given(st.text(alphabet='ab,;"\n\r\t 1', max_size=60))
@settings(max_examples=200, deadline=None)
def test_no_text_crashes_the_reader(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Any text gives a table or a DataError, never another exception."""
    path = written(tmp_path_factory.mktemp("any"), text)
    try:
        table = read_table(path)
        for name in table.names:
            table.line(len(table) - 1)
            table.numbers(name)
    except DataError as error:
        assert str(path) in str(error)


def test_a_process_that_ends_right_after_reading_ends_in_peace(tmp_path: Path) -> None:
    """Arrow's threads gave back Python's bytes while Python ended, which aborted every second process."""
    path = written(tmp_path, "ds,y\n1,2\n")
    reading = "from steploom.data.series.table_file import read_table; read_table(pathlib.Path(sys.argv[1]))"
    code = f"import sys, pathlib; {reading}"
    for _ in range(4):
        subprocess.run([sys.executable, "-c", code, str(path)], check=True)
