"""Schemes of tags: spans read as conlleval reads them, written back, told apart."""

import itertools

import pytest

from steploom.data.labelled.tag_schemes import (
    SCHEMES,
    Span,
    allowed_end,
    allowed_pair,
    allowed_start,
    find_scheme,
    first_break,
    is_span_tag,
    scheme_tags,
    spans_of,
    tags_of,
    type_of,
)

WRITTEN = [
    ([], "O O O", "O O O", "O O O"),
    ([Span(1, 2, "A")], "O I-A O", "O B-A O", "O S-A O"),
    ([Span(0, 3, "A")], "I-A I-A I-A", "B-A I-A I-A", "B-A I-A E-A"),
    ([Span(0, 2, "A"), Span(2, 3, "A")], "I-A I-A B-A", "B-A I-A B-A", "B-A E-A S-A"),
    ([Span(0, 1, "A"), Span(1, 3, "B")], "I-A I-B I-B", "B-A B-B I-B", "S-A B-B E-B"),
    ([Span(0, 1, "A"), Span(2, 3, "A")], "I-A O I-A", "B-A O B-A", "S-A O S-A"),
    ([Span(0, 1, "A-B"), Span(1, 2, "B")], "I-A-B I-B O", "B-A-B B-B O", "S-A-B S-B O"),
]


@pytest.mark.parametrize("case", WRITTEN, ids=lambda case: case[1])
def test_spans_are_written_and_read_in_every_scheme(case):
    spans, *written = case
    for scheme, text in zip(SCHEMES, written, strict=True):
        tags = text.split()
        assert tags_of(spans, 3, scheme) == tags
        assert spans_of(tags) == spans
        assert first_break(tags, scheme) is None


def by_conlleval(tags):
    """Spans by the rules of the script conlleval: what ends a chunk and what starts one, tag by tag."""
    spans, start, previous = [], None, "O"
    for place, tag in enumerate([*tags, "O"]):
        before, letter = previous[0], tag[0]
        same = type_of(previous) == type_of(tag)
        ends = (before, letter) in {
            ("B", "B"),
            ("B", "O"),
            ("I", "B"),
            ("I", "O"),
            ("E", "E"),
            ("E", "I"),
            ("E", "O"),
        } or (before not in "O" and not same)
        starts = (before, letter) in {
            ("B", "B"),
            ("I", "B"),
            ("O", "B"),
            ("O", "I"),
            ("E", "E"),
            ("E", "I"),
            ("O", "E"),
        } or (letter != "O" and not same)
        if start is not None and ends:
            spans.append(Span(start, place, type_of(previous)))
            start = None
        if starts:
            start = place
        previous = tag
    return spans


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
def test_every_sequence_of_iob_tags_is_read_as_conlleval_reads_it(length):
    """Those that break the schemes too."""
    for tags in itertools.product(["O", "B-A", "I-A", "B-B", "I-B"], repeat=length):
        assert spans_of(tags) == by_conlleval(tags), tags


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("O I-A O", [Span(1, 2, "A")]),
        ("I-A E-A I-A", [Span(0, 2, "A"), Span(2, 3, "A")]),
        ("E-A E-A", [Span(0, 1, "A"), Span(1, 2, "A")]),
        ("B-A S-A I-A", [Span(0, 1, "A"), Span(1, 2, "A"), Span(2, 3, "A")]),
        ("B-A O E-A", [Span(0, 1, "A"), Span(2, 3, "A")]),
        ("B-A I-B E-B", [Span(0, 1, "A"), Span(1, 3, "B")]),
    ],
)
def test_broken_sequences_are_read(tags, spans):
    assert spans_of(tags.split()) == spans


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_what_may_follow_what_allows_exactly_what_a_scheme_writes(scheme, length):
    for tags in itertools.product(scheme_tags(["A", "B"], scheme), repeat=length):
        allowed = (
            allowed_start(tags[0], scheme)
            and allowed_end(tags[-1], scheme)
            and all(allowed_pair(*pair, scheme) for pair in itertools.pairwise(tags))
        )
        assert allowed == (tags_of(spans_of(tags), length, scheme) == list(tags)), tags
        if scheme != "iob1":
            assert allowed == (first_break(tags, scheme) is None)


@pytest.mark.parametrize(
    ("tags", "scheme", "place", "what"),
    [
        ("O I-A", "iob2", 1, "I-A stands behind O"),
        ("I-A O", "iob2", 0, "I-A opens the sentence"),
        ("B-A I-B", "iob2", 1, "I-B stands behind B-A"),
        ("B-A O", "bioes", 1, "O stands behind B-A"),
        ("O B-A", "bioes", 1, "B-A ends the sentence"),
        ("S-A E-A", "bioes", 1, "E-A stands behind S-A"),
    ],
)
def test_the_first_break_is_named(tags, scheme, place, what):
    assert first_break(tags.split(), scheme) == (place, what)


def test_iob1_is_never_broken():
    assert first_break(["O", "B-A", "B-B"], "iob1") is None


@pytest.mark.parametrize(
    ("sentences", "scheme"),
    [
        (["O I-A", "I-A B-A"], "iob1"),
        (["O B-A I-A", "B-A B-A"], "iob2"),
        (["O I-A", "O S-A"], "bioes"),
        (["O B-A", "O B-A", "O I-A"], "iob2"),
        (["O I-A", "O I-A", "O B-A"], "iob1"),
        (["O O"], "iob2"),
    ],
)
def test_the_scheme_is_found(sentences, scheme):
    assert find_scheme([tags.split() for tags in sentences]) == scheme


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_scheme_is_found_in_what_it_wrote(scheme):
    sentences = [tags_of(spans, 3, scheme) for spans, *_ in WRITTEN]
    assert find_scheme(sentences) == scheme


def test_what_a_tag_is():
    assert [is_span_tag(tag) for tag in ("O", "B-A", "S-a-b", "B-", "B", "X-A", "NN", "b-A")] == [
        *(True,) * 3,
        *(False,) * 5,
    ]
    assert (type_of("B-A-C"), type_of("O")) == ("A-C", "")
    assert scheme_tags(["A"], "bioes") == ["O", "B-A", "I-A", "E-A", "S-A"]
