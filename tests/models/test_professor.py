"""The discriminator of professor forcing."""

import pytest
import torch

from steploom.models.professor import Professor

LENGTHS = torch.tensor([5, 3, 0])


def professor(accuracy):
    torch.manual_seed(0)
    made = Professor(4, 6).double()
    made.accuracy.fill_(accuracy)
    return made


def states(seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(5, 3, 4, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(2)]


@pytest.mark.parametrize(
    ("accuracy", "learns", "pushes"), [(0.6, True, False), (0.8, True, True), (0.995, False, True)]
)
def test_who_learns_follows_from_the_accuracy(accuracy, learns, pushes):
    made, (taught, free) = professor(accuracy), states()
    made(taught, free, LENGTHS).backward()
    assert all(parameter.requires_grad for parameter in made.parameters())
    assert all(parameter.grad is not None for parameter in made.parameters())
    assert any(parameter.grad.any() for parameter in made.parameters()) == learns
    for part in (taught, free):
        assert (part.grad is not None and bool(part.grad.any())) == pushes


def test_the_gradient_of_the_decoder_is_that_of_the_loss_reversed():
    made, (taught, free) = professor(0.8), states()
    made.eval()

    def loss(taught):
        return made(taught, free, LENGTHS)

    (found,) = torch.autograd.grad(loss(taught), taught)
    step = torch.zeros_like(taught)
    step[1, 0, 2] = 1e-6
    with torch.no_grad():
        slope = (loss(taught + step) - loss(taught - step)) / 2e-6
    torch.testing.assert_close(found[1, 0, 2], -slope, rtol=1e-4, atol=1e-9)


def test_what_stands_after_the_end_of_a_sequence_has_no_influence():
    made, (taught, free) = professor(0.8), states()
    made.eval()
    expected = made(taught, free, LENGTHS)
    with torch.no_grad():
        taught[3:, 1] = float("nan")
        free[:, 2] = 1e9
    assert torch.equal(made(taught, free, LENGTHS), expected)


def test_it_learns_to_tell_and_its_accuracy_is_kept():
    made = professor(0.5)
    optimizer = torch.optim.Adam(made.parameters(), lr=0.01)
    lengths = torch.full((16,), 5)
    for _ in range(60):
        taught, free = torch.randn(2, 5, 16, 4, dtype=torch.float64).unbind(0)
        loss = made(taught + 1, free, lengths)
        optimizer.zero_grad()
        if loss.requires_grad:
            loss.backward()
            optimizer.step()
    assert 0.9 < made.accuracy <= 1
    before = made.accuracy.clone()
    made.eval()(taught, free + 1, lengths)
    assert torch.equal(made.accuracy, before)
    assert "accuracy" in made.state_dict()
