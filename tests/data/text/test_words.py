"""Running text into words and punctuation."""

import pytest

from steploom.data.text.words import split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('He said: "Don\'t!!!!"', ["He", "said", ":", '"', "Don't", "!!!", '"']),
        ("well-known (1,299.50 at 10:30).", ["well-known", "(", "1,299.50", "at", "10:30", ")", "."]),
        ("one.Two,three", ["one", ".", "Two", ",", "three"]),
        ("l’été—déjà", ["l’été", "—", "déjà"]),
        ("हिन्दी می‌روم e\u0301te\u0301", ["हिन्दी", "می‌روم", "e\u0301te\u0301"]),
        ("3rd 2.5x", ["3rd", "2", ".", "5x"]),
        ("🎉🎉🎉🎉 ok…", ["🎉🎉🎉", "ok", "…"]),
        (" \t\n", []),
        ("...", ["..."]),
    ],
)
def test_words_and_punctuation(text, words):
    assert split_words(text) == words


def test_nothing_is_lost_but_white_space_and_long_runs():
    text = "“Ça va?” — 12:30, sì; a_b @you #1 100% <br />"
    assert "".join(split_words(text)) == "".join(text.split())
