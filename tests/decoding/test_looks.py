"""Models that look at a source: the coverage penalty, the weights kept, and limits of their own for each start."""

import itertools
import math

import pytest
import torch

from steploom.decoding import DecodingSettings, generate
from steploom.decoding.ranking import rank
from steploom.errors import OptionError

LENGTHS = (3, 5, 1, 4, 2)


def run(model, sources, most=None, **settings):
    chosen = DecodingSettings(**{"end_token": 0, "max_new_tokens": 4, **settings})
    limits = None if most is None else torch.tensor(most)
    return generate(
        model,
        torch.ones(len(sources), dtype=torch.long),
        model.initial(list(sources)),
        chosen,
        most_tokens=limits,
        source_lengths=model.lengths[list(sources)],
    )


def replay(model, source, hypothesis):
    """Log-probability and weights of a hypothesis, step by step by hand."""
    state, token, total, weights = model.initial([source]), 1, 0.0, []
    for following in [*hypothesis.tokens, *([0] if hypothesis.ended else [])]:
        logits, state = model.step(torch.tensor([token]), state)
        total += float(logits.log_softmax(-1)[0, following])
        weights.append(model.attention(state)[0, : model.lengths[source]])
        token = following
    return total, torch.stack(weights)


@pytest.mark.parametrize("settings", [{}, {"num_beams": 3, "num_return_sequences": 3}, {"do_sample": True}])
def test_the_weights_kept_are_those_of_each_step(looking_model, settings):
    model = looking_model(5, 2, LENGTHS)
    for source, row in enumerate(run(model, range(5), keep_attention=True, max_new_tokens=7, **settings)):
        for hypothesis in row:
            log_prob, weights = replay(model, source, hypothesis)
            assert math.isclose(hypothesis.log_prob, log_prob, rel_tol=1e-5)
            torch.testing.assert_close(hypothesis.attention, weights)
            assert hypothesis.attention.shape == (len(hypothesis.tokens) + hypothesis.ended, LENGTHS[source])


def test_without_being_asked_nothing_is_kept(looking_model):
    assert run(looking_model(5, 2, LENGTHS), [0])[0][0].attention is None


@pytest.mark.parametrize("coverage_penalty", [0.1, 1.0, 4.0])
def test_a_full_beam_finds_the_best_with_the_coverage(looking_model, coverage_penalty):
    changed = 0
    for seed in range(12):
        model = looking_model(3, seed, (4,))
        every = [(tokens, True) for n in range(4) for tokens in itertools.product((1, 2), repeat=n)]
        every += [(tokens, False) for tokens in itertools.product((1, 2), repeat=4)]
        settings = DecodingSettings(num_beams=81, coverage_penalty=coverage_penalty, end_token=0)
        scores = {}
        for tokens, ended in every:
            state, token, total, covered = model.initial([0]), 1, 0.0, torch.zeros(4, dtype=torch.float64)
            for following in [*tokens, *([0] if ended else [])]:
                logits, state = model.step(torch.tensor([token]), state)
                total += float(logits.log_softmax(-1)[0, following])
                covered, token = covered + state[2][0], following
            log_prob = torch.tensor([[total]], dtype=torch.float64)
            scores[tokens, ended] = float(rank(log_prob, len(tokens) + ended, settings, covered[None, None], None))
        best = max(scores, key=lambda key: scores[key])
        chosen = {"num_beams": 81, "early_stopping": "never"}
        (found,) = run(model, [0], coverage_penalty=coverage_penalty, **chosen)[0]
        assert (found.tokens, found.ended) == best
        assert math.isclose(found.score, scores[best], rel_tol=1e-9)
        changed += run(model, [0], **chosen)[0][0].tokens != found.tokens
    assert changed, "the penalty should change something"


@pytest.mark.parametrize("early_stopping", [True, False, "never"])
@pytest.mark.parametrize("coverage_penalty", [0.0, 0.5])
def test_a_batch_of_unequal_sources_and_limits_equals_its_starts_one_by_one(
    looking_model, early_stopping, coverage_penalty
):
    options = {
        "num_beams": 4,
        "num_return_sequences": 4,
        "max_new_tokens": 9,
        "early_stopping": early_stopping,
        "coverage_penalty": coverage_penalty,
        "keep_attention": True,
    }
    most = [9, 3, 1, 7, 20]
    for seed in range(4):
        together = run(looking_model(6, seed, LENGTHS), range(5), most, **options)
        for source, row in enumerate(together):
            model = looking_model(6, seed, LENGTHS)
            alone = run(model, [source], [most[source]], **options)[0]
            limited = run(model, [source], **{**options, "max_new_tokens": min(9, most[source])})[0]
            assert [(h.tokens, h.ended) for h in row] == [(h.tokens, h.ended) for h in alone]
            assert row == alone == limited
            for one, other in zip(row, alone, strict=True):
                torch.testing.assert_close(one.attention, other.attention)
            assert all(len(h.tokens) + h.ended <= min(9, most[source]) for h in row)


@pytest.mark.parametrize("settings", [{}, {"do_sample": True}])
def test_each_start_has_its_own_limit_without_a_beam(tiny_model, settings):
    model = tiny_model(6, 4)
    limits = torch.tensor([1, 5, 2, 40])
    chosen = DecodingSettings(max_new_tokens=12, **settings)
    rows = generate(model, torch.tensor([1, 2, 3, 4]), model.initial(4), chosen, most_tokens=limits)
    assert [len(row[0].tokens) for row in rows] == [1, 5, 2, 12]
    assert not any(row[0].ended for row in rows)


def test_a_limit_below_1_is_refused(tiny_model):
    model = tiny_model(6, 4)
    with pytest.raises(OptionError, match="most_tokens: expected a whole number of at least 1 for each start"):
        generate(model, torch.tensor([1]), model.initial(1), DecodingSettings(), most_tokens=torch.tensor([0]))


def test_coverage_needs_a_model_that_looks(tiny_model):
    model = tiny_model(6, 4)
    settings = DecodingSettings(num_beams=2, coverage_penalty=0.1)
    with pytest.raises(OptionError, match="coverage_penalty: this model has no attention"):
        generate(model, torch.tensor([1]), model.initial(1), settings)
    with pytest.raises(OptionError, match="coverage_penalty: it ranks the hypotheses of a beam"):
        DecodingSettings(coverage_penalty=0.1)


def test_no_starts_no_hypotheses(tiny_model):
    model = tiny_model(6, 4)
    for beams in (1, 3):
        settings = DecodingSettings(num_beams=beams)
        assert generate(model, torch.zeros(0, dtype=torch.long), model.initial(0), settings) == []
