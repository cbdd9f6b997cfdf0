"""Sentences in batches: words, spellings, tags."""

import pytest
import torch

from steploom.data.labelled.conll_batches import SentenceBatches, WordCoder, learn_words
from steploom.models.output_loss import IGNORED

SENTENCES = [("The", "loom", "of", "1996"), ("the", "Loom"), ("a", "loom", "loom"), ("x" * 70,), ("of",)]


def test_words_are_learnt_in_their_normal_form():
    coder, rare = learn_words(SENTENCES)
    assert coder.words[:3] == ("<unk>", "loom", "of")
    assert set(coder.words) == {"<unk>", "loom", "the", "of", "0000", "a", "x" * 70}
    assert {coder.words[number] for number in rare} == {"0000", "a", "x" * 70}
    assert coder.number("LOOM") == 1 and coder.number("2024") == coder.number("1996") and coder.number("none") == 0
    assert coder.characters[0] == "<unk>" and set("TthelomfL196ax") == set(coder.characters[1:])
    assert coder.spelling("tk") == [coder.characters.index("t"), 0]


def test_other_normal_forms():
    coder, _ = learn_words(SENTENCES, lowercase=False, zero_digits=False, characters=False)
    assert {"The", "the", "Loom", "1996"} <= set(coder.words)
    assert coder.characters == ()
    coder, rare = learn_words(SENTENCES, ["further", "of"], min_count=2)
    assert coder.words == ("<unk>", "loom", "of", "the", "further") and rare == []


def test_of_a_long_word_its_ends_are_read():
    coder, _ = learn_words(["ab"])
    a, b = coder.spelling("a")[0], coder.spelling("b")[0]
    assert coder.spelling("a" * 1000 + "b" * 1000) == [a] * 30 + [b] * 30
    assert len(coder.spelling("a" * 60)) == 60


def test_a_coder_comes_back():
    coder, _ = learn_words(SENTENCES)
    assert WordCoder.from_json(coder.to_json()) == coder


@pytest.mark.parametrize(
    "change", [{"words": ["a"]}, {"words": ["<unk>", 3]}, {"characters": ["<unk>", "a", "a"]}, {"lowercase": 1}]
)
def test_a_coder_that_is_wrong_is_refused(change):
    with pytest.raises((TypeError, ValueError)):
        WordCoder.from_json(learn_words(SENTENCES)[0].to_json() | change)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_each_word_stands_in_its_place_with_its_spelling_and_tag(world):
    coder, _ = learn_words(SENTENCES)
    targets = [[len(word) for word in sentence] for sentence in SENTENCES]
    batches = SentenceBatches(SENTENCES, coder, 2, targets, seed=1)
    seen = []
    for index in range(len(batches)):
        parts = [batches.batch(0, index, rank, world) for rank in range(world)]
        assert len({len(part["words"]) for part in parts}) == 1
        for part in parts:
            assert part["character_lengths"].shape == part["characters"].shape[1:]
            for column, length in enumerate(part["lengths"].tolist()):
                assert part["target"][length:, column].eq(IGNORED).all()
                tags = part["target"][:length, column].tolist()
                (number,) = (i for i, wanted in enumerate(targets) if wanted == tags)
                seen.append(number)
                for place, word in enumerate(SENTENCES[number]):
                    assert part["words"][place, column] == coder.number(word)
                    which = part["spelling"][place, column]
                    size = part["character_lengths"][which]
                    assert part["characters"][:size, which].tolist() == coder.spelling(word)
    assert sorted(seen) == list(range(5))


def test_a_different_word_is_spelt_once_a_batch():
    coder, _ = learn_words(SENTENCES)
    batch = SentenceBatches([("loom", "loom", "the"), ("loom",)], coder, 2).batch(0, 0)
    assert batch["characters"].shape == (4, 2) and "target" not in batch


def test_the_order_follows_from_seed_and_epoch():
    coder, _ = learn_words(SENTENCES)
    many = [(f"w{number}", "x") for number in range(40)]
    targets = [[number, 0] for number in range(40)]

    def order(seed, epoch):
        batches = SentenceBatches(many, coder, 8, targets, seed)
        return torch.cat([batches.batch(epoch, index)["target"][0] for index in range(len(batches))]).tolist()

    assert order(1, 0) == order(1, 0) != order(1, 1) != order(2, 1)
    assert sorted(order(1, 1)) == list(range(40))
