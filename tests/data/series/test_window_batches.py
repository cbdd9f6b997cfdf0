"""Batches of windows: the same numbers give the same batch, and every window has its chance."""

import numpy as np
import pytest
import torch

from steploom.data.series.window_batches import DrawnWindows, OrderedWindows
from steploom.data.series.window_layout import Layout
from steploom.data.series.windows import Windows
from tests.data.series.forecast_series import hourly

ROWS = [(30, 250), (30, 400)]


def windows() -> Windows:
    data = hourly()
    return Windows(data, Layout.learn(data, ROWS, 30, 24))


def test_a_batch_is_a_function_of_seed_epoch_and_index() -> None:
    one, other = (DrawnWindows(windows(), ROWS, 16, 5, seed=3) for _ in range(2))
    first = one.batch(2, 4)
    for _ in range(3):
        other.batch(0, 0)
    again = other.batch(2, 4)
    assert all(torch.equal(first[name], again[name]) for name in first)
    different = (DrawnWindows(windows(), ROWS, 16, 5, seed=4).batch(2, 4), one.batch(2, 3), one.batch(1, 4))
    assert not any(torch.equal(first["values"], batch["values"]) for batch in different)
    assert len(one) == 5 and not one.carries_state


@pytest.mark.parametrize("world", [2, 3])
def test_the_shares_of_all_processes_are_the_batch(world: int) -> None:
    for batches in (DrawnWindows(windows(), ROWS, 16, 5, 0), OrderedWindows(windows(), ROWS, 16, 50)):
        whole = batches.batch(1, 2)
        for rank in range(world):
            share = batches.batch(1, 2, rank, world)
            assert all(torch.equal(share[name], whole[name][rank::world]) for name in whole)


def test_every_origin_is_drawn_and_no_other() -> None:
    data = hourly((60, 70), missing=0)
    rows = [(30, 60), (30, 31)]
    drawn = DrawnWindows(Windows(data, Layout.learn(data, rows, 30, 24)), rows, 64, 5, 0)
    assert drawn.count == 7
    seen = []
    drawn.windows.at = lambda series, origins: (seen.append((series, origins)) or {}, None)  # type: ignore
    for index in range(5):
        drawn.batch(0, index)
    assert {int(n) for s, _ in seen for n in s} == {0}
    assert sorted({int(n) for _, r in seen for n in r}) == list(range(30, 37))


def test_ordered_windows_are_spread_evenly() -> None:
    ordered = OrderedWindows(windows(), [(250, 300), (400, 420)], 10, 1000)
    assert ordered.rows.tolist() == list(range(250, 277))
    assert ordered.series.tolist() == [0] * 27
    assert len(ordered) == 3 and ordered.rows_covered == 50
    few = OrderedWindows(windows(), ROWS, 10, 5)
    assert len(few.rows) == 5
    assert (few.series[0], few.rows[0], few.series[-1], few.rows[-1]) == (0, 30, 1, 376)


def test_nothing_to_draw_from() -> None:
    with pytest.raises(ValueError, match="horizon"):
        DrawnWindows(windows(), [(30, 50), (30, 53)], 16, 5, 0)
    assert len(OrderedWindows(windows(), [(300, 300), (420, 420)], 10, 100)) == 0
    assert np.size(OrderedWindows(windows(), [(300, 300), (420, 420)], 10, 100).rows) == 0
