"""Soft attention against its equations, written out."""

import pytest
import torch

from steploom.errors import OptionError
from steploom.layers.attention import AdditiveAttention, MultiplicativeAttention

SOURCE, BATCH, TIME, QUERY, MEMORY = 5, 4, 3, 6, 6
LENGTHS = torch.tensor([5, 2, 1, 0])


def attention(kind):
    made = AdditiveAttention(QUERY, MEMORY, 7) if kind == "additive" else MultiplicativeAttention(QUERY, MEMORY, kind)
    return made.double()


def values(*shape, grad=False):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=grad)


def by_hand(layer, kind, query, memory, length):
    """Context and weights of one query (size,) and one source (source_time, size)."""
    if length == 0:
        return torch.zeros(MEMORY, dtype=torch.float64), torch.zeros(SOURCE, dtype=torch.float64)
    scores = []
    for place in memory[:length]:
        if kind == "additive":
            inner = layer.query.weight @ query + layer.memory.weight @ place + layer.memory.bias
            scores.append(layer.score.weight[0] @ inner.tanh())
        else:
            scores.append(query @ (layer.memory.weight @ place if kind == "general" else place))
    weights = torch.stack(scores).exp()
    weights = weights / weights.sum()
    return weights @ memory[:length], torch.cat((weights, weights.new_zeros(SOURCE - length)))


KINDS = ["additive", "dot", "general"]


@pytest.mark.parametrize("kind", KINDS)
def test_context_and_weights_are_those_of_the_equations(kind):
    layer, memory, query = attention(kind), values(SOURCE, BATCH, MEMORY), values(TIME, BATCH, QUERY)
    found = layer(query, layer.prepare(memory, LENGTHS))
    assert found.context.shape == (TIME, BATCH, MEMORY)
    assert found.weights.shape == (TIME, BATCH, SOURCE)
    for step in range(TIME):
        for row in range(BATCH):
            context, weights = by_hand(layer, kind, query[step, row], memory[:, row], int(LENGTHS[row]))
            torch.testing.assert_close(found.context[step, row], context)
            torch.testing.assert_close(found.weights[step, row], weights)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [LENGTHS, torch.tensor([5, 5, 5, 5]), None])
def test_one_step_is_the_same_as_many(kind, lengths):
    layer, query = attention(kind), values(TIME, BATCH, QUERY)
    memory = layer.prepare(values(SOURCE, BATCH, MEMORY), lengths)
    together = layer(query, memory)
    for step in range(TIME):
        alone = layer(query[step], memory)
        torch.testing.assert_close(alone.context, together.context[step])
        torch.testing.assert_close(alone.weights, together.weights[step])


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_in_the_padding_has_no_influence(kind):
    layer, query = attention(kind), values(BATCH, QUERY, grad=True)
    memory = values(SOURCE, BATCH, MEMORY)
    padded = torch.arange(SOURCE)[:, None] >= LENGTHS
    results = []
    for fill in (0.0, 1e9, float("nan")):
        filled = memory.masked_fill(padded[..., None], fill).requires_grad_()
        found = layer(query, layer.prepare(filled, LENGTHS))
        grads = torch.autograd.grad((found.context**2).sum(), [query, filled, *layer.parameters()], allow_unused=True)
        results.append([found.context, found.weights, *(g for g in grads if g is not None)])
    for other in results[1:]:
        for got, wanted in zip(other, results[0], strict=True):
            assert torch.equal(got, wanted)
    assert all(part.isfinite().all() for part in results[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("many", [False, True])
def test_gradcheck(kind, many):
    layer = attention(kind)
    query = values(*((TIME,) if many else ()), BATCH, QUERY, grad=True)
    memory = values(SOURCE, BATCH, MEMORY, grad=True)

    def found(query, memory, *_):
        result = layer(query, layer.prepare(memory, LENGTHS))
        return result.context, result.weights

    assert torch.autograd.gradcheck(found, (query, memory, *layer.parameters()))


def test_scaled_scores():
    plain, scaled = (MultiplicativeAttention(4, 4, "dot", scaled=s) for s in (False, True))
    query, memory = torch.randn(2, 4), torch.randn(3, 2, 4)
    expected = plain(query / 2, plain.prepare(memory)).weights
    torch.testing.assert_close(scaled(query, scaled.prepare(memory)).weights, expected)


def test_some_of_the_sources():
    layer, query = attention("additive"), values(BATCH, QUERY)
    memory = layer.prepare(values(SOURCE, BATCH, MEMORY), LENGTHS)
    rows = torch.tensor([3, 1, 1])
    found = layer(query[rows], memory.select(rows))
    torch.testing.assert_close(found.context, layer(query, memory).context[rows])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MultiplicativeAttention(3, 4, "dot"), "one size, found 3 and 4"),
        (lambda: MultiplicativeAttention(3, 4, "concat"), "'concat'"),
        (lambda: AdditiveAttention(3, 4).prepare(torch.zeros(5, 2, 3)), r"memory_size 4, found \(5, 2, 3\)"),
        (lambda: AdditiveAttention(3, 4).prepare(torch.zeros(5, 2, 4), torch.ones(3)), r"\(2,\), found \(3,\)"),
        (lambda: (a := AdditiveAttention(3, 4))(torch.zeros(3, 3), a.prepare(torch.zeros(5, 2, 4))), "batch 2"),
    ],
)
def test_wrong_shapes_are_named(call, message):
    with pytest.raises(OptionError, match=message):
        call()
