"""Texts with labels from files of several forms."""

import gzip
import json

import pytest

from steploom.data.labelled.texts import read_labelled_texts, read_plain_texts
from steploom.data.text.columns import TextColumns, find_text_columns
from steploom.errors import DataError, OptionError

ROWS = [("a fine, fine film", "good"), ('he said "no"', "bad"), ("so so", "good"), ("bad one", "bad")]


def write(folder, name, content):
    (folder / name).write_text(content, encoding="utf-8")
    return folder / name


def csv_text(header="text,label\n"):
    rows = ("{},{}\n".format('"' + text.replace('"', '""') + '"', label) for text, label in ROWS)
    return header + "".join(rows)


def tsv_text(header=""):
    return header + "".join(f"{label}\t{text}\n" for text, label in ROWS)


def json_text():
    return "".join(
        json.dumps({"id": row, "text": text, "label": label}) + "\n" for row, (text, label) in enumerate(ROWS)
    )


FILES = {
    "csv": ("a.csv", csv_text(), None, None),
    "csv by name": ("a.csv", csv_text("words,sort\n"), "words", "sort"),
    "csv with one name": ("a.csv", csv_text("words,sort\n"), "words", None),
    "csv with other names": ("a.csv", csv_text("words,sort\n"), None, None),
    "csv by number, no header": ("a.csv", csv_text(""), "1", "2"),
    "csv without a header": ("a.csv", csv_text(""), None, None),
    "semicolons": (
        "a.csv",
        csv_text().replace(",good", ";good").replace(",bad", ";bad").replace("t,l", "t;l"),
        None,
        None,
    ),
    "tsv": ("a.tsv", tsv_text("label\ttext\n"), None, None),
    "tsv by number": ("a.tsv", tsv_text(), "2", "1"),
    "tsv by one number": ("a.tsv", tsv_text(), "2", None),
    "tsv without a header": ("a.txt", tsv_text(), None, None),
    "windows": ("a.tsv", tsv_text("label\ttext\n").replace("\n", "\r\n"), None, None),
    "jsonl": ("a.jsonl", json_text(), None, None),
}


@pytest.mark.parametrize("case", FILES)
def test_texts_and_labels_are_found(tmp_path, case):
    name, content, text, label = FILES[case]
    file = write(tmp_path, name, content)
    columns = find_text_columns(file, text, label)
    assert TextColumns.from_json(columns.to_json()) == columns
    found = read_labelled_texts(file, columns, labelled=True)
    assert [(one.text, one.label) for one in found] == ROWS
    first = 2 if columns.header and not name.endswith("jsonl") else 1
    assert [one.row for one in found] == list(range(first, first + 4))
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress(content.encode()))
    assert read_labelled_texts(packed, find_text_columns(packed, text, label), labelled=True) == found


def test_labels_may_be_lacking_where_none_is_wanted(tmp_path):
    columns = TextColumns("text", "label", header=True)
    assert [one.text for one in read_labelled_texts(write(tmp_path, "a.csv", "n,text\n1,hello\n"), columns, False)] == [
        "hello"
    ]
    assert [one.text for one in read_labelled_texts(write(tmp_path, "a.tsv", "hello\nyou\n"), columns, False)] == [
        "hello",
        "you",
    ]
    assert [one.text for one in read_labelled_texts(write(tmp_path, "a.tsv", "text\nyou\n"), columns, False)] == ["you"]
    numbered = TextColumns("2", "1", header=False)
    assert [one.text for one in read_labelled_texts(write(tmp_path, "a.tsv", "x\thello\n"), numbered, False)] == [
        "hello"
    ]


def test_labels_of_json_may_be_numbers(tmp_path):
    file = write(tmp_path, "a.jsonl", '{"text": "a", "y": 1}\n{"text": "b", "y": true}\n\n{"text": "c", "y": 2.5}\n')
    found = read_labelled_texts(file, find_text_columns(file, None, None), True)
    assert [(one.row, one.label) for one in found] == [(1, "1"), (2, "true"), (4, "2.5")]


def test_a_line_is_a_text(tmp_path):
    found = read_plain_texts(write(tmp_path, "a.txt", "one\n\n two\tthree \n"), "x")
    assert [(one.row, one.text, one.label) for one in found] == [(1, "one", "x"), (3, "two\tthree", "x")]


@pytest.mark.parametrize(
    ("name", "content", "options", "error", "message"),
    [
        (
            "a.csv",
            csv_text(),
            ("txt", None),
            OptionError,
            "the first row of .* has no 'txt'; it has text, label. Did you",
        ),
        ("a.csv", csv_text(), ("3", "1"), OptionError, "--text: .* has the columns 1 to 2, found 3"),
        ("a.csv", csv_text(), ("text", "text"), OptionError, "both name the column 'text'"),
        ("a.csv", "a,b,c\n1,2,3\n", (None, None), DataError, "which column is the text is not clear; .* a, b, c"),
        ("a.csv", "a,b,c\n1,2,3\n", ("1", None), DataError, "3 columns, and only one of text and label"),
        (
            "a.csv",
            "text,label\nfine,good,x\n",
            (None, None),
            DataError,
            "row 2: expected 2 cells as in the first row, found 3",
        ),
        ("a.csv", "text,label\nfine,good\n ,bad\n", (None, None), DataError, "row 3: the text is empty"),
        ("a.csv", "text,label\nfine,good\nno,\n", (None, None), DataError, "row 3: the label is empty"),
        ("a.csv", "text,label\n", (None, None), DataError, "a header and no row"),
        ("a.jsonl", '{"text": "a"}\n', (None, "label"), OptionError, "has no key 'label'; it has text"),
        ("a.jsonl", '{"text": "a", "label": 1}\n[1]\n', (None, None), DataError, "row 2: expected a JSON object"),
        (
            "a.jsonl",
            '{"text": "a", "label": 1}\n{"text": 3, "label": 1}\n',
            (None, None),
            DataError,
            "row 2: expected a text under",
        ),
        (
            "a.jsonl",
            '{"text": "a", "label": 1}\n{"text": "b"}\n',
            (None, None),
            DataError,
            "row 2: expected a label under",
        ),
        ("a.jsonl", '{"text": "a", "label": 1\n', (None, None), DataError, "row 1: this is no JSON"),
    ],
)
def test_what_is_refused(tmp_path, name, content, options, error, message):
    file = write(tmp_path, name, content)
    with pytest.raises(error, match=message):
        read_labelled_texts(file, find_text_columns(file, *options), labelled=True)


def test_a_column_that_another_file_lacks(tmp_path):
    with pytest.raises(
        DataError, match=r"b\.csv, row 1: there is no column 'label', which the training had; .* Did you mean"
    ):
        read_labelled_texts(write(tmp_path, "b.csv", "text,labels\na,b\n"), TextColumns("text", "label", True), True)


@pytest.mark.parametrize(("text", "label"), [(None, None), ("text", None), ("text", "label")])
def test_two_columns_of_one_name_are_refused_where_it_is_asked_for(tmp_path, text, label):
    path = write(tmp_path, "a.csv", "text,text,label\na,b,good\nc,d,bad\n")
    with pytest.raises(DataError, match="row 1: the columns 1 and 2 have the same name, 'text'"):
        find_text_columns(path, text, label)
    with pytest.raises(DataError, match="row 1: the columns 1 and 2 have the same name, 'text'"):
        read_labelled_texts(path, TextColumns("text", None, header=True), labelled=False)


def test_a_table_whose_only_two_columns_have_one_name_is_refused(tmp_path):
    path = write(tmp_path, "a.csv", "text,text\na,b\nc,d\n")
    with pytest.raises(DataError, match="row 1: the columns 1 and 2 have the same name, 'text'"):
        find_text_columns(path, None, None)


@pytest.mark.parametrize(
    ("rows", "header"),
    [
        # "y" and "title" are usual names, but here a label and a text.
        ("a good film\ty\na bad one\tn\nfine indeed\ty\nawful\tn\n", False),
        ("type\tint x;\ntopic\thow are you\ntype\tlong y;\n", False),
        ("title\tgood\na bad one\tbad\nfine\tgood\n", False),
        # Names, although a class is called as one of them.
        ("review\ty\na bad one\tn\nfine indeed\ty\n", True),
        ("what\ty\na bad one\tno\nfine indeed\tyes\nfine\tyes\n", True),
        # Two usual names are a header, whatever stands below.
        ("body\ttype\nsoul\ttype\nbody\tform\nx\tz\n", True),
    ],
)
def test_a_first_row_whose_label_occurs_again_is_no_header(tmp_path, rows, header):
    path = write(tmp_path, "a.tsv", rows)
    columns = find_text_columns(path, None, None)
    assert columns.header is header
    assert len(read_labelled_texts(path, columns, labelled=True)) == rows.count("\n") - header


@pytest.mark.parametrize(
    ("name", "rows", "row"),
    [
        ("a.csv", "text,label\nfine,good\nno,bad\ntext,label\nso so,good\n", 4),
        ("a.csv", "id,text,label\n1,fine,good\n2,no,bad\n\nid, text,label\n1,so so,good\n", 5),
        ("a.tsv", "body\ttype\nsoul\ttype\nbody\ttype\nx\tz\n", 3),
        ("a.tsv", "review\tstars\nfine\t1\nno\t2\nreview\tstars\nso so\t1\n", 4),
        ("a.tsv", "what\thow\nfine\t1\nno\t2\nwhat\thow\nso so\t1\n", 4),
    ],
)
def test_a_header_that_is_repeated_is_refused(tmp_path, name, rows, row):
    path = write(tmp_path, name, rows)
    columns = find_text_columns(path, None, None)
    assert columns.header
    for labelled in (True, False):
        with pytest.raises(DataError, match=rf"{name}, row {row}: the header is repeated\. Join the files without it"):
            read_labelled_texts(path, columns, labelled)


def test_a_text_may_be_the_name_of_its_only_column(tmp_path):
    path = write(tmp_path, "a.csv", "text\nfine\ntext\n")
    found = read_labelled_texts(path, TextColumns("text", "label", header=True), labelled=False)
    assert [one.text for one in found] == ["fine", "text"]


def test_rows_of_blank_cells_do_not_count(tmp_path):
    path = write(tmp_path, "a.CSV", "text;label\na, b;good\n;\nc;bad\n")
    found = read_labelled_texts(path, find_text_columns(path, None, None), labelled=True)
    assert [(row.row, row.text) for row in found] == [(2, "a, b"), (4, "c")]
