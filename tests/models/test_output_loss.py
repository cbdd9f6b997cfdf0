"""The fused output layer and loss against PyTorch's own."""

import pytest
import torch
from torch.nn import functional as F

from steploom.models import output_loss
from steploom.models.output_loss import linear_cross_entropy, linear_log_probs, linear_losses


def case(places, vocabulary, size, dtype=torch.float64):
    generator = torch.Generator().manual_seed(places)
    hidden = torch.randn(places, size, generator=generator, dtype=dtype, requires_grad=True)
    weight = torch.randn(vocabulary, size, generator=generator, dtype=dtype, requires_grad=True)
    bias = torch.randn(vocabulary, generator=generator, dtype=dtype, requires_grad=True)
    return hidden, weight, bias, torch.randint(vocabulary, (places,), generator=generator)


@pytest.mark.parametrize("block", [1, 50, 1 << 21])
@pytest.mark.parametrize(("places", "vocabulary", "size"), [(1, 2, 1), (7, 5, 3), (63, 100, 15), (150, 7, 4)])
def test_loss_and_gradients_equal_the_plain_ones(monkeypatch, block, places, vocabulary, size):
    monkeypatch.setattr(output_loss, "_BLOCK", block)
    *inputs, target = case(places, vocabulary, size)
    expected = F.cross_entropy(F.linear(*inputs), target, reduction="sum")
    found = linear_cross_entropy(*inputs, target)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    scale = torch.tensor(0.3, dtype=torch.float64)
    for got, wanted in zip(
        torch.autograd.grad(found * scale, inputs), torch.autograd.grad(expected * scale, inputs), strict=True
    ):
        torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-12)


def test_gradcheck():
    *inputs, target = case(5, 4, 3)
    assert torch.autograd.gradcheck(lambda *tensors: linear_cross_entropy(*tensors, target), inputs)


def test_very_small_probabilities_stay_finite():
    hidden, weight = torch.tensor([[400.0]]), torch.tensor([[1.0], [-1.0]])
    found = linear_cross_entropy(hidden, weight, torch.zeros(2), torch.tensor([1]))
    assert found == 800
    assert linear_log_probs(hidden, weight, torch.zeros(2), torch.tensor([1])) == -800


def test_without_gradient_nothing_is_kept():
    *inputs, target = case(7, 5, 3)
    with torch.no_grad():
        found = linear_cross_entropy(*inputs, target)
    assert not found.requires_grad
    torch.testing.assert_close(found, F.cross_entropy(F.linear(*inputs), target, reduction="sum"))


def test_mixed_precision_is_near_and_keeps_the_types():
    *inputs, target = case(200, 300, 32, torch.float32)
    exact = linear_cross_entropy(*inputs, target)
    exact_grads = torch.autograd.grad(exact, inputs)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = linear_cross_entropy(*inputs, target)
    assert mixed.dtype == torch.float32 and mixed != exact
    torch.testing.assert_close(mixed, exact, rtol=1e-2, atol=0)
    for got, wanted in zip(torch.autograd.grad(mixed, inputs), exact_grads, strict=True):
        assert got.dtype == torch.float32
        assert (got - wanted).norm() < 0.02 * wanted.norm()


@pytest.mark.parametrize("block", [1, 40, 1 << 21])
def test_log_probs_are_those_of_the_targets(monkeypatch, block):
    monkeypatch.setattr(output_loss, "_BLOCK", block)
    *inputs, target = case(17, 9, 4)
    expected = F.log_softmax(F.linear(*inputs), -1)[torch.arange(17), target]
    torch.testing.assert_close(linear_log_probs(*inputs, target), expected.detach())


@pytest.mark.parametrize("block", [1, 50, 1 << 21])
@pytest.mark.parametrize("smoothing", [0.1, 0.9])
def test_smoothed_labels_and_the_loss_of_each_place(monkeypatch, block, smoothing):
    monkeypatch.setattr(output_loss, "_BLOCK", block)
    *inputs, target = case(150, 5, 3)
    expected = F.cross_entropy(F.linear(*inputs), target, reduction="none", label_smoothing=smoothing)
    found, each, plain = linear_losses(*inputs, target, smoothing)
    torch.testing.assert_close(each, expected.detach(), rtol=1e-12, atol=1e-12)
    expected_plain = F.cross_entropy(F.linear(*inputs), target, reduction="sum").detach()
    torch.testing.assert_close(plain, expected_plain, rtol=1e-12, atol=1e-12)
    assert not each.requires_grad and not plain.requires_grad
    torch.testing.assert_close(found, expected.sum(), rtol=1e-12, atol=1e-12)
    for got, wanted in zip(
        torch.autograd.grad(found, inputs), torch.autograd.grad(expected.sum(), inputs), strict=True
    ):
        torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-12)


def test_no_place_at_all():
    hidden, weight, bias, target = case(7, 5, 3)
    total, each, plain = linear_losses(hidden[:0], weight, bias, target[:0])
    assert total == plain == 0 and each.shape == (0,)
    total.backward()
    assert not weight.grad.any()
