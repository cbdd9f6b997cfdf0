"""Which examples are set aside."""

from collections import Counter

import pytest

from steploom.data.set_aside import every_nth, every_nth_shown, share_of_each


@pytest.mark.parametrize(
    ("count", "every", "aside"),
    [
        (0, 5, []),
        (1, 5, []),
        (2, 5, [1]),
        (4, 5, [3]),
        (5, 5, [4]),
        (6, 5, [4]),
        (10, 5, [4, 9]),
        (2, 2, [1]),
        (3, 2, [1]),
        (9, 0, []),
        (2, 3, [1]),
    ],
)
def test_every_nth_is_one_at_least_and_never_all(count, every, aside):
    kept, found = every_nth(count, every)
    assert found == aside and kept == [row for row in range(count) if row not in aside]


def test_all_are_never_set_aside():
    for count in (0, 1, 3):
        with pytest.raises(ValueError, match="every 1"):
            every_nth(count, 1)


def test_every_nth_is_shown():
    assert every_nth_shown(41, 20, "line") == "every 20th line, 2 lines"
    assert every_nth_shown(2, 2, "line") == "every 2nd line, 1 line"
    assert every_nth_shown(3_450_000, 23, "line") == "every 23rd line, 150,000 lines"
    assert every_nth_shown(12, 12, "line") == "every 12th line, 1 line"
    assert every_nth_shown(3, 20, "line") == "the last of 3 lines"
    assert every_nth_shown(1, 20, "line") == every_nth_shown(9, 0, "line") == "none"


def test_each_label_has_its_share_in_both_parts():
    labels = ["a"] * 70 + ["b"] * 25 + ["c"] * 4 + ["d"]
    kept, aside = share_of_each(labels, 0.2, 3)
    assert sorted(kept + aside) == list(range(100)) and kept == sorted(kept)
    counts = Counter(labels[row] for row in aside)
    assert abs(counts["a"] - 14) <= 1 and abs(counts["b"] - 5) <= 1 and counts["c"] <= 1 and counts["d"] == 0
    assert share_of_each(labels, 0.2, 3) == (kept, aside) != share_of_each(labels, 0.2, 4)
    assert share_of_each(["a", "b"], 0.5, 0)[1] == []
