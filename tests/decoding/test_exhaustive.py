"""Beam search on models so small that all their sequences can be listed."""

import math

import pytest
import torch

from steploom.decoding import DecodingSettings, beam, generate

VOCABULARY, LIMIT, END = 3, 4, 0
MODELS = 100


def search(model, beams, **settings):
    chosen = {"max_new_tokens": LIMIT, "end_token": END, "early_stopping": "never", **settings}
    return generate(model, torch.tensor([1]), model.initial(1), DecodingSettings(num_beams=beams, **chosen))[0]


def score(item, length_penalty):
    (tokens, ended), log_prob = item
    return log_prob / (len(tokens) + ended) ** length_penalty


@pytest.mark.parametrize("seed", range(MODELS))
def test_as_many_beams_as_sequences_find_the_best_of_all(tiny_model, every_sequence, seed):
    length_penalty = (0.0, 1.0, 2.0, -1.0)[seed % 4]
    model = tiny_model(VOCABULARY, seed)
    everything = every_sequence(model, 1, LIMIT, END)
    best, _ = max(everything.items(), key=lambda item: score(item, length_penalty))
    (found,) = search(model, VOCABULARY**LIMIT, length_penalty=length_penalty)
    assert (found.tokens, found.ended) == best
    assert math.isclose(found.score, score((best, everything[best]), length_penalty), rel_tol=1e-12)


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_scores_never_fall_as_the_beam_grows(tiny_model, length_penalty):
    gains = 0
    for seed in range(MODELS):
        model, before = tiny_model(VOCABULARY, seed), -math.inf
        for beams in (1, 2, 3, 5, 9, 27, 81):
            best = search(model, beams)[0] if beams == 1 else search(model, beams, length_penalty=length_penalty)[0]
            reached = best.log_prob / (len(best.tokens) + best.ended) ** length_penalty
            assert reached >= before - 1e-12
            gains += reached > before + 1e-12
            before = reached
    assert gains > MODELS, "wider beams should find more here and there"


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0, 2.0, -0.5])
@pytest.mark.parametrize("wanted", [1, 3])
def test_the_proof_of_the_end_changes_nothing_and_saves_steps(tiny_model, monkeypatch, length_penalty, wanted):
    """Whatever the beam would still find after it stopped is no better than what it returns."""
    asked = {"num_return_sequences": wanted, "length_penalty": length_penalty, "max_new_tokens": 12}
    models = [tiny_model(6, seed) for seed in range(25)]
    stopped = [search(model, 4, **asked) for model in models]
    steps = [model.steps for model in models]
    monkeypatch.setattr(beam, "attainable", lambda log_prob, *_: torch.full_like(log_prob, torch.inf))
    to_the_end = [search(model, 4, **asked) for model in models]
    assert stopped == to_the_end
    saved = sum(model.steps for model in models) - 2 * sum(steps)
    # A penalty of 2 could still lift nearly everything at the greatest length.
    assert saved >= 0 if length_penalty == 2 else saved > 0
