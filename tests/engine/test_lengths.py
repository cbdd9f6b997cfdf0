"""Padding, last steps and reversal, on sequences small enough to write down."""

import torch

from steploom.engine.lengths import last_step, padding, reverse, reverse_resets

LENGTHS = torch.tensor([3, 1, 0])
X = torch.tensor([[1, 4, 7], [2, 5, 8], [3, 6, 9]])


def test_padding():
    expected = torch.tensor([[0, 0, 1], [0, 1, 1], [0, 1, 1]]).bool()
    assert torch.equal(padding(LENGTHS, 3).squeeze(-1), expected)


def test_last_step():
    initial = torch.tensor([[10.0], [20.0], [30.0]])
    assert torch.equal(last_step(X.float().unsqueeze(-1), initial, LENGTHS), torch.tensor([[3.0], [4.0], [30.0]]))


def test_reverse_leaves_padding_behind():
    assert torch.equal(reverse(X, LENGTHS), torch.tensor([[3, 4, 7], [2, 5, 8], [1, 6, 9]]))
    assert torch.equal(reverse(X, None), X.flip(0))


def test_reverse_twice_is_the_same():
    x = torch.randn(7, 5, 3)
    lengths = torch.tensor([7, 0, 1, 4, 6])
    assert torch.equal(reverse(reverse(x, lengths), lengths), x)


def test_reverse_resets():
    """Cut into steps 0 1 2 | 3 and 0 | 1 2, the sequences are 3 | 2 1 0 and 2 1 | 0 backwards."""
    resets = torch.tensor([[1, 1], [0, 1], [0, 0], [1, 0]]).bool()
    expected = torch.tensor([[0, 0], [1, 0], [0, 1], [0, 0]]).bool()
    assert torch.equal(reverse_resets(resets[:, :1], None), expected[:, :1])
    assert torch.equal(reverse_resets(resets, torch.tensor([4, 3])), expected)
