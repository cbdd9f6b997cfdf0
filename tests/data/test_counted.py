"""Numbers of things, for people."""

import pytest

from steploom.data.counted import counted
from steploom.data.set_aside import every_nth_shown


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0 pairs"), (1, "1 pair"), (2, "2 pairs"), (1200, "1,200 pairs"), (-1, "-1 pairs")]
)
def test_one_of_a_thing_is_in_the_singular(number, shown):
    assert counted(number, "pair") == shown


def test_a_plural_of_its_own():
    assert counted(1, "class", "classes") == "1 class" and counted(2, "class", "classes") == "2 classes"


def test_what_is_set_aside_is_counted():
    assert every_nth_shown(20, 20, "pair") == "every 20th pair, 1 pair"
