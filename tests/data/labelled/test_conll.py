"""Files in columns: sentences, rows, and the same file with one more column."""

import gzip

import pytest

from steploom.data.labelled.conll import parse_columns, parse_sentences, read_columns
from steploom.errors import DataError, OptionError

PLAIN = """-DOCSTART- -X- O

EU NNP I-ORG
rejects VBZ O
# # O

\tPeter   NNP\tI-PER

\t
-DOCSTART- -X- O
"""
CONLL_U = """# text = du vin
1-2\tdu\t_\t_\t_\t_\t_\t_\t_\t_
1\tde\tde\tADP\t_\t_\t2\tcase\t_\t_
2\tle vin\tle\tDET\t_\t_\t3\tdet\t_\t_
2.1\tx\t_\t_\t_\t_\t_\t_\t_\t_

1\t#\t#\tSYM\t_\t_\t0\troot\t_\t
"""


def test_columns_between_white_space():
    file = parse_columns(PLAIN)
    assert [sentence.words for sentence in file.sentences] == [("EU", "rejects", "#"), ("Peter",)]
    assert [sentence.rows for sentence in file.sentences] == [(3, 4, 5), (7,)]
    assert (file.columns, file.separator, file.documents) == (3, " ", (1, 10))
    assert file.column(3, "--x") == [("I-ORG", "O", "O"), ("I-PER",)]


def test_one_more_column_leaves_the_rest_as_it_is():
    file = parse_columns(PLAIN)
    text = file.with_column([("a", "b", "c"), ("d",)], "Z")
    before, after = PLAIN.split("\n"), text.split("\n")
    assert len(before) == len(after)
    added = {1: "Z", 3: "a", 4: "b", 5: "c", 7: "d", 10: "Z"}
    for row, (old, new) in enumerate(zip(before, after, strict=True), 1):
        assert new == (f"{old} {added[row]}" if row in added else old)


def test_conll_u():
    file = parse_columns(CONLL_U, word_column=2)
    assert [sentence.words for sentence in file.sentences] == [("de", "le vin"), ("#",)]
    assert file.column(4, "--x") == [("ADP", "DET"), ("SYM",)]
    written = file.with_column([("A", "B"), ("C",)], "Z")
    again = parse_columns(written, word_column=2)
    assert again.sentences[0].words == ("de", "le vin") and again.column(11, "--x") == [("A", "B"), ("C",)]
    lines = written.split("\n")
    assert lines[:2] == CONLL_U.split("\n")[:2]
    assert lines[2].endswith("\t_\tA") and lines[4] == CONLL_U.split("\n")[4] and lines[6].endswith("\t_\t\tC")


def test_a_file_may_be_gzipped_and_of_windows(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress("﻿a X\r\n\r\nb Y".encode()))
    file = read_columns(tmp_path / "a.gz")
    assert [sentence.words for sentence in file.sentences] == [("a",), ("b",)]
    assert file.with_column([("1",), ("2",)], "Z") == "a X 1\n\nb Y 2\n"


def test_a_space_that_must_not_break_is_a_part_of_its_word():
    assert parse_columns("10\u00a0000 X\n").sentences[0].words == ("10\u00a0000",)


def test_plain_sentences():
    file = parse_sentences(["EU rejects  it .", "", "  ", "# #"])
    assert [sentence.words for sentence in file.sentences] == [("EU", "rejects", "it", "."), ("#", "#")]
    assert file.with_column([tuple("abcd"), tuple("ef")], "Z") == "EU a\nrejects b\nit c\n. d\n\n# e\n# f\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\nb X\n", "bad.txt, row 2: expected 1 column as in row 1, found 2"),
        ("a X\nb\n", "bad.txt, row 2: expected 2 columns as in row 1, found 1"),
        ("a X\n\n\nb Y\nc Y Z\n", "bad.txt, row 5: expected 2 columns as in row 1, found 3"),
        ("a\tX\nb\tY\tZ\n", "bad.txt, row 2: expected 2 columns as in row 1, found 3"),
        ("a\tX\n \tY\n", "bad.txt, row 2: the word in column 1 is empty"),
        ("", "bad.txt: the file is empty"),
        ("\n \n", "bad.txt: the file is empty"),
        ("-DOCSTART- O\n\n", "bad.txt: there is no word in this file"),
    ],
)
def test_a_file_that_is_wrong(tmp_path, text, message):
    (tmp_path / "bad.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        read_columns(tmp_path / "bad.txt")


def test_columns_that_are_not_there(tmp_path):
    (tmp_path / "a.txt").write_text("a X Y\n")
    with pytest.raises(OptionError, match=r"--word-column: .*a\.txt has the columns 1 to 3, found 4"):
        read_columns(tmp_path / "a.txt", 4)
    with pytest.raises(OptionError, match=r"--target-column: .*a\.txt has the columns 1 to 3, found 7"):
        read_columns(tmp_path / "a.txt").column(7, "--target-column")
