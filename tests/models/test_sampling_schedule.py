"""The schedules of scheduled sampling."""

import itertools
import math

import pytest

from steploom.errors import OptionError
from steploom.models.sampling_schedule import SCHEDULES, SamplingSchedule


@pytest.mark.parametrize("kind", SCHEDULES)
def test_the_share_of_true_tokens_falls_from_nearly_one_to_nearly_nothing(kind):
    schedule = SamplingSchedule(kind, 1000)
    shares = [schedule.true_share(update) for update in range(0, 2000, 10)]
    assert shares[0] > 0.98
    assert shares[100] < 0.03
    assert all(0 <= b <= a <= 1 for a, b in itertools.pairwise(shares))
    assert SamplingSchedule(kind, 1000, floor=0.25).true_share(5000) == 0.25
    assert 0 <= schedule.true_share(10**9) < 1e-6


def test_the_shares_are_those_of_the_equations():
    assert SamplingSchedule("linear", 200).true_share(50) == 0.75
    assert SamplingSchedule("exponential", 200).true_share(100) == pytest.approx(0.1)
    schedule = SamplingSchedule("inverse_sigmoid", 4000)
    assert schedule.true_share(2000) == pytest.approx(0.5)
    # k / (k + 1) is the share at first: k follows, and with it every other one.
    first = schedule.true_share(0)
    k = first / (1 - first)
    for update in (100, 1000, 3000):
        assert schedule.true_share(update) == pytest.approx(k / (k + math.exp(update / k)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("inverse-sigmoid",), "Did you mean 'inverse_sigmoid'"),
        (("linear", 0), "1 update"),
        (("linear", 5, 1.5), "floor"),
    ],
)
def test_wrong_values_are_named(arguments, message):
    with pytest.raises(OptionError, match=message):
        SamplingSchedule(*arguments)


@pytest.mark.parametrize("updates", [1, 2, 3, 10])
def test_a_very_short_schedule_is_one_too(updates):
    for kind in SCHEDULES:
        shares = [SamplingSchedule(kind, updates).true_share(u) for u in range(30)]
        assert all(0 <= b <= a <= 1 for a, b in itertools.pairwise(shares))
        assert shares[-1] < 0.05
