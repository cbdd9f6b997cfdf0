"""Products whose weight gradients are computed together, against the plain ones."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from steploom.layers.products import SharedProducts, linear


class Loop(nn.Module):
    """Two weights that every step uses, one of them twice."""

    def __init__(self, dtype):
        super().__init__()
        self.one = nn.Linear(4, 4, dtype=dtype)
        self.two = nn.Linear(4, 4, bias=False, dtype=dtype)

    def forward(self, x, shared):
        def run(x):
            for _ in range(3):
                x = torch.tanh(self.one(x) + self.two(torch.sin(self.two(x))))
            return x

        if not shared:
            return run(x)
        with SharedProducts():
            return run(x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_outputs_and_gradients_are_the_plain_ones(dtype):
    loop, x = Loop(dtype), torch.randn(5, 4, dtype=dtype, requires_grad=True)
    inputs = [x, *loop.parameters()]
    plain, shared = loop(x, False), loop(x, True)
    torch.testing.assert_close(shared, plain)
    for got, wanted in zip(
        torch.autograd.grad(shared.pow(2).sum(), inputs), torch.autograd.grad(plain.pow(2).sum(), inputs), strict=True
    ):
        torch.testing.assert_close(got, wanted)


def test_gradcheck():
    loop, x = Loop(torch.float64), torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *_: loop(x, True), (x, *loop.parameters()))


def test_a_pass_that_asks_for_less_leaves_nothing_behind():
    loop, x = Loop(torch.float64), torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    expected = torch.autograd.grad(loop(x, False).sum(), list(loop.parameters()))
    total = loop(x, True).sum()
    torch.autograd.grad(total, x, retain_graph=True)
    torch.autograd.grad(total, loop.two.weight, retain_graph=True)
    total.backward()
    for parameter, wanted in zip(loop.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, wanted)


def test_a_weight_that_needs_no_gradient_gets_none():
    loop, x = Loop(torch.float64), torch.randn(2, 4, dtype=torch.float64)
    loop.one.requires_grad_(False)
    loop(x, True).sum().backward()
    assert loop.one.weight.grad is None and loop.two.weight.grad is not None


def test_under_autocast_products_run_in_its_type_and_results_stay_in_that_of_the_weights():
    loop, x = Loop(torch.float32), torch.randn(64, 4)
    exact = loop(x, False)
    with torch.autocast("cpu", torch.bfloat16):
        found = loop(x, True)
    assert found.dtype == torch.float32
    assert not torch.equal(found, exact)
    torch.testing.assert_close(found, exact, atol=0.05, rtol=0.05)
    found.sum().backward()
    assert loop.one.weight.grad.dtype == torch.float32 and loop.one.bias.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rows", [0, 1, 7, 16, 41])
def test_linear_in_any_layout(dtype, rows):
    bias = torch.randn(5, dtype=dtype)
    for x in (
        torch.randn(rows, 6, dtype=dtype),
        torch.randn(6, rows, dtype=dtype).t(),
        torch.ones(1, 1, dtype=dtype).expand(rows, 6),
    ):
        for weight in (
            torch.randn(5, 6, dtype=dtype),
            torch.randn(6, 5, dtype=dtype).t(),
            torch.randn(10, 12, dtype=dtype)[::2, ::2],
        ):
            torch.testing.assert_close(linear(x, weight, bias), F.linear(x, weight, bias))
            torch.testing.assert_close(linear(x, weight), F.linear(x, weight))


def test_what_else_pytorch_allows_is_left_to_it():
    weight = nn.Parameter(torch.randn(3, 4))
    with SharedProducts():
        torch.testing.assert_close(F.linear(torch.ones(4), weight), weight.sum(1))
        torch.testing.assert_close(F.linear(torch.ones(2, 4), weight[0]), weight[0].sum().expand(2))
        with pytest.raises(RuntimeError, match="dtype"):
            F.linear(torch.ones(2, 4, dtype=torch.float64), weight)
        with torch.no_grad():
            torch.testing.assert_close(F.linear(torch.ones(4), weight), weight.sum(1))
