"""Tables of sentence pairs."""

import pytest

from steploom.data.text.sentence_pairs import SentenceColumns, SentencePairs, read_sentence_pairs
from steploom.errors import DataError, OptionError

NAMED = SentenceColumns("a", "b", "s")


def read(tmp_path, text, columns=NAMED, name="pairs.tsv"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_sentence_pairs(tmp_path / name, columns)


def test_columns_by_name(tmp_path):
    found = read(tmp_path, "s\tb\tx\ta\r\n1.5\t No \t\tYes,  I\r\n\r\n2\tB\t\tA\r\n")
    assert found == SentencePairs(("Yes, I", "A"), ("No", "B"), (1.5, 2.0))
    assert len(found) == 2


@pytest.mark.parametrize("name", ["pairs.csv", "PAIRS.CSV"])
@pytest.mark.parametrize("separator", [",", ";", "|", "\t"])
def test_columns_by_number_in_a_csv_file(tmp_path, name, separator):
    found = read(tmp_path, separator.join(('"A, a"', "B", "3\n")), SentenceColumns("1", "2", "3"), name)
    assert found == SentencePairs(("A, a",), ("B",), (3.0,))


def test_without_scores(tmp_path):
    assert read(tmp_path, "a\tb\nA\tB\n", SentenceColumns("a", "b")) == SentencePairs(("A",), ("B",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("a\tb\ts\n", "there is a header and no row below it"),
        ("a\tb\ts\nA\tB\t1\na\tb\ts\n", "row 3: the header is repeated"),
        ("a\tb\ts\nA\tB\n", "row 2: expected 3 cells as in the first row, found 2"),
        ("a\tb\ts\nA\t \t1\n", "row 2, column 'b': expected a sentence, found a blank cell"),
        ("a\tb\ts\nA\tB\t1\n\nA\tB\thigh\n", "row 4, column 's': expected a score, a number, found 'high'"),
        ("a\tb\ts\nA\tB\tnan\n", "expected a score, a number, found 'nan'"),
        ("a\tb\ts\nA\tB\tinf\n", "expected a score, a number, found 'inf'"),
    ],
)
def test_a_table_that_cannot_be_used(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, text)


def test_two_columns_of_one_name_are_refused_where_it_is_asked_for(tmp_path):
    text = "a\tb\ta\ts\nA\tB\tA\t1\n"
    with pytest.raises(DataError, match="row 1: the columns 1 and 3 have the same name, 'a'"):
        read(tmp_path, text)
    assert read(tmp_path, text, SentenceColumns("b", "s")).first == ("B",)


def test_a_header_where_none_was_expected(tmp_path):
    with pytest.raises(DataError, match=r"row 1, column '3': expected a score, .* Where the first row is a header"):
        read(tmp_path, "a\tb\ts\nA\tB\t1\n", SentenceColumns("1", "2", "3"))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (SentenceColumns("a", "bb", "s"), "--second: the first row of .* has no 'bb'; it has 'a', 'b', 's'"),
        (SentenceColumns("first_one", "b", "s"), "--first: the first row .* give the number of each"),
        (SentenceColumns("a", "b", "Score"), "--score: the first row"),
        (SentenceColumns("1", "4", "3"), "--second: .* has the columns 1 to 3, found 4"),
        (SentenceColumns("0", "2", "3"), "--first: .* has the columns 1 to 3, found 0"),
    ],
)
def test_columns_that_are_not_there(tmp_path, columns, message):
    with pytest.raises(OptionError, match=message):
        read(tmp_path, "a\tb\ts\nA\tB\t1\n", columns)
