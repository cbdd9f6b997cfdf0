"""Forests: the order of nodes, levels, and what is sent where."""

import pytest
import torch

from steploom.errors import OptionError
from steploom.layers.forest import Forest
from tests.layers.by_hand_trees import random_parents


def test_a_small_forest_by_hand():
    # ((a b) c) and a lone d.
    forest, number = Forest.grow(torch.tensor([2, 2, 4, 4, -1, -1]))
    assert number.tolist() == [0, 1, 4, 2, 5, 3]
    assert forest.children.tolist() == [[-1, -1]] * 4 + [[0, 1], [4, 2]]
    # The root's inbox holds c, of level 0, and then the pair, of level 1.
    assert forest.places.tolist() == [[-1, -1]] * 4 + [[0, 1], [1, 0]]
    assert forest.levels.tolist() == [0, 4, 5, 6]
    assert forest.pieces.tolist() == [[0, 1, 2], [0, 2, 1], [1, 2, 1]]
    assert forest.roots.tolist() == [5, 3]
    assert len(forest) == 6 and forest.leaves == 4


def test_random_forests_keep_the_order_of_their_levels():
    generator = torch.Generator().manual_seed(0)
    for _ in range(30):
        parents = torch.tensor(random_parents(int(torch.randint(1, 80, (), generator=generator)), 4, generator))
        forest, number = Forest.grow(parents)
        assert sorted(number.tolist()) == list(range(len(parents)))
        assert number[-1] == forest.roots[0] == len(parents) - 1
        for node, parent in enumerate(parents.tolist()):
            if parent >= 0:
                assert int(number[node]) in forest.children[number[parent]].tolist()
        level_of = torch.bucketize(torch.arange(len(parents)), forest.levels[1:], right=True)
        for node, row in enumerate(forest.children.tolist()):
            below = [child for child in row if child >= 0]
            assert level_of[node] == max((int(level_of[child]) + 1 for child in below), default=0)
            # Children stand in the order in which they were given, and first in their row.
            given = [int((number == child).nonzero()) for child in below]
            assert given == sorted(given) and row[: len(below)] == below
        assert int(forest.pieces[:, 2].sum()) == len(parents) - 1


def test_heights_that_are_known_need_not_be_found():
    parents = torch.tensor([2, 2, 4, 4, -1])
    found, _ = Forest.grow(parents)
    given, _ = Forest.grow(parents, torch.tensor([0, 0, 1, 0, 2]))
    for name, tensor in found.tensors().items():
        assert torch.equal(tensor, given.tensors()[name])
    assert torch.equal(Forest.of({**found.tensors(), "other": parents}).places, found.places)


@pytest.mark.parametrize("parents", [[1, 0], [5, -1], [0, -1]])
def test_a_parent_must_stand_behind_its_child(parents):
    with pytest.raises(OptionError, match="should stand behind it"):
        Forest.grow(torch.tensor(parents))
