"""Text to token numbers and back."""

import json
import time

import numpy as np
import pytest

from steploom.data.text.learn_vocabulary import learn_vocabulary
from steploom.data.text.vocabulary import load_vocabulary
from steploom.errors import ModelDirectoryError, OptionError

TEXT = "the cat <unk> sat\non the mat\n靜夜思 𠀀🙂 naïve\n"


def reloaded(vocabulary):
    return load_vocabulary(json.loads(json.dumps(vocabulary.to_json())))


@pytest.mark.parametrize("unit", ["characters", "words", "bpe"])
@pytest.mark.parametrize("lines", [False, True])
def test_text_comes_back_also_after_saving(unit, lines):
    texts = TEXT.splitlines() if lines else [TEXT]
    vocabulary = learn_vocabulary(texts, unit, lines=lines, size=300 if unit == "bpe" else None)
    again = reloaded(vocabulary)
    assert again.tokens == vocabulary.tokens and type(again) is type(vocabulary)
    for text in texts:
        numbers = vocabulary.encode(text)
        assert all(0 <= n < len(vocabulary) for n in numbers)
        assert again.encode(text) == numbers
        assert again.decode(numbers) == text
    assert (vocabulary.begin is not None and vocabulary.end is not None) == lines or unit == "words"


def test_characters_are_code_points():
    vocabulary = learn_vocabulary(["𠀀𠀀a🙂"], "characters")
    assert vocabulary.tokens == ("<unk>", "𠀀", "a", "🙂")
    assert vocabulary.encode("a𠀀") == [2, 1]


def test_unknown_characters_are_counted_and_encoded():
    vocabulary = learn_vocabulary(["abc"], "characters")
    assert vocabulary.encode("axéx") == [1, 0, 0, 0]
    assert vocabulary.count_unknown("axéx") == 3
    assert vocabulary.decode([1, 0]) == "a�"


def test_words_count_as_in_the_penn_treebank():
    vocabulary = learn_vocabulary([" a b <unk> \n b c \n"], "words")
    assert set(vocabulary.tokens) == {"<unk>", "<eos>", "a", "b", "c"}
    numbers = vocabulary.encode(" a b <unk> \n b c \n")
    assert [vocabulary.tokens[n] for n in numbers] == ["a", "b", "<unk>", "<eos>", "b", "c", "<eos>"]
    assert vocabulary.count_unknown("a zebra <unk>\n") == 1
    assert vocabulary.decode(numbers) == "a b <unk>\nb c\n"


def test_the_penn_treebank_has_10000_words_and_929589_tokens(shared_data):
    from steploom.data.text.files import read_text

    text = read_text(shared_data / "ptb" / "ptb.train.txt.gz")
    vocabulary = learn_vocabulary([text], "words")
    assert len(vocabulary) == 10_000
    assert len(vocabulary.encode(text)) == 929_589
    test = read_text(shared_data / "ptb" / "ptb.test.txt")
    assert len(vocabulary.encode(test)) == 82_430 and vocabulary.count_unknown(test) == 0


def test_the_most_frequent_stay_where_the_size_is_limited():
    vocabulary = learn_vocabulary(["b b b a a c"], "words", size=4)
    assert vocabulary.tokens == ("<unk>", "<eos>", "b", "a")
    assert learn_vocabulary(["b b b a a c"], "words", min_count=3).tokens == ("<unk>", "<eos>", "b")


def test_the_order_does_not_depend_on_the_order_of_equal_counts():
    assert learn_vocabulary(["ba"], "characters").tokens == learn_vocabulary(["ab"], "characters").tokens


def test_bpe_knows_every_text_and_shortens_frequent_ones():
    vocabulary = learn_vocabulary(["low lower lowest " * 50], "bpe", size=300)
    assert len(vocabulary.encode("low lower lowest")) <= 6
    text = "völlig anders\n靜"
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert vocabulary.count_unknown(text) == 0 and vocabulary.unknown is None


def test_the_start_of_a_text_is_a_line_end_where_there_is_one():
    characters = learn_vocabulary(["a\nb"], "characters")
    assert characters.tokens[characters.start] == "\n"
    words = learn_vocabulary(["a\nb"], "words")
    assert words.start == words.end
    lines = learn_vocabulary(["ab"], "characters", lines=True)
    assert lines.start == lines.begin
    assert learn_vocabulary(["ab"], "characters").start == 0
    bpe = learn_vocabulary(["a b"], "bpe", size=260)
    assert bpe.decode([bpe.start]) == "\n"


@pytest.mark.parametrize(
    ("unit", "options", "message"),
    [
        ("bpe", {"size": 100}, "--vocabulary-size: expected 257 or more for bpe"),
        ("words", {"size": 2}, "--vocabulary-size: expected more than 2"),
        ("words", {"min_count": 9}, "--min-count: no token stands 9 times"),
    ],
)
def test_impossible_sizes_are_refused(unit, options, message):
    with pytest.raises(OptionError, match=message):
        learn_vocabulary(["a b"], unit, **options)


@pytest.mark.parametrize(
    "saved",
    [
        {},
        [],
        {"unit": "syllables", "tokens": []},
        {"unit": "words"},
        {"unit": "words", "tokens": ["a", "<unk>"]},
        {"unit": "bpe", "tokenizer": {"a": 1}},
    ],
)
def test_a_damaged_vocabulary_is_said(saved):
    with pytest.raises(ModelDirectoryError, match="no vocabulary"):
        load_vocabulary(saved)


@pytest.mark.parametrize("unit", ["characters", "words", "bpe"])
def test_marks_that_stand_in_a_line_are_no_marks(unit):
    texts = ["hello <eos> world", "abc <bos> d", "<eos>"] * 5
    learnt = learn_vocabulary(texts, unit, lines=True, size=300 if unit == "bpe" else None)
    for vocabulary in (learnt, reloaded(learnt)):
        for text in texts:
            numbers = vocabulary.encode(text)
            assert not {vocabulary.begin, vocabulary.end} & set(numbers)
            if unit == "words":
                assert [vocabulary.tokens[n] for n in numbers] == [
                    "<unk>" if word in ("<bos>", "<eos>") else word for word in text.split()
                ]
                assert vocabulary.count_unknown(text) == 1
            else:
                assert vocabulary.decode(numbers) == text


def test_the_marks_of_lines_are_words_like_others_in_a_running_text():
    """But <eos>, by which some corpora write a line end."""
    vocabulary = learn_vocabulary(["a <bos> b <eos> c"], "words")
    assert vocabulary.begin is None and vocabulary.start == vocabulary.end
    numbers = vocabulary.encode("a <bos> <eos>")
    assert [vocabulary.tokens[n] for n in numbers] == ["a", "<unk>", "<eos>"]


def test_a_line_has_ends_where_lines_are_kept_apart():
    lines, text = (learn_vocabulary(["a b"], "characters", lines=kept) for kept in (True, False))
    assert [lines.tokens[n] for n in lines.ends] == ["<bos>", "<eos>"]
    assert load_vocabulary(lines.to_json(), lines=True).ends == lines.ends
    for refused in (lambda: text.ends, lambda: load_vocabulary(text.to_json(), lines=True)):
        with pytest.raises(ModelDirectoryError, match="no tokens for the two ends of a line"):
            refused()


def test_byte_pairs_of_a_genome_in_one_line_are_learnt_in_seconds():
    letters = np.random.default_rng(0).choice(list("ACGT"), 200_000)
    text = f"{''.join(letters)}\n"
    began = time.perf_counter()
    vocabulary = learn_vocabulary([text], "bpe", size=400)
    assert time.perf_counter() - began < 8
    numbers = vocabulary.encode(text)
    assert len(numbers) < 70_000 and vocabulary.decode(numbers) == text
