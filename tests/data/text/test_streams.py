"""Token batches: every token is a target exactly once, whatever the batch size."""

import itertools

import pytest
import torch

from steploom.data.text.streams import LineBatches, StreamBatches
from steploom.models.output_loss import IGNORED

START = 99


def epoch_of(batches, epoch=0, rank=0, world=1):
    return [batches.batch(epoch, i, rank, world) for i in range(len(batches))]


@pytest.mark.parametrize("count", [1, 2, 7, 30, 31])
@pytest.mark.parametrize("columns", [1, 3, 8])
@pytest.mark.parametrize("bptt", [1, 4, 100])
def test_each_token_of_a_stream_is_a_target_once_after_the_one_before_it(count, columns, bptt):
    tokens = list(range(count))
    batches = epoch_of(StreamBatches(tokens, START, columns, bptt))
    target = torch.cat([b["target"] for b in batches]).t().flatten()
    inputs = torch.cat([b["input"] for b in batches]).t().flatten()
    counts = target != IGNORED
    assert target[counts].tolist() == tokens
    assert inputs[counts].tolist() == [START, *tokens[:-1]]
    assert all(0 < len(b["input"]) <= bptt for b in batches)


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (19, 1), (20, 2), (89, 8), (1000, 8)])
def test_a_short_text_is_not_cut_into_scraps(count, columns):
    assert StreamBatches(list(range(count)), START, 8, 10).batch(0, 0)["input"].shape[1] == columns


def test_a_column_goes_on_where_the_batch_before_ended():
    batches = epoch_of(StreamBatches(list(range(40)), START, 4, 3))
    for before, after in itertools.pairwise(batches):
        assert torch.equal(before["target"][-1], after["input"][0])


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_the_columns_in_blocks(world):
    stream = StreamBatches(list(range(50)), START, 7, 4)
    for index in range(len(stream)):
        shares = [stream.batch(0, index, rank, world) for rank in range(world)]
        whole = stream.batch(0, index)
        for name in ("input", "target"):
            assert torch.equal(torch.cat([s[name] for s in shares], 1), whole[name])


def lines(count=53, seed=0):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 12, (count,), generator=generator).tolist()
    return [[100 * i + j for j in range(n)] for i, n in enumerate(lengths)]


def rows(batch):
    """The lines of a batch from their inputs and targets."""
    for i in range(batch["target"].shape[1]):
        target = batch["target"][:, i]
        kept = int((target != IGNORED).sum())
        assert (target[kept:] == IGNORED).all()
        assert batch["input"][0, i] == -1 and target[kept - 1] == -2
        assert torch.equal(batch["input"][1:kept, i], target[: kept - 1])
        yield target[: kept - 1].tolist()


@pytest.mark.parametrize("size", [1, 5, 100])
@pytest.mark.parametrize("seed", [None, 4])
def test_every_line_stands_whole_in_one_batch_of_an_epoch(size, seed):
    batches = LineBatches(lines(), -1, -2, size, seed)
    found = [row for batch in epoch_of(batches, 2) for row in rows(batch)]
    assert sorted(found) == sorted(lines())
    assert batches.tokens == sum(len(line) + 1 for line in lines())


def test_epochs_differ_and_each_is_a_function_of_its_number():
    batches = LineBatches(lines(), -1, -2, 5, seed=4)
    first, second = [[list(rows(b)) for b in epoch_of(batches, epoch)] for epoch in (0, 1)]
    assert first != second
    again = LineBatches(lines(), -1, -2, 5, seed=4)
    assert list(rows(again.batch(1, 3))) == second[3]
    assert list(rows(batches.batch(0, 3))) == first[3]
    assert [list(rows(b)) for b in epoch_of(LineBatches(lines(), -1, -2, 5, seed=5))] != first


def test_lines_of_a_batch_are_about_equally_long():
    batches = LineBatches(lines(500), -1, -2, 10, seed=1)
    padding = sum(int((b["target"] == IGNORED).sum()) for b in epoch_of(batches))
    assert padding < 0.1 * batches.tokens


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_the_lines(world):
    batches = LineBatches(lines(), -1, -2, 6, seed=1)
    for index in range(len(batches)):
        shares = [batches.batch(0, index, rank, world) for rank in range(world)]
        whole = list(rows(batches.batch(0, index)))
        for rank, part in enumerate(shares):
            assert list(rows(part)) == whole[rank::world]
