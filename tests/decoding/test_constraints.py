"""Narrowing a distribution, and bans."""

import pytest
import torch

from steploom.decoding.constraints import allowed_log_probs, ban_repeated_ngrams, narrow
from steploom.decoding.settings import DecodingSettings

P = torch.tensor([[0.5, 0.2, 0.15, 0.1, 0.05], [0.05, 0.1, 0.15, 0.2, 0.5]])


def test_temperature_raises_to_a_power():
    expected = P**2 / (P**2).sum(-1, keepdim=True)
    torch.testing.assert_close(narrow(P.log(), temperature=0.5), expected)


def test_top_k_keeps_k_and_their_ratios():
    found = narrow(P.log(), top_k=2)
    torch.testing.assert_close(found[0], torch.tensor([5 / 7, 2 / 7, 0, 0, 0]))
    torch.testing.assert_close(found[1], torch.tensor([0, 0, 0, 2 / 7, 5 / 7]))


def test_top_k_beyond_the_vocabulary_changes_nothing():
    torch.testing.assert_close(narrow(P.log(), top_k=50), P)


@pytest.mark.parametrize(("top_p", "kept"), [(0.4, 1), (0.5001, 2), (0.69, 2), (0.8, 3), (0.9, 4), (0.96, 5), (1.0, 5)])
def test_the_nucleus_is_the_smallest_set_that_reaches_top_p(top_p, kept):
    found = narrow(P.log(), top_p=top_p)
    assert (found > 0).sum(-1).tolist() == [kept, kept]
    torch.testing.assert_close(found.sum(-1), torch.ones(2))
    torch.testing.assert_close(found[0, :kept], P[0, :kept] / P[0, :kept].sum())


def test_the_temperature_comes_before_the_nucleus():
    assert (narrow(P.log(), temperature=0.1, top_p=0.9) > 0).sum(-1).tolist() == [1, 1]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_banned_tokens_are_those_that_would_repeat_an_ngram(size):
    generator = torch.Generator().manual_seed(0)
    history = torch.randint(4, (30, 12), generator=generator)
    logits = torch.zeros(30, 4)
    ban_repeated_ngrams(logits, history, size)
    for row in range(30):
        tokens = history[row].tolist()
        ngrams = {tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)}
        for token in range(4):
            repeats = tuple([*tokens, token][-size:]) in ngrams
            assert (logits[row, token] == -torch.inf) == repeats


def test_a_short_history_bans_nothing():
    logits = torch.zeros(1, 4)
    ban_repeated_ngrams(logits, torch.tensor([[1, 2]]), 3)
    assert (logits == 0).all()


def test_what_is_allowed_is_normalised_and_the_logits_stay():
    logits = P.log()
    settings = DecodingSettings(banned_tokens=(1,), end_token=0, min_new_tokens=2)
    found = allowed_log_probs(logits, torch.zeros(2, 1, dtype=torch.long), 1, settings)
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(2))
    assert (found[:, :2] == -torch.inf).all()
    assert torch.equal(logits, P.log())
    later = allowed_log_probs(logits, torch.zeros(2, 1, dtype=torch.long), 2, settings)
    assert (later[:, 0] > -torch.inf).all()


def test_a_tiny_temperature_leaves_the_likeliest():
    scores = torch.tensor([[0.0, 3.0, -torch.inf], [-800.0, -900.0, -800.5]])
    assert narrow(scores, temperature=1e-320).tolist() == [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
