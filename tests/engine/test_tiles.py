"""Large float32 products, which are made of digits on processors that multiply tiles."""

import pytest
import torch
from torch import nn

from steploom import GRU, LSTM, RNN, Cell, Recurrent
from steploom.cells.registry import make_cell
from steploom.engine.kernels import use_kernels
from steploom.engine.threads import inlines
from steploom.native import core

needs_tiles = pytest.mark.skipif("amx" not in core().kernels(), reason="the processor multiplies no tiles")


@pytest.fixture(autouse=True)
def best_kernels(kernels_of_environment):
    """Whatever the environment asks for, no name stands for the best kernels here."""
    kernels_of_environment("")


# (layer, time, batch, input, hidden): large enough for digits in the steps, in chunks of steps and in gradients.
LARGE = [(LSTM, 14, 33, 70, 129), (GRU, 30, 16, 64, 66), (RNN, 9, 64, 130, 200)]


def train(layer, x):
    x = x.detach().requires_grad_()
    y, _ = layer(x)
    return [y.detach(), *torch.autograd.grad(y.sin().sum(), [x, *layer.parameters()])]


def largest_error(results, exact):
    return max(((r.double() - e).abs().max() / e.abs().max()).item() for r, e in zip(results, exact, strict=True))


@needs_tiles
@pytest.mark.parametrize(("kind", "time", "batch", "inputs", "hidden"), LARGE)
def test_it_is_as_exact_as_vectors(kind, time, batch, inputs, hidden):
    layer, x = kind(inputs, hidden), torch.randn(time, batch, inputs)
    exact_layer = getattr(torch.nn, kind.__name__)(inputs, hidden).double()
    exact_layer.load_state_dict(layer.state_dict())
    exact = train(exact_layer, x.double())
    with use_kernels("avx512"):
        by_vectors = largest_error(train(layer, x), exact)
    for kernels in ("", "amx"):
        with use_kernels(kernels):
            assert largest_error(train(layer, x), exact) <= 1.5 * by_vectors + 2e-7


@needs_tiles
def test_features_of_other_scales_lose_nothing():
    layer, x = LSTM(100, 128), torch.randn(10, 64, 100)
    scales = 10.0 ** torch.linspace(-4, 4, 100)
    with torch.no_grad():
        layer.weight_ih_l0 /= scales
    exact_layer = torch.nn.LSTM(100, 128).double()
    exact_layer.load_state_dict(layer.state_dict())
    exact = train(exact_layer, (x * scales).double())
    with use_kernels("avx512"):
        by_vectors = largest_error(train(layer, x * scales), exact)
    for kernels in ("", "amx"):
        with use_kernels(kernels):
            assert largest_error(train(layer, x * scales), exact) <= 1.5 * by_vectors + 2e-7


class _Tied(Cell):
    """One matrix for the input, in products of many steps, and for the state, in the steps."""

    def __init__(self, size):
        super().__init__()
        self.input_size, self.states = size, {"h": size}
        self.both = nn.Linear(size, size)

    def forward(self, x, h):
        return (torch.tanh(self.both(x) + self.both(h)),)


@pytest.mark.parametrize("kernels", ["", *core().kernels()])
def test_a_team_adds_up_a_matrix_once_that_has_digits_for_other_steps(kernels):
    rnn, x = Recurrent(_Tied(128), engine="native"), torch.randn(200, 1, 128)
    exact = Recurrent(_Tied(128), engine="reference").double()
    exact.load_state_dict(rnn.state_dict())
    with use_kernels(kernels):
        assert largest_error(train(rnn, x), train(exact, x.double())) < 1e-5


@needs_tiles
def test_padding_is_not_seen():
    rnn, x = Recurrent(make_cell("lstm", 64, 128), engine="native"), torch.randn(12, 32, 64)
    lengths = torch.arange(32) % 12 + 1
    expected = rnn(x, lengths=lengths)[0]
    x[torch.arange(12)[:, None] >= lengths] = 1e30
    assert torch.equal(rnn(x, lengths=lengths)[0], expected)


@needs_tiles
def test_the_best_kernels_use_tiles_where_the_work_is_large():
    layer = LSTM(64, 128)

    def differ(x):
        results = []
        for kernels in ("", "avx512"):
            with use_kernels(kernels):
                results.append(layer(x)[0])
        return not torch.equal(*results)

    assert differ(torch.randn(20, 32, 64))
    assert not differ(torch.randn(20, 1, 64))


@needs_tiles
def test_results_are_the_same_from_run_to_run():
    layer, x = LSTM(64, 128), torch.randn(20, 32, 64)
    expected = train(layer, x)
    for _ in range(5):
        assert all(torch.equal(a, b) for a, b in zip(train(layer, x), expected, strict=True))


@pytest.mark.parametrize("kind", [RNN, LSTM])
def test_infinity_and_nan_in_the_input_go_the_way_they_go_in_pytorch(kind):
    layer, x = kind(64, 128), torch.randn(20, 32, 64)
    x[3, 5, 7], x[4, 9, 0], x[6, 20, 1] = float("inf"), float("-inf"), float("nan")
    x[7, 21], x[8, 22], x[9, 23] = 1e30, 1e-35, 0
    pytorch = getattr(torch.nn, kind.__name__)(64, 128)
    pytorch.load_state_dict(layer.state_dict())
    torch.testing.assert_close(layer(x)[0], pytorch(x)[0], atol=2e-6, rtol=1e-5, equal_nan=True)


@needs_tiles
def test_pytorch_finds_its_tiles_as_it_left_them():
    layer, x = LSTM(64, 128), torch.randn(20, 32, 64)
    a, b = torch.randn(96, 160).bfloat16(), torch.randn(160, 80).bfloat16()
    expected, results = a @ b, layer(x)[0]
    for _ in range(20):
        assert torch.equal(layer(x)[0], results)
        assert torch.equal(a @ b, expected)


@pytest.mark.parametrize(
    ("rows", "time", "inputs", "tiles", "expected"),
    [
        (3, 100, 64, False, False),
        (4, 100, 64, False, True),
        (4, 100, 64, True, False),  # 400 rows before the loop fill tiles, 4 in it do not
        (4, 100, 63, True, True),
        (4, 40, 64, True, True),
        (13, 100, 64, True, True),
        (20, 100, 64, True, False),  # two tiles of 10 rows
        (25, 100, 64, True, True),  # of 13 and 12
        (32, 100, 64, True, True),
    ],
)
def test_products_with_the_input_are_made_where_their_rows_fill_tiles(rows, time, inputs, tiles, expected):
    assert inlines(rows, time, inputs, tiles, 0) is expected
