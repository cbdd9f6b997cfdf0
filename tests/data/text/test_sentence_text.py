"""Running text as documents of normalised sentences."""

import gzip

import pytest

from steploom.data.text.sentence_text import NORMALISERS, read_documents, split_sentences
from steploom.errors import DataError


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("none", " The  Dog, ran. ", "The  Dog, ran."),
        ("lower", "The Dog", "the dog"),
        ("split", 'The "Dog" isn\'t well-known, <unk> said.', 'the " dog " isn\'t well-known , <unk> said .'),
        ("split", "東京は大きい。", "東京は大きい 。"),
        ("split", "हिन्दी भाषा।", "हिन्दी भाषा ।"),
        ("split", "\u0130stanbul güzel", "istanbul güzel"),
        ("lower", "\u0130stanbul I\u0307zmir Irak", "istanbul izmir irak"),
        ("ptb", "\u0130stanbul", "istanbul"),
        ("split", "cafe\u0301-bar.", "cafe\u0301-bar ."),
        ("split", "می\u200cروم", "می\u200cروم"),
        ("split", "I \u2764\ufe0fyou", "i \u2764 \ufe0f you"),
        ("ptb", "The dog, isn't the man's.", "the dog is n't the man 's"),
        ("ptb", "I can't; we’re off (to Rome)!", "i ca n't we 're off to rome"),
        ("ptb", "It paid $1,200.50 in 1989, or 20% of 3.", "it paid $ N in N or N of N"),
        ("ptb", "Mr. Smith of the U.S. met Acme Corp.", "mr. smith of the u.s. met acme corp."),
        ("ptb", "the boys' 30-year bonds", "the boys ' 30-year bonds"),
        ("ptb", "He fell ill.", "he fell ill"),
        ("ptb", "... -- !", ""),
    ],
)
def test_words_of_a_sentence(name, text, words):
    assert NORMALISERS[name](text) == words


def test_normalised_text_stays_as_it_is():
    for text in (
        "mr. smith 's <unk> is n't N years old",
        "we 've N N of the u.s. $ N million",
        "the boys ' s&p 500-stock",
        "it is based in <unk> calif.",
        "net income $ N million \\* $ N a share \\*\\*",
    ):
        assert NORMALISERS["ptb"](text) == text


def test_a_blank_line_and_the_end_of_a_file_end_a_document(tmp_path):
    (tmp_path / "a.txt").write_text("\none.\ntwo.\n\n \nthree.\n...\nfour.\n")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"five."))
    found = read_documents([tmp_path / "a.txt", tmp_path / "b.txt.gz"], "ptb", split=False)
    assert found == (("one", "two"), ("three", "four"), ("five",))


def test_running_text_is_cut_into_sentences(tmp_path):
    (tmp_path / "a.txt").write_text("He left. She\nstayed! Mr. Brown\nslept.\n\nWhy?\n")
    found = read_documents([tmp_path / "a.txt"], "none", split=True)
    assert found == (("He left.", "She stayed!", "Mr. Brown slept."), ("Why?",))


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It cost 3.5 dollars, e.g. here. Good.", ["It cost 3.5 dollars, e.g. here.", "Good."]),
        ('"Go!" she said. "No." He went.', ['"Go!" she said.', '"No."', "He went."]),
        ("今日は。明日は！", ["今日は。", "明日は！"]),
        ("彼は「行く。」と言った。本当？！はい｡", ["彼は「行く。」", "と言った。", "本当？！", "はい｡"]),
        ('यह है। वह है।कौन? "हाँ।" अंत ॥', ["यह है।", "वह है।", "कौन?", '"हाँ।"', "अंत ॥"]),
        ("আমি যাই। সে যায়।", ["আমি যাই।", "সে যায়।"]),
        ("Πού πας\u037e Εδώ; ναι· Τέλος.", ["Πού πας\u037e", "Εδώ; ναι· Τέλος."]),
        ("هل جاء؟ نعم. لا!", ["هل جاء؟", "نعم.", "لا!"]),
        ("یہ ہے۔ وہ ہے۔", ["یہ ہے۔", "وہ ہے۔"]),
        ("Սա է։ Նա է։", ["Սա է։", "Նա է։"]),
        ("ይህ ነው። ማን ነው፧ እሱ።", ["ይህ ነው።", "ማን ነው፧", "እሱ።"]),
        ("မြန်မာ။ စာ။", ["မြန်မာ။", "စာ။"]),
        ("ខ្មែរ។ ភាសា៕", ["ខ្មែរ។", "ភាសា៕"]),
        (
            "«Иди!» Он ушёл. „Geh!“ Er ging. »Ja?« Nein‽ Doch.",
            ["«Иди!»", "Он ушёл.", "„Geh!“", "Er ging.", "»Ja?«", "Nein‽", "Doch."],
        ),
        ("Es ist ca. über 5 m lang. Über 5.", ["Es ist ca. über 5 m lang.", "Über 5."]),
        ("Это т. е. так. Вот.", ["Это т. е. так.", "Вот."]),
        ("no end", ["no end"]),
    ],
)
def test_where_sentences_end(text, sentences):
    assert split_sentences(text) == sentences


def test_a_file_without_words(tmp_path):
    (tmp_path / "a.txt").write_text("...\n---\n")
    with pytest.raises(DataError, match=r"a\.txt: no line holds a word\. --normalise ptb drops punctuation"):
        read_documents([tmp_path / "a.txt"], "ptb", split=False)
