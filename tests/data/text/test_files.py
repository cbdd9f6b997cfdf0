"""Reading text files as users have them."""

import csv
import gzip

import pytest

from steploom.data.text.files import read_lines, read_text
from steploom.errors import DataError, OptionError


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "raw",
    ["a ß\n靜\n".encode(), b"\xef\xbb\xbf" + "a ß\r\n靜\r\n".encode(), "a ß\r靜\r".encode(), "a ß\r\n靜\n".encode()],
)
def test_marks_and_line_ends_of_other_systems_simply_work(tmp_path, raw):
    assert read_text(write(tmp_path, "a.txt", raw)) == "a ß\n靜\n"


def test_gzip_simply_works(tmp_path):
    assert read_text(write(tmp_path, "a.txt.gz", gzip.compress("déjà vu".encode()))) == "déjà vu"


def test_code_points_outside_the_basic_plane_survive(tmp_path):
    assert read_text(write(tmp_path, "a.txt", "𠀀𪚥🙂")) == "𠀀𪚥🙂"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("latin.txt", b"one\ntwo\ncaf\xe9\n", "latin.txt, row 3: byte 0xe9 is not UTF-8 .* iconv -f latin1 -t utf-8"),
        ("empty.txt", b"", "empty.txt: the file is empty"),
        ("blank.txt", b"\xef\xbb\xbf \r\n\r\n", "blank.txt: the file is empty"),
        ("wide.txt", "text".encode("utf-16"), "wide.txt: the text is UTF-16; expected UTF-8"),
        ("zero.txt", b"a\nb\0c", "zero.txt, row 2: this is no text"),
        ("cut.txt.gz", gzip.compress(b"some text" * 100, mtime=0)[:-9], "the gzip file is damaged or cut off"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        read_text(write(tmp_path, name, content))


def test_a_folder_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(DataError, match="this is a folder; expected a file"):
        read_text(tmp_path)
    write(tmp_path, "poems.txt", "a")
    with pytest.raises(DataError, match=r"there is no such file. Did you mean 'poems.txt'\?"):
        read_text(tmp_path / "peoms.txt")


def test_lines_that_are_blank_do_not_count(tmp_path):
    assert read_lines(write(tmp_path, "a.txt", "one\n\n two\r\n \nthree")) == ["one", " two", "three"]


def test_a_column_by_number_takes_every_row(tmp_path):
    path = write(tmp_path, "a.tsv", "Li Bai\tNight\t靜夜\nDu Fu\tSpring\t春望\n")
    assert read_lines(path, "3") == ["靜夜", "春望"]
    assert read_lines(path, "1") == ["Li Bai", "Du Fu"]


def test_a_column_by_name_is_found_in_the_first_row(tmp_path):
    path = write(tmp_path, "a.csv", 'title,text\nA,"one, ""two"""\nB,\nC,three\n')
    assert read_lines(path, "text") == ['one, "two"', "three"]


@pytest.mark.parametrize("name", ["A.CSV", "a.Csv.GZ"])
@pytest.mark.parametrize("content", [b'n,text\n1,"a, b"\n', b"n;text\n;\n1;a, b\n", b"n|text\n1|a, b\n"])
def test_the_ending_of_a_name_may_be_in_capitals(tmp_path, name, content):
    assert read_lines(write(tmp_path, name, gzip.compress(content) if "G" in name else content), "text") == ["a, b"]


def test_a_line_end_in_a_quoted_cell_becomes_a_space(tmp_path):
    assert read_lines(write(tmp_path, "a.csv", 'n,text\n1,"a\nb"\n'), "text") == ["a b"]


def test_a_quotation_mark_without_its_other_half_takes_no_rows_away(tmp_path):
    rows = [f"{number},text" for number in range(300)]
    path = write(tmp_path, "a.csv", "\n".join(["n,text", *rows[:7], '7,"unclosed', *rows[8:]]))
    with pytest.raises(DataError, match=r"a.csv, row 9: a quotation mark opens a cell that nothing closes: 293 lines"):
        read_lines(path, "text")


def test_wrong_columns_are_named(tmp_path):
    path = write(tmp_path, "a.tsv", "author\ttext\nx\ty\n")
    with pytest.raises(OptionError, match=r"no 'txt'; it has 'author', 'text'. Did you mean 'text'\?"):
        read_lines(path, "txt")
    with pytest.raises(OptionError, match="columns 1 to 2, found 3"):
        read_lines(path, "3")
    with pytest.raises(OptionError, match="columns 1 to 2, found 0"):
        read_lines(path, "0")


def test_two_columns_of_one_name_are_refused(tmp_path):
    with pytest.raises(DataError, match="row 1: the columns 1, 2 and 4 have the same name, 'x'"):
        read_lines(write(tmp_path, "a.tsv", "x\tx\ty\tx\n1\t2\t3\t4\n"), "x")


def test_ragged_rows_are_named(tmp_path):
    with pytest.raises(DataError, match=r"a.tsv, row 4, column 'text': expected 2 cells as in the first row, found 3"):
        read_lines(write(tmp_path, "a.tsv", "author\ttext\nx\ty\n\nx\ty\tz\n"), "text")


def test_a_header_that_is_repeated_is_refused(tmp_path):
    path = write(tmp_path, "a.tsv", "n\ttext\n1\ta\nn\ttext\n2\tb\n")
    with pytest.raises(DataError, match=r"a.tsv, row 3: the header is repeated. Join the files without it"):
        read_lines(path, "text")
    assert read_lines(write(tmp_path, "b.csv", "text\na\ntext\n"), "text") == ["a", "text"]
    with pytest.raises(DataError, match="column 'text': every cell of the column is blank"):
        read_lines(write(tmp_path, "c.csv", "n,text\n1,\n"), "text")


def test_a_header_alone_is_refused(tmp_path):
    with pytest.raises(DataError, match="there is a header and no row below it"):
        read_lines(write(tmp_path, "a.tsv", "author\ttext\n"), "text")


def test_a_cell_may_be_long(tmp_path):
    limit = csv.field_size_limit()
    path = tmp_path / "long.csv"
    path.write_text("text,n\n" + "a" * 200_000 + ",1\n", encoding="utf-8")
    assert len(read_lines(path, "text")[0]) == 200_000
    assert csv.field_size_limit() == limit
