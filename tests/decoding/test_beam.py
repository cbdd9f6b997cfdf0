"""Beam search against brute force, one start against many, and its stopping rules."""

import math

import pytest
import torch

from steploom.decoding import DecodingSettings, generate
from steploom.errors import OptionError


def search(model, starts, **settings):
    return generate(model, torch.tensor(starts), model.initial(len(starts)), DecodingSettings(**settings))


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0, -1.0])
@pytest.mark.parametrize("end", [0, None])
def test_a_full_beam_finds_what_brute_force_finds(tiny_model, every_sequence, length_penalty, end):
    vocabulary, limit = 3, 4
    for seed in range(8):
        model = tiny_model(vocabulary, seed)
        everything = every_sequence(model, 1, limit, end)

        def score(item):
            (tokens, ended), value = item
            return value / (len(tokens) + ended) ** length_penalty

        expected = sorted(everything.items(), key=score, reverse=True)[:10]
        found = search(
            model,
            [1],
            num_beams=vocabulary**limit,
            num_return_sequences=10,
            max_new_tokens=limit,
            end_token=end,
            length_penalty=length_penalty,
            early_stopping="never",
        )[0]
        assert [(h.tokens, h.ended) for h in found] == [key for key, _ in expected]
        for hypothesis, item in zip(found, expected, strict=True):
            assert math.isclose(hypothesis.log_prob, item[1], rel_tol=1e-5)
            assert math.isclose(hypothesis.score, score(item), rel_tol=1e-5)


@pytest.mark.parametrize("early_stopping", [True, False, "never"])
@pytest.mark.parametrize("beams", [2, 5])
def test_a_batch_equals_its_starts_one_by_one(tiny_model, early_stopping, beams):
    model = tiny_model(7, seed=3)
    options = {"num_beams": beams, "num_return_sequences": beams, "max_new_tokens": 12, "end_token": 0}
    options["early_stopping"] = early_stopping
    starts = [1, 2, 3, 4, 5, 6, 1]
    together = search(model, starts, **options)
    alone = [search(model, [start], **options)[0] for start in starts]
    assert [[h.tokens for h in row] for row in together] == [[h.tokens for h in row] for row in alone]
    assert len({len(row[0].tokens) for row in together}) > 1, "the starts should end at different lengths"


def test_wider_beams_are_no_worse_here_and_beat_greedy(tiny_model):
    gains = 0
    for seed in range(20):
        model = tiny_model(6, seed)
        greedy = generate(model, torch.tensor([1]), model.initial(1), DecodingSettings(max_new_tokens=6))[0][0]
        wide = search(model, [1], num_beams=6**3, max_new_tokens=6)[0][0]
        assert wide.log_prob >= greedy.log_prob - 1e-6
        gains += wide.log_prob > greedy.log_prob + 1e-6
    assert gains > 3


def test_hypotheses_are_ranked_and_distinct(tiny_model):
    for row in search(tiny_model(6, 1), [1, 2], num_beams=8, num_return_sequences=8, max_new_tokens=8, end_token=0):
        scores = [h.score for h in row]
        assert scores == sorted(scores, reverse=True)
        assert len({(h.tokens, h.ended) for h in row}) == 8


def test_the_log_probability_is_that_of_the_tokens(tiny_model):
    model = tiny_model(6, 4)
    for hypothesis in search(model, [2], num_beams=4, num_return_sequences=4, max_new_tokens=7, end_token=0)[0]:
        state, token, total = model.initial(1), 2, 0.0
        for following in [*hypothesis.tokens, *([0] if hypothesis.ended else [])]:
            logits, state = model.step(torch.tensor([token]), state)
            total += float(logits.log_softmax(-1)[0, following])
            token = following
        assert math.isclose(hypothesis.log_prob, total, rel_tol=1e-5)


def test_early_stopping_saves_steps_and_never_gives_the_best(tiny_model):
    steps, scores = {}, {}
    for rule in (True, False, "never"):
        steps[rule] = scores[rule] = 0
        for seed in range(10):
            model = tiny_model(5, seed)
            best = search(model, [1], num_beams=3, max_new_tokens=40, end_token=0, early_stopping=rule)[0][0]
            steps[rule] += model.steps
            scores[rule] += best.score
    assert steps[True] < steps[False] < steps["never"]
    assert scores[True] <= scores[False] <= scores["never"]


def test_the_length_penalty_moves_the_length(tiny_model):
    def mean_length(penalty):
        found = [
            search(tiny_model(5, seed), [1], num_beams=8, max_new_tokens=15, end_token=0, length_penalty=penalty)
            for seed in range(10)
        ]
        return sum(len(row[0][0].tokens) for row in found) / len(found)

    assert mean_length(-1.0) < mean_length(1.0) < mean_length(3.0)


def test_min_new_tokens_holds(tiny_model):
    options = {"num_beams": 4, "num_return_sequences": 4, "max_new_tokens": 9, "min_new_tokens": 5, "end_token": 0}
    for row in search(tiny_model(5, 2), [1, 2, 3], **options):
        assert all(len(h.tokens) >= 5 for h in row)


def test_no_ngram_stands_twice(tiny_model):
    model = tiny_model(5, 2)
    for row in search(model, [1, 2, 3], num_beams=4, num_return_sequences=4, max_new_tokens=14, no_repeat_ngram_size=2):
        for hypothesis in row:
            pairs = list(zip(hypothesis.tokens, hypothesis.tokens[1:], strict=False))
            assert len(pairs) == len(set(pairs))


def test_bans_that_leave_nothing_end_the_hypothesis(tiny_model):
    row = search(tiny_model(3, 2), [0], num_beams=2, max_new_tokens=10, no_repeat_ngram_size=1)[0]
    assert sorted(row[0].tokens) == [1, 2] and not row[0].ended


def test_more_sequences_than_beams_are_refused():
    with pytest.raises(OptionError, match="Raise num_beams"):
        DecodingSettings(num_beams=2, num_return_sequences=3)
