"""Labelled examples: classes, parts, batches."""

from pathlib import Path

import pytest
import torch

from steploom.data.labelled.examples import Examples, Items, LabelledBatches, class_numbers, classes_of
from steploom.data.labelled.sequences import TokenSequences
from steploom.errors import DataError


def examples(labels):
    places = tuple((0, row + 2) for row in range(len(labels)))
    return Examples(Items(f"text {row}" for row in range(len(labels))), tuple(labels), (Path("a.csv"),), places)


def test_classes_have_the_order_of_numbers_or_of_the_alphabet():
    assert classes_of(["10", "9", "-1", "9"]) == ("-1", "9", "10")
    assert classes_of(["b", "a", "10"]) == ("10", "a", "b")


def test_an_unknown_label_is_named_with_its_place():
    with pytest.raises(DataError, match=r"a\.csv, row 4: the label 'god' does not occur .* Did you mean 'good'\?"):
        class_numbers(examples(["good", "bad", "god"]), ("bad", "good"))
    assert class_numbers(examples(["good", "bad"]), ("bad", "good")).tolist() == [1, 0]


def test_labels_are_renamed_and_left_out():
    found = examples(["0", "1", "2", "1"]).relabelled({"0": "low", "1": ""})
    assert found.labels == ("low", "2") and found.inputs == ("text 0", "text 2")
    assert [row for _, row in found.places] == [2, 4]


def test_batches_hold_each_example_once_with_its_label():
    numbers = [[row] * (1 + row % 7) for row in range(53)]
    batches = LabelledBatches(TokenSequences(numbers), torch.arange(53), 8, seed=0)
    seen = []
    for index in range(len(batches)):
        batch = batches.batch(2, index)
        for column, label in enumerate(batch["label"].tolist()):
            length = int(batch["lengths"][column])
            assert length == 1 + label % 7
            assert batch["tokens"][:length, column].tolist() == [label] * length
            assert not batch["tokens"][length:, column].any()
            seen.append(label)
        parts = [batches.batch(2, index, rank, 3) for rank in range(3)]
        assert torch.equal(torch.cat([part["label"] for part in parts]).sort()[0], batch["label"].sort()[0])
        assert len({len(part["tokens"]) for part in parts}) == 1
    assert sorted(seen) == list(range(53))


def test_a_rank_without_a_share_gets_an_empty_batch():
    batches = LabelledBatches(TokenSequences([[1, 2]]), torch.tensor([0]), 8)
    assert all(part.numel() == 0 for part in batches.batch(0, 0, 1, 2).values())


def test_labels_of_thousands_of_digits_are_texts():
    assert classes_of(["2", "1" * 5000, "10"]) == ("10", "1" * 5000, "2")
    assert classes_of(["10", "-2", "9"]) == ("-2", "9", "10")
