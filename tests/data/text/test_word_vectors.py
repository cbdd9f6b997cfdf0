"""Pretrained vectors from text files."""

import gzip

import pytest
import torch

from steploom.data.text.word_vectors import find_vector, read_vectors
from steploom.errors import DataError

LINES = ["the 0.5 -1 2e-1", "loom 1 2 3", "Ada 4 5 6", "ada 7 8 9", ", 0 0 1"]


@pytest.mark.parametrize("head", [[], ["5 3"]])
@pytest.mark.parametrize("packed", [False, True])
def test_vectors_of_the_words_that_are_wanted(tmp_path, head, packed):
    raw = ("\n".join([*head, *LINES]) + "\n").encode()
    (tmp_path / "v.txt").write_bytes(gzip.compress(raw) if packed else raw)
    vectors, size = read_vectors(tmp_path / "v.txt", ["the", "Loom", "Ada", "none"])
    assert size == 3
    assert {word: vector.tolist() for word, vector in vectors.items()} == {
        "the": pytest.approx([0.5, -1, 0.2]),
        "loom": [1, 2, 3],
        "Ada": [4, 5, 6],
        "ada": [7, 8, 9],
    }
    assert torch.equal(find_vector(vectors, "Loom"), torch.tensor([1.0, 2, 3]))
    assert torch.equal(find_vector(vectors, "Ada"), torch.tensor([4.0, 5, 6]))
    assert find_vector(vectors, "none") is None


def test_the_first_words_of_the_file_are_kept_unasked(tmp_path):
    (tmp_path / "v.txt").write_text("3 1\na 1\nb 2\nc 3\n")
    assert list(read_vectors(tmp_path / "v.txt", ["c"], first=1)[0]) == ["a", "c"]


def test_a_damaged_or_foreign_file(tmp_path):
    (tmp_path / "v.gz").write_bytes(gzip.compress(b"a 1 2\n" * 1000)[:-20])
    with pytest.raises(DataError, match=r"v\.gz: the gzip file is damaged or cut off"):
        read_vectors(tmp_path / "v.gz", [])
    (tmp_path / "v.txt").write_bytes("a 1\ncaf\u00e9 2\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"v\.txt, row 2: byte 0xe9 is not UTF-8"):
        read_vectors(tmp_path / "v.txt", [])
    with pytest.raises(DataError, match="there is no such file"):
        read_vectors(tmp_path / "none.txt", [])


def test_the_first_of_two_vectors_counts_and_a_word_may_hold_spaces(tmp_path):
    (tmp_path / "v.txt").write_text("a 1 2\na 3 4\n. . 5 6\n")
    vectors, size = read_vectors(tmp_path / "v.txt", ["a", ". ."])
    assert size == 2 and vectors["a"].tolist() == [1, 2] and vectors[". ."].tolist() == [5, 6]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 1 2 3\nb 1 2\n", "v.txt, row 2: expected a word and 3 numbers, found 2"),
        ("a 1 2\nb 1 2 3\n", "v.txt, row 2: expected a word and 2 numbers, found 3"),
        ("2 3\na 1 2 3\nb 1 2\n", "v.txt, row 3: expected a word and 3 numbers, found 2"),
        ("3 2\na 1 2\nb 1 2\n", "v.txt: the first line announces 3 words, found 2"),
        ("a 1 x\n", "v.txt, row 1: expected a finite number, found 'x'"),
        ("a 1 2\nb 1 nan\n", "v.txt, row 2: expected a finite number, found 'nan'"),
        ("a\nb\n", "v.txt, row 1: expected a word and its numbers, found a single word"),
        ("", "v.txt: the file is empty"),
    ],
)
def test_a_file_that_is_wrong(tmp_path, text, message):
    (tmp_path / "v.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        read_vectors(tmp_path / "v.txt", ["a", "b"])
