"""The learning rate at chosen steps, by hand."""

import pytest

from steploom.training.options import TrainOptions
from steploom.training.schedules import learning_rate


def rate(step: int, time_share: float = 0.0, plateaus: int = 0, **options) -> float:
    given = TrainOptions.checked({"lr": 2.0, "epochs": 10, **options})
    return learning_rate(given, step, 10, time_share, plateaus)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {0: 2.0, 99: 2.0}),
        ({"schedule": "cosine"}, {0: 2.0, 50: 1.0, 100: 0.0}),
        ({"schedule": "linear"}, {0: 2.0, 25: 1.5, 100: 0.0}),
        ({"schedule": "exponential", "decay": 0.5, "decay_every": 2}, {0: 2.0, 10: 2.0 * 0.5**0.5, 40: 0.5}),
        ({"schedule": "step", "decay": 0.5, "decay_after": 3}, {39: 2.0, 40: 1.0, 49: 1.0, 50: 0.5}),
        ({"warmup": 4}, {0: 0.5, 1: 1.0, 3: 2.0, 4: 2.0}),
        ({"warmup": 20, "schedule": "linear"}, {19: 2.0, 60: 1.0, 100: 0.0}),
    ],
)
def test_rates(options, expected):
    for step, value in expected.items():
        assert rate(step, **options) == pytest.approx(value)


def test_plateau_counts_the_cuts():
    assert rate(5, plateaus=3, schedule="plateau", decay=0.1) == pytest.approx(2e-3)


def test_an_annealing_follows_the_clock_where_that_is_ahead():
    assert rate(50, time_share=0.2, schedule="linear") == rate(50, schedule="linear")
    assert rate(50, time_share=0.75, schedule="linear") == pytest.approx(0.5)
    assert rate(50, time_share=0.75, schedule="step") == rate(50, schedule="step")


@pytest.mark.parametrize("warmup", [0, 1, 20, 99])
@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_a_training_that_ends_within_its_time_is_not_touched_by_the_clock(schedule, warmup):
    """At an even speed, however much of the time it needs."""
    options = {"schedule": schedule, "warmup": warmup}
    for needed in (0.1, 0.6, 1.0):
        for step in range(100):
            assert rate(step, step / 100 * needed, **options) == pytest.approx(rate(step, **options), rel=1e-9)


@pytest.mark.parametrize("warmup", [0, 20])
def test_a_training_that_the_clock_ends_anneals_like_one_of_as_many_steps(warmup):
    options = {"schedule": "cosine", "warmup": warmup}
    for step in range(60):
        shorter = rate(step, epochs=6, **options)
        assert rate(step, step / 60, **options) == pytest.approx(shorter, rel=1e-9)
