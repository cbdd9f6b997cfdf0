"""Hard attention: what it looks at, and that the mean of its gradient is the gradient of the expected loss."""

import itertools

import pytest
import torch

from steploom.errors import OptionError
from steploom.layers.attention import Choices, MultiplicativeAttention
from steploom.layers.hard_attention import HardAttention, MovingBaseline

F64 = torch.float64


def small(batch, source, time, size=3):
    """A layer, a memory and queries in float64."""
    layer = HardAttention(MultiplicativeAttention(size, size)).double()
    return layer, torch.randn(source, batch, size, dtype=F64), torch.randn(time, batch, size, dtype=F64)


def test_in_evaluation_it_looks_at_the_most_probable_place():
    layer, memory, query = small(4, 5, 3)
    lengths = torch.tensor([5, 3, 1, 0])
    ready = layer.prepare(memory, lengths)
    hard, soft = layer.eval()(query, ready), layer.attention(query, ready)
    assert torch.equal(hard.weights.sum(-1), (lengths > 0).double().expand(3, 4))
    for step, row in itertools.product(range(3), range(3)):
        place = int(soft.weights[step, row].argmax())
        assert hard.weights[step, row, place] == 1
        assert torch.equal(hard.context[step, row], memory[place, row])
        torch.testing.assert_close(hard.choices.log_prob[step, row], soft.weights[step, row].max().log())
    assert not hard.context[:, 3].any() and not hard.choices.log_prob[:, 3].any()


def test_in_training_it_draws_with_the_soft_weights():
    layer, memory, query = small(2, 4, 1)
    ready = layer.prepare(memory, torch.tensor([4, 2]))
    draws = layer(query.expand(20_000, -1, -1), ready)
    soft = layer.attention(query[0], ready).weights
    error = (soft * (1 - soft) / 20_000).sqrt()
    assert ((draws.weights.mean(0) - soft).abs() <= 4 * error).all()
    for row, length in enumerate([4, 2]):
        p = soft[row, :length]
        torch.testing.assert_close(draws.choices.entropy[0, row], -(p * p.log()).sum())


def test_one_step_is_the_same_as_many_in_evaluation():
    layer, memory, query = small(3, 4, 2)
    ready = layer.eval().prepare(memory, torch.tensor([4, 2, 0]))
    together = layer(query, ready)
    for step in range(2):
        alone = layer(query[step], ready)
        for name in ("context", "weights"):
            assert torch.equal(getattr(alone, name), getattr(together, name)[step])
        torch.testing.assert_close(alone.choices.entropy, together.choices.entropy[step])


def test_gradcheck_of_what_has_a_gradient():
    layer, memory, query = small(3, 4, 2)
    layer.eval()
    query.requires_grad_()

    def parts(query, weight):
        found = layer(query, layer.prepare(memory, torch.tensor([4, 2, 0])))
        return found.context, found.choices.log_prob, found.choices.entropy

    assert torch.autograd.gradcheck(parts, (query, layer.attention.memory.weight))


def losses_of(contexts, previous_matters):
    """The loss of each step (time, draws) from the contexts (time, draws, size); later steps may see earlier ones."""
    seen = contexts.cumsum(0) if previous_matters else contexts
    scale = torch.arange(1, len(contexts) + 1, dtype=F64)[:, None]
    return (seen[..., 0] - 0.3 * scale) ** 2 + 0.5 * seen[..., 1] * seen[..., 2]


@pytest.mark.parametrize("reaches_later", [False, True])
@pytest.mark.parametrize("baseline", [0.0, -1.7])
def test_the_mean_gradient_is_the_gradient_of_the_expected_loss(reaches_later, baseline):
    time, source, draws, entropy = 3, 3, 20_000, 0.1
    layer, memory, query = small(1, source, time)
    weight = layer.attention.memory.weight
    ready = layer.prepare(memory)
    soft = layer.attention(query, ready).weights[:, 0]
    # Every sequence of places, with its probability and its loss.
    expected = torch.zeros((), dtype=F64)
    for places in itertools.product(range(source), repeat=time):
        chance = torch.stack([soft[step, place] for step, place in enumerate(places)]).prod()
        contexts = torch.stack([memory[place, 0] for place in places])[:, None]
        expected = expected + chance * losses_of(contexts, reaches_later).sum()
    expected = expected + entropy * (soft * soft.log()).sum()
    (exact,) = torch.autograd.grad(expected, weight)

    moving = MovingBaseline(entropy, reaches_later=reaches_later).double()
    moving.mean.fill_(baseline)
    moving.batches.fill_(10**9)
    rows = torch.zeros(draws, dtype=torch.long)
    # A weight a draw, so that each draw has a gradient of its own.
    keys = torch.einsum(
        "boi,bsi->bso", each := weight.detach().expand(draws, -1, -1).clone().requires_grad_(), ready.values[rows]
    )
    many = type(ready)(ready.values[rows], keys, None, None)
    found = layer(query.expand(-1, draws, -1), many)
    losses = losses_of(found.context, reaches_later).detach()
    surrogate = moving(found.choices, losses, torch.ones(time, draws, dtype=torch.bool))
    (samples,) = torch.autograd.grad(surrogate, each)
    error = samples.std(0) / draws**0.5
    assert ((samples.mean(0) - exact).abs() <= 3 * error).all()
    assert (exact.abs() > 5 * error).any(), "the draws could not tell this gradient from 0"


def test_the_baseline_lowers_the_variance():
    layer, memory, query = small(1, 3, 1)
    ready = layer.prepare(memory)
    spread = []
    for mean in (0.0, -10.0):
        moving = MovingBaseline(0.0).double()
        moving.mean.fill_(mean)
        moving.batches.fill_(10**9)
        torch.manual_seed(1)
        grads = []
        for _ in range(200):
            found = layer(query, ready)
            losses = 10 + found.context[..., 0].detach()
            surrogate = moving(found.choices, losses, torch.ones(1, 1, dtype=torch.bool))
            moving.mean.fill_(mean)
            grads.append(torch.autograd.grad(surrogate, layer.attention.memory.weight, retain_graph=True)[0])
        spread.append(torch.stack(grads).var(0).sum())
    assert spread[1] < spread[0] / 4


def choices(time, batch):
    return Choices(torch.zeros(time, batch, requires_grad=True), torch.zeros(time, batch))


def test_the_baseline_is_used_before_it_moves_and_moves_in_training_alone():
    moving = MovingBaseline(0.0, decay=0.9)
    losses, counts = torch.tensor([[2.0, 4.0], [6.0, 0.0]]), torch.tensor([[True, True], [True, False]])
    first = choices(2, 2)
    (grad,) = torch.autograd.grad(moving(first, losses, counts), first.log_prob)
    assert torch.equal(grad, losses), "before the first batch there is no baseline"
    assert float(moving.mean) == -4.0
    second = choices(2, 2)
    (grad,) = torch.autograd.grad(moving(second, losses, counts), second.log_prob)
    assert torch.equal(grad, torch.tensor([[-2.0, 0.0], [2.0, 0.0]]))
    moving.eval()
    before = moving.mean.clone()
    moving(second, 10 * losses, counts)
    assert torch.equal(moving.mean, before)
    assert set(moving.state_dict()) == {"mean", "batches"}


def test_a_draw_that_reaches_later_is_credited_with_all_that_follows():
    moving = MovingBaseline(0.0, reaches_later=True)
    losses, counts = torch.tensor([[2.0], [4.0], [0.0]]), torch.tensor([[True], [True], [False]])
    drawn = choices(3, 1)
    (grad,) = torch.autograd.grad(moving(drawn, losses, counts), drawn.log_prob)
    assert grad[:, 0].tolist() == [6.0, 4.0, 0.0]


@pytest.mark.parametrize("arguments", [{"entropy": -1.0}, {"decay": 1.0}])
def test_values_out_of_range_are_named(arguments):
    with pytest.raises(OptionError, match="entropy must be at least 0"):
        MovingBaseline(**arguments)
