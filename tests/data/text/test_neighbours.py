"""Sentences and their neighbours in batches."""

import random

import pytest
import torch

from steploom.data.text.neighbours import NeighbourBatches, sentence_columns
from steploom.models.output_loss import IGNORED

BEGIN, END = 1, 2


def documents(seed=0):
    chosen = random.Random(seed)
    return [
        [[chosen.randrange(3, 30) for _ in range(chosen.randrange(1, 8))] for _ in range(size)]
        for size in (1, 2, 7, 1, 4)
    ]


def expected(docs):
    """(before, this, after) of each sentence with a neighbour, as tuples; None where there is no neighbour."""
    found = []
    for doc in docs:
        for place, sentence in enumerate(doc):
            before = tuple(doc[place - 1]) if place else None
            after = tuple(doc[place + 1]) if place + 1 < len(doc) else None
            if before or after:
                found.append((before, tuple(sentence), after))
    return found


def read_back(batch, column):
    length = int(batch["lengths"][column])
    sides = []
    for side in ("before", "after"):
        target, read = batch[f"{side}_target"][:, column], batch[f"{side}_input"][:, column]
        counted = target[target != IGNORED].tolist()
        if not counted:
            sides.append(None)
            continue
        assert counted[-1] == END and (target[len(counted) :] == IGNORED).all()
        assert read[: len(counted)].tolist() == [BEGIN, *counted[:-1]]
        sides.append(tuple(counted[:-1]))
    sentence = batch["sentence"][:, column]
    assert (sentence[length:] == END).all()
    return sides[0], tuple(sentence[:length].tolist()), sides[1]


def key(triple):
    return tuple(part or () for part in triple)


@pytest.mark.parametrize(("size", "seed"), [(1, 0), (3, 5), (4, None), (100, 1)])
def test_every_sentence_with_a_neighbour_comes_once_an_epoch(size, seed):
    docs = documents()
    batches = NeighbourBatches(docs, BEGIN, END, size, seed)
    assert len(batches) == -(-13 // size)
    for epoch in (0, 3):
        found = []
        for index in range(len(batches)):
            batch = batches.batch(epoch, index)
            found += [read_back(batch, column) for column in range(batch["sentence"].shape[1])]
        assert sorted(found, key=key) == sorted(expected(docs), key=key)


def test_targets_are_counted():
    docs = documents()
    batches = NeighbourBatches(docs, BEGIN, END, 3, 0)
    found = sum(
        int((batches.batch(0, index)[f"{side}_target"] != IGNORED).sum())
        for index in range(len(batches))
        for side in ("before", "after")
    )
    assert batches.targets == found


def test_a_batch_depends_on_epoch_and_number_alone():
    first, second = (NeighbourBatches(documents(), BEGIN, END, 4, 7) for _ in range(2))
    second.batch(5, 1)
    assert all(torch.equal(part, second.batch(0, 2)[name]) for name, part in first.batch(0, 2).items())
    assert not torch.equal(first.batch(0, 0)["lengths"], first.batch(1, 0)["lengths"])


def test_ranks_share_a_batch():
    batches = NeighbourBatches(documents(), BEGIN, END, 5, 0)
    whole, parts = batches.batch(1, 0), [batches.batch(1, 0, rank, 2) for rank in range(2)]
    for name, values in whole.items():
        for rank, part in enumerate(parts):
            assert torch.equal(values[..., rank::2], part[name])


def test_padding():
    tokens, lengths = sentence_columns([[5, 6], [], [7]], END)
    assert tokens.tolist() == [[5, END, 7], [6, END, END]] and lengths.tolist() == [2, 1, 1]
