"""Pairs of lines from two files or a table, and batches of them."""

import pytest
import torch

from steploom.data.text.parallel import read_pairs, read_sources
from steploom.data.text.parallel_batches import ParallelBatches
from steploom.data.text.parallel_columns import PairColumns, find_pair_columns
from steploom.errors import DataError, OptionError
from steploom.models.output_loss import IGNORED


def write(folder, name, text):
    (folder / name).write_bytes(text.encode())
    return folder / name


def two(folder, source, target):
    return [write(folder, "a.de", source), write(folder, "a.en", target)]


def test_line_i_belongs_to_line_i(tmp_path):
    pairs = read_pairs(two(tmp_path, "eins\nzwei\n", "one\r\ntwo"))
    assert pairs.source == ("eins", "zwei") and pairs.target == ("one", "two")
    assert len(pairs) == 2 and pairs.chosen([1]).target == ("two",)


def test_rows_that_are_blank_on_both_sides_are_left_out(tmp_path):
    pairs = read_pairs(two(tmp_path, "eins\n\nzwei\n\n", "one\n \ntwo\n\n"))
    assert pairs.source == ("eins", "zwei") and pairs.target == ("one", "two")


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("t.tsv", "eins\tone\nzwei\ttwo\n", (None, None)),
        ("t.tsv", "no\tsrc\t tgt \n1\teins\tone\n2\tzwei\ttwo\n", (None, None)),
        ("T.CSV", "source;target\neins;one\nzwei;two\n", (None, None)),
        ("t.csv", 'eins|one\n|\n"zwei"|two\n', (None, None)),
        ("t.tsv", "x\tone\teins\nx\ttwo\tzwei\n", ("3", "2")),
        ("t.tsv", "en\tde\none\teins\n\ntwo\tzwei\n", ("de", "en")),
        ("t.tsv", "en\tde\none\teins\ntwo\tzwei\n", ("de", "1")),
        ("t.csv", 'de,en\n"eins","one"\nzwei,two\n', ("de", "en")),
    ],
)
def test_two_columns_of_a_table(tmp_path, name, text, columns):
    path = write(tmp_path, name, text)
    pairs = read_pairs([path], find_pair_columns(path, *columns))
    assert pairs.source == ("eins", "zwei") and pairs.target == ("one", "two")


@pytest.mark.parametrize(
    ("first", "found"),
    [
        ("source\ttarget", ("source", "target")),
        ("id\tAnswer\tQuestion", ("Question", "Answer")),
        ("src_text\ttgt_text\tdate", ("src_text", "tgt_text")),
        ("German\tEnglish", ("German", "English")),
        ("text_de\ttext_en", ("text_de", "text_en")),
        ("id\ten-GB\tid2\tde", ("en-GB", "de")),
        ("de\ttranslation", ("de", "translation")),
        ("eins\tone", ("1", "2")),
        ("source\tSpring", ("1", "2")),
        ("de\tof", ("1", "2")),
        ("no\tno", ("1", "2")),
        ("de la\tof the", ("1", "2")),
        ("source of it all\ttarget of it all", ("1", "2")),
    ],
)
def test_columns_with_usual_names_are_found(tmp_path, first, found):
    below = "\t".join("zwei drei" for _ in first.split("\t"))
    columns = find_pair_columns(write(tmp_path, "t.tsv", f"{first}\n{below}\n"), None, None)
    assert (columns.source, columns.target) == found
    assert columns.header == (found != ("1", "2"))
    assert PairColumns.from_json(columns.to_json()) == columns


def test_the_code_of_a_language_is_a_word_where_it_occurs_again(tmp_path):
    assert not find_pair_columns(write(tmp_path, "t.tsv", "he\tel\nshe\tella\nhe\tle\n"), None, None).header


@pytest.mark.parametrize("header", ["de\ten", "source\ttarget", "Deutsch\ten\tde"])
def test_a_header_that_is_repeated_is_refused(tmp_path, header):
    row = "\t".join("x" for _ in header.split("\t"))
    table = write(tmp_path, "t.tsv", f"{header}\n{row}\n\n{header} \n{row}\n")
    columns = find_pair_columns(table, None, None)
    assert columns.header
    for read in (lambda: read_pairs([table], columns), lambda: read_sources(table, columns)):
        with pytest.raises(DataError, match=r"t.tsv, row 4: the header is repeated. Join the files without it; .*--s"):
            read()
    assert len(read_pairs([table], PairColumns("1", "2"))) == 4


def test_a_table_may_have_a_header_though_the_training_had_none(tmp_path, caplog):
    columns = find_pair_columns(write(tmp_path, "a.tsv", "eins\tone\nzwei\ttwo\n"), None, None)
    table = write(tmp_path, "b.tsv", "\nde\ten\nvier\tfour\n\n")
    caplog.set_level("INFO", "steploom")
    assert read_pairs([table], columns).source == ("vier",)
    assert caplog.messages == [f"{table}: the first row is a header, which the training table had not; it is no pair"]
    assert read_sources(table, PairColumns.from_json(columns.to_json())) == ["vier", ""]
    assert read_pairs([table], PairColumns("1", "2")).source == ("de", "vier")
    assert read_pairs([write(tmp_path, "c.tsv", "de\ten\nde\tof\n")], columns).source == ("de", "de")


def test_more_than_two_languages_are_not_clear(tmp_path):
    table = write(tmp_path, "t.tsv", "en\tde\tfr\none\teins\tun\n")
    with pytest.raises(DataError, match="row 1: which columns make a pair is not clear: there are 'en', 'de', 'fr'"):
        read_pairs([table])
    assert find_pair_columns(table, "fr", "en") == PairColumns("fr", "en")


def test_a_column_that_the_training_had_is_looked_for_in_each_table(tmp_path):
    table = write(tmp_path, "t.tsv", "de\teng\neins\tone\n")
    with pytest.raises(DataError, match=r"row 1: there is no column 'en', which the training had; .* Did you mean"):
        read_pairs([table], PairColumns("de", "en"))
    with pytest.raises(DataError, match="there is no column number 3, which the training had"):
        read_pairs([table], PairColumns("1", "3"))


def test_two_columns_of_one_name_are_refused_where_it_is_asked_for(tmp_path):
    table = write(tmp_path, "t.tsv", "x\tsource\tx\ttarget\tsource\n1\teins\t2\tone\tuno\n")
    with pytest.raises(DataError, match=r"t.tsv, row 1: the columns 2 and 5 have the same name, 'source', .* Rename"):
        read_pairs([table])
    assert read_pairs([table], PairColumns("2", "target")).source == ("eins",)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("eins\nzwei\n", "one\n", "a.en, row 2: this file ends after 1 line, and .*a.de has 2. Line i"),
        ("eins\n", "one\ntwo\n", "a.de, row 2: this file ends after 1 line, and .*a.en has 2"),
        ("eins\n\nzwei\n", "one\ntwo\nthree\n", "a.de, row 2: the source is empty, and its other side is not"),
        ("eins\nzwei\n", "one\n  \n", "a.en, row 2: the target is empty"),
    ],
)
def test_files_that_do_not_belong_together(tmp_path, source, target, message):
    with pytest.raises(DataError, match=message):
        read_pairs(two(tmp_path, source, target))


@pytest.mark.parametrize(
    ("name", "text", "columns", "message"),
    [
        ("t.tsv", "eins one\n", (None, None), "t.tsv, row 1: expected a table with two columns or more, found one"),
        ("t.tsv", "eins\tone\nzwei\n", (None, None), "t.tsv, row 2: expected 2 cells as in the first row, found 1"),
        ("t.tsv", "eins\tone\n\n\ttwo\n", (None, None), "t.tsv, row 3: the source is empty"),
        ("t.tsv", "de\ten\neins\t\n", ("de", "en"), "t.tsv, row 2, column 'en': the target is empty"),
        ("t.tsv", "de\ten\n", ("de", "en"), "t.tsv: there is a header and no row below it"),
        ("t.csv", ",\n,\n", (None, None), "t.csv: every cell of the table is empty"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, name, text, columns, message):
    with pytest.raises(DataError, match=message):
        path = write(tmp_path, name, text)
        read_pairs([path], find_pair_columns(path, *columns))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (("fr", "en"), "--source-column: the first row of .*t.tsv has no 'fr'; it has 'de', 'en'"),
        (("de", "eng"), "--target-column: .* Did you mean 'en'?"),
        (("1", "3"), "--target-column: .* has the columns 1 to 2, found 3"),
        (("0", "1"), "--source-column: .* has the columns 1 to 2, found 0"),
        (("2", None), "--target-column: '2' is the source column too"),
    ],
)
def test_columns_that_are_not_there(tmp_path, columns, message):
    with pytest.raises(OptionError, match=message):
        path = write(tmp_path, "t.tsv", "de\ten\neins\tone\n")
        read_pairs([path], find_pair_columns(path, *columns), "the data", ["--source-column", "--target-column"])


def test_three_files_and_columns_of_two_files_are_refused(tmp_path):
    files = two(tmp_path, "eins\n", "one\n")
    with pytest.raises(OptionError, match=r"--valid: expected two parallel files .* found 3 files"):
        read_pairs([*files, files[0]], what="--valid")
    with pytest.raises(OptionError, match="--target-column is for one table; the data is two files"):
        read_pairs(files, given=["--target-column"])


def test_two_tables_are_no_parallel_files(tmp_path, caplog):
    caplog.set_level("INFO", "steploom")
    tables = [write(tmp_path, name, "\neins\tone\nzwei\ttwo\n") for name in ("a.tsv", "b.csv", "c.txt")]
    for two_of_them in (tables[:2], tables[1:]):
        with pytest.raises(OptionError, match=r"the data: expected two parallel files or one table, found two tables"):
            read_pairs(two_of_them, PairColumns())
    assert not caplog.messages
    lines = [write(tmp_path, name, "one, two\n\nthree\n") for name in ("c.csv", "d.txt")]
    assert len(read_pairs(lines)) == 2
    assert caplog.messages == [f"{lines[0]}: read as text, whole lines as they stand, and not as its ending says"]


def test_lines_to_translate_keep_blank_ones(tmp_path):
    assert read_sources(write(tmp_path, "a.txt", "eins\n\nzwei\n")) == ["eins", "", "zwei"]
    table = write(tmp_path, "a.tsv", "en\tde\none\teins\ntwo\t\n")
    assert read_sources(table, PairColumns("de", "en")) == ["eins", ""]
    assert read_sources(table) == ["en\tde", "one\teins", "two\t"]
    assert read_sources(write(tmp_path, "b.txt", "eins\tx\n"), PairColumns("de", "en")) == ["eins\tx"]
    with pytest.raises(DataError, match=r"a.tsv, row 2: expected 2 cells"):
        read_sources(write(tmp_path, "a.tsv", "en\tde\none\n"), PairColumns("de", "en"))


def test_a_table_that_is_not_called_one_is_read_whole_which_is_said(tmp_path, caplog):
    caplog.set_level("INFO", "steploom")
    table = write(tmp_path, "a.txt", "eins\tone\n\nzwei\ttwo\n")
    assert read_sources(table, PairColumns()) == ["eins\tone", "", "zwei\ttwo"]
    assert caplog.messages[0].startswith(f"{table}: whole lines are read, tabs and all; ")
    read_sources(table)
    read_sources(write(tmp_path, "b.txt", "eins\nzwei\ttwo\n"), PairColumns())
    assert len(caplog.messages) == 1
    read_sources(write(tmp_path, "c.tsv", "eins\n"))
    assert (
        caplog.messages[1]
        == f"{tmp_path / 'c.tsv'}: read as text, whole lines as they stand, and not as its ending says"
    )


@pytest.mark.parametrize(
    ("name", "text", "column", "lines"),
    [
        ("a.tsv", "\nen\tde\none\teins\n\n\t \ntwo\tzwei\n\n", "de", ["eins", "", "", "zwei", ""]),
        ("a.tsv", "\none\teins\n\ntwo\tzwei", "2", ["", "eins", "", "zwei"]),
        ("a.csv", 'en,de\none,"eins\nund"\n\n,\n"",""\ntwo,zwei\n', "de", ["eins und", "", "", "", "zwei"]),
    ],
)
def test_a_blank_row_of_a_table_stays_a_line(tmp_path, name, text, column, lines):
    assert read_sources(write(tmp_path, name, text), PairColumns(column, "en")) == lines


SOURCES = [[5, 6, 7, 1], [8, 1], [9, 9, 1]]
TARGETS = [[4], [4, 5, 6], [7, 7]]


def test_a_batch_is_padded_and_the_input_is_the_target_a_step_later():
    batches = ParallelBatches(SOURCES, TARGETS, begin=2, end=1, batch_size=3)
    batch = batches.batch(0, 0)
    order = batches.chosen(0, 0).tolist()
    assert batches.tokens == 9
    for column, number in enumerate(order):
        length, target = len(SOURCES[number]), [*TARGETS[number], 1]
        assert batch["source_lengths"][column] == length
        assert batch["source"][:, column].tolist() == SOURCES[number] + [0] * (4 - length)
        assert batch["target"][:, column].tolist() == target + [IGNORED] * (4 - len(target))
        assert batch["target_input"][:, column].tolist() == [2, *TARGETS[number], *[2] * (4 - len(target))]


def test_ranks_share_a_batch_and_pad_alike():
    whole = ParallelBatches(SOURCES, TARGETS, 2, 1, 3, seed=1).batch(4, 0)
    for rank in range(2):
        part = ParallelBatches(SOURCES, TARGETS, 2, 1, 3, seed=1).batch(4, 0, rank, 2)
        for name in whole:
            assert torch.equal(part[name], whole[name][..., rank::2])
