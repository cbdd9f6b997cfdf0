"""Dropout with one mask a sequence."""

import pytest
import torch

from steploom.errors import OptionError
from steploom.layers.dropout import SequenceDropout, TokenDropout


@pytest.mark.parametrize(("batch_first", "time"), [(False, 0), (True, 1)])
def test_one_mask_a_sequence(batch_first, time):
    torch.manual_seed(0)
    y = SequenceDropout(0.25, batch_first)(torch.ones(30, 40, 50))
    first = y.select(time, 0)
    assert (y == first.unsqueeze(time)).all()
    torch.testing.assert_close(y.unique(), torch.tensor([0.0, 1 / 0.75]))
    assert 0.2 < (first == 0).float().mean() < 0.3


def test_nothing_is_dropped_outside_training():
    x = torch.randn(3, 2, 4)
    assert SequenceDropout(0.5).eval()(x) is x
    assert SequenceDropout(0.0)(x) is x


@pytest.mark.parametrize("rate", [-0.1, 1, 1.5, None, True])
def test_rate_out_of_range(rate):
    with pytest.raises(OptionError, match="rate must be a number from 0 to below 1"):
        SequenceDropout(rate)


def test_some_tokens_become_unknown_in_training():
    torch.manual_seed(0)
    tokens = torch.arange(1, 5).repeat(50, 60)
    dropout = TokenDropout(0.25, unknown=9)
    read = dropout(tokens)
    changed = read != tokens
    assert (read[changed] == 9).all()
    assert 0.23 < changed.float().mean() < 0.27
    assert dropout.eval()(tokens) is tokens
    assert TokenDropout(0.0, unknown=9)(tokens) is tokens


def test_only_some_tokens_may_become_unknown():
    tokens = torch.arange(1, 5).repeat(3, 2)
    rare = torch.tensor([False, False, True, False, True])
    assert TokenDropout(1.0, unknown=9)(tokens, among=rare)[0].tolist() == [1, 9, 3, 9] * 2
