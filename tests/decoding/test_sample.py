"""Greedy decoding and sampling."""

import math

import pytest
import torch

from steploom.decoding import DecodingSettings, generate
from steploom.errors import OptionError


def run(model, starts, seed=0, **settings):
    generator = torch.Generator().manual_seed(seed)
    options = DecodingSettings(**settings)
    return generate(model, torch.tensor(starts), model.initial(len(starts)), options, generator=generator)


def test_greedy_takes_the_most_probable_token_each_time(tiny_model):
    model = tiny_model(6, 1)
    state, token, expected = model.initial(1), 3, []
    for _ in range(10):
        logits, state = model.step(torch.tensor([token]), state)
        token = int(logits.argmax())
        expected.append(token)
    assert run(model, [3], max_new_tokens=10)[0][0].tokens == tuple(expected)


def test_greedy_in_a_batch_equals_one_by_one(tiny_model):
    model = tiny_model(9, 7)
    starts = list(range(1, 9))
    together = run(model, starts, max_new_tokens=20, end_token=0)
    assert together == [run(model, [start], max_new_tokens=20, end_token=0)[0] for start in starts]
    assert {h.ended for row in together for h in row} == {True, False}


def test_samples_follow_the_distribution(tiny_model, every_sequence):
    model, count = tiny_model(3, 2, sharpness=0.7), 20_000
    expected = every_sequence(model, 1, 2, 0)
    found = run(model, [1], do_sample=True, num_return_sequences=count, max_new_tokens=2, end_token=0)[0]
    assert len(found) == count
    for (tokens, ended), log_prob in expected.items():
        share = sum(h.tokens == tokens and h.ended == ended for h in found) / count
        p = math.exp(log_prob)
        assert abs(share - p) < 4 * math.sqrt(p * (1 - p) / count) + 1e-9
    for hypothesis in found[:20]:
        assert math.isclose(hypothesis.log_prob, expected[hypothesis.tokens, hypothesis.ended], rel_tol=1e-4)


def test_the_seed_decides(tiny_model):
    model = tiny_model(8, 2)
    options = {"do_sample": True, "num_return_sequences": 4, "max_new_tokens": 12}
    assert run(model, [1, 2], seed=7, **options) == run(model, [1, 2], seed=7, **options)
    assert run(model, [1, 2], seed=7, **options) != run(model, [1, 2], seed=8, **options)


def test_sampling_leaves_the_global_generator_alone(tiny_model):
    before = torch.random.get_rng_state()
    run(tiny_model(8, 2), [1], do_sample=True, max_new_tokens=5)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_cold_sample_is_greedy(tiny_model):
    model = tiny_model(8, 2)
    greedy = run(model, [1, 2, 3], max_new_tokens=12)
    cold = run(model, [1, 2, 3], do_sample=True, temperature=1e-4, max_new_tokens=12)
    assert [row[0].tokens for row in cold] == [row[0].tokens for row in greedy]
    assert [row[0].tokens for row in run(model, [1, 2, 3], do_sample=True, top_k=1, max_new_tokens=12)] == [
        row[0].tokens for row in greedy
    ]


def test_a_generated_token_can_be_required_and_banned(tiny_model):
    found = run(
        tiny_model(5, 3),
        [1],
        do_sample=True,
        num_return_sequences=200,
        max_new_tokens=8,
        min_new_tokens=3,
        end_token=0,
        banned_tokens=(2, 4),
    )[0]
    assert all(len(h.tokens) >= 3 and not {0, 2, 4} & set(h.tokens) for h in found)
    assert any(h.ended for h in found)


def test_the_prompt_counts_for_repeated_ngrams(tiny_model):
    model = tiny_model(4, 1, sharpness=0.3)
    history = torch.tensor([[1, 2, 1]])
    settings = DecodingSettings(max_new_tokens=1, no_repeat_ngram_size=2, do_sample=True, num_return_sequences=100)
    found = generate(model, history[:, -1], model.initial(1), settings, history=history)[0]
    assert {h.tokens[0] for h in found} == {0, 1, 3}


def test_bans_that_leave_nothing_end_the_sequence(tiny_model):
    rows = run(tiny_model(3, 2), [0, 1], max_new_tokens=10, no_repeat_ngram_size=1)
    assert [sorted(row[0].tokens) for row in rows] == [[1, 2], [0, 2]]
    assert not rows[0][0].ended


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, "temperature: expected a number above 0, found 0.0"),
        ({"top_p": 0.0}, "top_p: expected a number above 0 and at most 1"),
        ({"top_p": 1.5}, "top_p"),
        ({"top_k": -1}, "top_k: expected 0 or more, found -1"),
        ({"max_new_tokens": 0}, "max_new_tokens: expected 1 or more"),
        ({"num_beams": 2, "do_sample": True}, "beam search draws nothing"),
        ({"early_stopping": "soon"}, "early_stopping"),
        ({"num_return_sequences": 2}, "draw samples"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(OptionError, match=message):
        DecodingSettings(**settings)
