"""Trees in brackets."""

import gzip

import pytest

from steploom.data.labelled.tree import labelled_phrases
from steploom.data.labelled.trees import begins_like_trees, parse_tree, read_trees, written_tree
from steploom.errors import DataError

SENTENCE = "(3 (2 It) (4 (4 's) (2 fun)))"


def test_a_tree_of_the_treebank():
    tree = parse_tree(SENTENCE)
    assert tree.labels == ["2", "4", "2", "4", "3"]
    assert tree.words == ["It", "'s", "fun", None, None]
    assert tree.parents == [4, 3, 3, 4, -1]
    assert tree.heights() == [0, 0, 0, 1, 2]
    assert tree.spans() == [(0, 1), (1, 2), (2, 3), (1, 3), (0, 3)]
    assert tree.sentence == ["It", "'s", "fun"] and tree.label == "3" and len(tree) == 5


@pytest.mark.parametrize(
    ("line", "labels", "words", "parents"),
    [
        ("(2 It)", ["2"], ["It"], [-1]),
        ("(2 (It))", ["2"], ["It"], [-1]),
        ("(It)", [None], ["It"], [-1]),
        ("(3 It works well)", [None, None, None, "3"], ["It", "works", "well", None], [3, 3, 3, -1]),
        ("(3 ((It) (works)))", [None, None, None, "3"], ["It", "works", None, None], [2, 2, 3, -1]),
        ("( (S (NP x)) )", ["NP", "S", None], ["x", None, None], [1, 2, -1]),
        ("(1(2 a)(3 b))", ["2", "3", "1"], ["a", "b", None], [2, 2, -1]),
        ("  (1\t(2 a) b)  ", ["2", None, "1"], ["a", "b", None], [2, 2, -1]),
    ],
)
def test_brackets_with_and_without_labels(line, labels, words, parents):
    tree = parse_tree(line)
    assert (tree.labels, tree.words, tree.parents) == (labels, words, parents)


def test_escapes_are_undone_and_spaces_that_do_not_break_stay():
    tree = parse_tree("(2 (2 -LRB-) (2 a\\/b) (2 8\u00a01\\/2) (2 -RRB-) (2 -LRB) (2 \\*))")
    assert tree.sentence == ["(", "a/b", "8\u00a01/2", ")", "-LRB", "*"]


@pytest.mark.parametrize("space", ["\u00a0", "\u202f", "\u2009", "\u3000", "\u00a0\u00a0", " \u00a0"])
def test_a_space_of_another_kind_is_a_space_but_within_a_word(space):
    tree, plain = (parse_tree(f"({s}neg{s}(neg The{s}){s}(pos {s} (dull){s}film{s}))") for s in (space, " "))
    assert (tree.labels, tree.words, tree.parents) == (plain.labels, plain.words, plain.parents)
    assert begins_like_trees(f"({space}neg{space}(neg The){space}(pos film){space}){space}\n")
    assert parse_tree("(neg\u00a0(neg The) (neg dull))").labels == ["neg"] * 3
    assert parse_tree("(pos (pos 10\u00a0000)\u00a0(pos \u00a0films\u00a0))").words == ["10\u00a0000", "films", None]
    assert begins_like_trees("(3 10\u00a0000)\n")


def test_a_space_of_another_kind_indents_and_leaves_lines_blank(tmp_path):
    (tmp_path / "a.txt").write_text(f"(S\n\u00a0\u00a0(NP It))\n\u00a0\n{SENTENCE}\u00a0\n")
    assert [(tree.row, tree.label, len(tree)) for tree in read_trees(tmp_path / "a.txt")] == [(1, "S", 2), (4, "3", 5)]
    assert begins_like_trees("(S\n\u00a0(NP It))\n")


def test_depth_is_limited_by_memory_alone():
    depth = 100_000
    tree = parse_tree("(1 " * depth + "(0 a)" + ")" * depth)
    assert len(tree) == depth + 1 and tree.heights()[-1] == depth and tree.spans()[-1] == (0, 1)


@pytest.mark.parametrize(
    ("line", "column", "message"),
    [
        ("(3 (2 It) (4 works)", 1, "the line ends within a bracket that is not closed"),
        ("(3 (2 It) (4 (4 works", 14, "the line ends within 3 brackets that are not closed; the last of them begins"),
        ("(3 (2 It)))", 11, r"found '\)' behind the end of the tree; a line holds one tree"),
        ("(3 (2 It)) (2 x)", 12, r"found '\(' behind the end"),
        ("(3 (2 It)) and so on", 12, "found 'and' behind the end"),
        ("(3 (2 It) ())", 11, "the bracket that begins here is empty"),
        ("()", 1, "the bracket that begins here is empty"),
        ("3 (2 It)", 1, "expected an opening bracket, found '3'"),
        (")", 1, r"expected an opening bracket, found '\)'"),
    ],
)
def test_what_is_no_tree_is_named_with_file_row_and_column(tmp_path, line, column, message):
    path = tmp_path / "bad.txt"
    path.write_text(f"{SENTENCE}\n\n{line}\n")
    with pytest.raises(DataError, match=rf"bad.txt, row 3, column '{column}': {message}.*Expected a tree such as"):
        read_trees(path)


PENN = """
( (S
    (NP-SBJ (DT The) (NN film))
\t(VP (VBZ works)
      (ADVP (RB well)))
    (. .) ))
( (NP (NN End)))
"""


def test_a_tree_goes_on_in_lines_that_are_indented(tmp_path):
    (tmp_path / "a.mrg").write_text(PENN)
    first, second = read_trees(tmp_path / "a.mrg")
    assert (first.row, second.row) == (2, 7)
    assert first.sentence == ["The", "film", "works", "well", "."] and second.sentence == ["End"]
    on_one = parse_tree(" ".join(PENN.split("\n")[1:6]))
    assert (first.labels, first.words, first.parents) == (on_one.labels, on_one.words, on_one.parents)


@pytest.mark.parametrize(
    ("text", "row", "column", "message"),
    [
        ("(S\n  (NP It)\n(S\n  (NP It))\n", 1, 1, "the tree ends within a bracket that is not closed"),
        ("(S\n  (NP It)\n\n  (VP works))\n", 1, 1, "the tree ends within a bracket that is not closed"),
        ("(S\n  (NP It)\n  ()\n  (VP works))\n", 3, 3, "the bracket that begins here is empty"),
        ("(S (NP It))\n  (VP works))\n", 2, 13, "found '\\)' behind the end of the tree"),
        ("(1 (2 a)\n(1 (2 a) (2 b))\n", 1, 1, "the line ends within a bracket"),
    ],
)
def test_an_error_is_named_where_it_is_made(tmp_path, text, row, column, message):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(DataError, match=rf"a.txt, row {row}, column '{column}': {message}"):
        read_trees(tmp_path / "a.txt")


def test_a_line_without_a_tree():
    with pytest.raises(DataError, match="the line holds no tree"):
        parse_tree("   ")


def test_files_are_read_gzipped_or_not(tmp_path):
    (tmp_path / "a.txt").write_text(f"\n{SENTENCE}\r\n(1 (2 x))\n", newline="")
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress((tmp_path / "a.txt").read_bytes()))
    for name in ("a.txt", "a.txt.gz"):
        assert [(tree.row, tree.label, len(tree)) for tree in read_trees(tmp_path / name)] == [(2, "3", 5), (3, "1", 2)]


@pytest.mark.parametrize(
    ("text", "trees"),
    [
        (f"\n {SENTENCE} \nanything", True),
        ("(3 (2 It) (4 wor", True),
        ("( (S (NP x)))\n", True),
        ("((a) (b))", True),
        ("(2 It)\n", True),
        (PENN, True),
        ("(S\n  (NP It)\n  (VP works))\n", True),
        ("(S\n  of 1990 (and so on)\n", False),
        ("(S)\n(NP (VP works))\n", False),
        ("(a remark)\n", False),
        ("(a remark) and a text\n", False),
        ("(a (small) remark) and a text\n", False),
        ("text,label\n", False),
        ("", False),
    ],
)
def test_the_first_line_tells_trees_from_other_text(text, trees):
    assert begins_like_trees(text) is trees


def test_sentences_and_phrases():
    trees = [parse_tree(SENTENCE), parse_tree("(1 (0 (2 bad)))", row=7)]
    assert labelled_phrases(trees) == [(1, "3", ["It", "'s", "fun"]), (7, "1", ["bad"])]
    # Of nodes above a single child, the uppermost.
    assert labelled_phrases(trees, phrases=True) == [
        (1, "2", ["It"]),
        (1, "4", ["'s"]),
        (1, "2", ["fun"]),
        (1, "4", ["'s", "fun"]),
        (1, "3", ["It", "'s", "fun"]),
        (7, "1", ["bad"]),
    ]


@pytest.mark.parametrize("line", [SENTENCE, "(2 -LRB-)", "(1 (2 (3 8 1\\/2)) (x (\\* *) a) )"])
def test_a_tree_is_written_as_it_is_read(line):
    tree = parse_tree(line)
    labels = [str(number) for number in range(len(tree))]
    again = parse_tree(written_tree(tree, labels))
    assert (again.labels, again.words, again.parents) == (labels, tree.words, tree.parents)


def test_labels_are_written_so_that_they_can_be_read():
    assert written_tree(parse_tree("(1 (2 a) (3 b))"), ["so so", "(x)", "é"]) == "(é (so_so a) (_x_ b))"
    deep = parse_tree("(1 " * 50_000 + "(0 a)" + ")" * 50_000)
    assert len(parse_tree(written_tree(deep, ["0"] * len(deep)))) == len(deep)


def test_the_treebank_itself(shared_data):
    path = shared_data / "sst-trees" / "dev.txt"
    trees = read_trees(path)
    assert [written_tree(tree, [label or "" for label in tree.labels]) for tree in trees] == path.read_text().split(
        "\n"
    )[:-1]
    assert len(trees) == 1101 and sum(map(len, trees)) == 41447
    assert sum(len(tree.sentence) for tree in trees) == 21274
    assert sum(tree.label != "2" for tree in trees) == 872
