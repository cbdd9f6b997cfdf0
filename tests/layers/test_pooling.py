"""One vector a sequence: against a loop over single sequences, whatever stands in the padding."""

import pytest
import torch

from steploom.errors import OptionError
from steploom.layers.pooling import POOLINGS, Pooling

LENGTHS = torch.tensor([4, 1, 7, 3])


def by_hand(pooling, y):
    """The vector of a single sequence (time, size)."""
    half = y.shape[1] // 2
    if pooling.kind == "last":
        return torch.cat([y[-1, :half], y[0, half:]]) if pooling.bidirectional else y[-1]
    if pooling.kind == "attention":
        energies = torch.stack([torch.tanh(pooling.hidden(step)) @ pooling.query for step in y])
        return (energies.softmax(0)[:, None] * y).sum(0)
    return y.mean(0) if pooling.kind == "mean" else y.max(0)[0]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", POOLINGS)
def test_each_sequence_for_itself(kind, bidirectional):
    torch.manual_seed(0)
    pooling = Pooling(kind, 6, bidirectional).double()
    y = torch.randn(7, 4, 6, dtype=torch.float64)
    expected = torch.stack([by_hand(pooling, y[:length, row]) for row, length in enumerate(LENGTHS)])
    torch.testing.assert_close(pooling(y, LENGTHS), expected)
    full = torch.stack([by_hand(pooling, y[:, row]) for row in range(4)])
    torch.testing.assert_close(pooling(y), full)
    torch.testing.assert_close(pooling(y, torch.full((4,), 7)), full)
    changed = y.masked_fill(torch.arange(7)[:, None, None] >= LENGTHS[:, None], 1e6)
    torch.testing.assert_close(pooling(changed, LENGTHS), expected)


@pytest.mark.parametrize("kind", POOLINGS)
def test_gradients(kind):
    torch.manual_seed(0)
    pooling = Pooling(kind, 4, bidirectional=True).double()
    y = torch.randn(7, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda y: pooling(y, LENGTHS), (y,))
    (grad,) = torch.autograd.grad(pooling(y, LENGTHS).sum(), y)
    assert not grad[torch.arange(7)[:, None] >= LENGTHS].any()


def test_attention_weights_add_up_to_one():
    pooling = Pooling("attention", 4)
    weights = pooling.weights(torch.randn(7, 4, 4), LENGTHS)
    torch.testing.assert_close(weights.sum(0), torch.ones(4))
    assert torch.equal(weights > 0, torch.arange(7)[:, None] < LENGTHS)


def test_an_unknown_pooling():
    with pytest.raises(OptionError, match="Did you mean 'mean'"):
        Pooling("meen", 4)


@pytest.mark.parametrize("kind", POOLINGS)
def test_lengths_may_stay_on_the_cpu(kind):
    y = torch.empty(5, 3, 4, device="meta")
    found = Pooling(kind, 4, bidirectional=True).to("meta")(y, torch.tensor([5, 1, 2]))
    assert found.shape == (3, 4) and found.device.type == "meta"
