"""The rank of a hypothesis, and the bound on what it can become."""

import itertools
import math

import pytest
import torch

from steploom.decoding.ranking import attainable, rank
from steploom.decoding.settings import DecodingSettings


def settings(length_penalty, coverage_penalty):
    return DecodingSettings(num_beams=2, length_penalty=length_penalty, coverage_penalty=coverage_penalty)


def test_the_rank_is_that_of_the_paper():
    coverage = torch.tensor([[[0.5, 2.0, 0.25]]], dtype=torch.float64)
    log_prob = torch.tensor([[-6.0]], dtype=torch.float64)
    found = rank(log_prob, 4, settings(0.5, 0.2), coverage, None)
    assert math.isclose(float(found), -6 / 4**0.5 + 0.2 * (math.log(0.5) + math.log(0.25)))


def test_padding_needs_no_coverage():
    coverage = torch.tensor([[[0.5, 0.3, 0.0]], [[0.5, 0.3, 0.0]]], dtype=torch.float64)
    log_prob = torch.zeros(2, 1, dtype=torch.float64)
    found = rank(log_prob, 1, settings(1.0, 1.0), coverage, torch.tensor([2, 1]))
    expected = torch.tensor([[math.log(0.5) + math.log(0.3)], [math.log(0.5)]], dtype=torch.float64)
    torch.testing.assert_close(found, expected)


def test_a_place_that_is_never_looked_at_has_a_finite_cost():
    coverage = torch.tensor([[[0.0, 1.0]]], dtype=torch.float64)
    found = rank(torch.zeros(1, 1, dtype=torch.float64), 1, settings(1.0, 1.0), coverage, None)
    assert math.isclose(float(found), math.log(1e-4))


@pytest.mark.parametrize(
    ("length_penalty", "coverage_penalty"), list(itertools.product([-2.0, -0.5, 0.0, 0.7, 1.0, 3.0], [0.0, 0.3, 5.0]))
)
def test_no_continuation_is_better_than_the_bound(length_penalty, coverage_penalty):
    """Random continuations, those that look where it helps most and lose nothing included."""
    generator = torch.Generator().manual_seed(3)
    chosen = settings(length_penalty, coverage_penalty)

    def draw(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    tightest = math.inf
    for _ in range(60):
        length, places = int(5 * draw(1)) + 1, int(6 * draw(1)) + 1
        most = length + int(5 * draw(1)) + 1
        log_prob = -8 * draw(1, 1)
        weights = (draw(length, places) * 4).softmax(-1)
        coverage = weights.sum(0)[None, None]
        seen = coverage if coverage_penalty else None
        bound = attainable(log_prob, length, torch.tensor([most]), chosen, seen, None)
        for more in range(1, most - length + 1):
            for fall, sharp in itertools.product((0.0, 3.0), (1.0, 1000.0)):
                total, covered = log_prob.clone(), coverage.clone()
                for _ in range(more):
                    total = total - fall * draw(1, 1)
                    # A sharp step looks at the places that have least.
                    covered = covered + (-sharp * covered + draw(places)).softmax(-1)
                reached = rank(total, length + more, chosen, covered if coverage_penalty else None, None)
                assert float(reached) <= float(bound) + 1e-9
                tightest = min(tightest, float(bound) - float(reached))
    assert tightest < 0.1, "the bound should be close at times"


def test_the_bound_is_reached_where_nothing_is_lost():
    log_prob = torch.tensor([[-3.0]], dtype=torch.float64)
    for penalty, length in ((1.0, 9), (-1.0, 5), (0.0, 5)):
        bound = attainable(log_prob, 4, torch.tensor([9]), settings(penalty, 0.0), None, None)
        assert math.isclose(float(bound), float(rank(log_prob, length, settings(penalty, 0.0), None, None)))


def test_the_rule_of_thumb_looks_at_the_present_length():
    log_prob = torch.tensor([[-3.0]], dtype=torch.float64)
    found = attainable(log_prob, 4, torch.tensor([9]), settings(1.0, 0.0), None, None, any_length=False)
    assert float(found) == -0.75
