"""Examples of unequal length share batches."""

import pytest
import torch

from steploom.data.bucketing import BucketedBatches, padded

SIZES = torch.tensor([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5])


class Counted(BucketedBatches):
    """Of each example its number, as often as its size says."""

    def collate(self, mine, whole):
        columns = [torch.full((int(SIZES[i]),), int(i)) for i in mine]
        return {"numbers": padded(columns, int(SIZES[whole].max()), -1)}


@pytest.mark.parametrize("seed", [None, 0, 3])
def test_an_epoch_holds_each_example_once_and_its_short_batch_last(seed):
    batches = Counted(SIZES, 4, seed)
    chosen = [batches.chosen(2, index).tolist() for index in range(len(batches))]
    assert [len(part) for part in chosen] == [4, 4, 3]
    order = [i for part in chosen for i in part]
    assert sorted(order) == list(range(11))
    assert seed is not None or [int(SIZES[i]) for i in order] == sorted(SIZES.tolist())


@pytest.mark.parametrize("world", [2, 5])
def test_all_processes_pad_to_the_longest_of_the_whole_batch(world):
    batches = Counted(SIZES, 4, 1)
    for index in range(len(batches)):
        whole = batches.batch(3, index)["numbers"]
        assert len(whole) == SIZES[batches.chosen(3, index)].max()
        for rank in range(world):
            assert torch.equal(batches.batch(3, index, rank, world)["numbers"], whole[:, rank::world])
