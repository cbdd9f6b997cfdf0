"""The drop-ins equal torch.nn, loaded from its state_dict, on every engine."""

import re

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence

from steploom.engine.choice import use_engine
from steploom.layers.drop_in import GRU, LSTM, RNN

TOLERANCE = {"rtol": 1e-6, "atol": 1e-6}
GRADIENT_TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}
KINDS = {
    "lstm": (LSTM, nn.LSTM, {}),
    "lstm-projected": (LSTM, nn.LSTM, {"proj_size": 3}),
    "gru": (GRU, nn.GRU, {}),
    "rnn": (RNN, nn.RNN, {}),
    "rnn-relu": (RNN, nn.RNN, {"nonlinearity": "relu"}),
}

pytestmark = [
    pytest.mark.filterwarnings(
        # torch.nn.LSTM itself says so on the CPU.
        "ignore:LSTM with projections is not supported with oneDNN:UserWarning"
    )
]


def pair(kind, engine="aten", **options):
    """Steploom's layer with the weights of torch.nn's, and the latter."""
    torch.manual_seed(0)
    ours, theirs, extra = KINDS[kind]
    reference = theirs(4, 5, **extra, **options)
    layer = ours(4, 5, **extra, **options)
    layer.load_state_dict(reference.state_dict())
    return layer, reference


def tensors(*results):
    """All tensors in nested tuples."""
    found = []
    for result in results:
        found += tensors(*result) if isinstance(result, tuple) else [result]
    return found


def assert_same(one, other, **tolerance):
    for a, b in zip(tensors(*one), tensors(*other), strict=True):
        torch.testing.assert_close(a, b, **tolerance)


def hidden(layer, *batch):
    """A random initial state."""
    rows = layer.num_layers * (2 if layer.bidirectional else 1)
    h = torch.randn(rows, *batch, layer.proj_size or layer.hidden_size)
    return (h, torch.randn(rows, *batch, layer.hidden_size)) if isinstance(layer, nn.LSTM) else h


@pytest.mark.parametrize("engine", ["native", "aten", "reference"])
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_equals_torch(kind, num_layers, bidirectional, batch_first, engine):
    layer, reference = pair(kind, num_layers=num_layers, bidirectional=bidirectional, batch_first=batch_first)
    x = torch.randn(3, 7, 4)
    state = hidden(layer, 3 if batch_first else 7)
    for hx in (None, state):
        with use_engine(engine):
            ours = layer(x, hx)
        theirs = reference(x, hx)
        assert_same(ours, theirs, **TOLERANCE)
        layer.zero_grad()
        reference.zero_grad()
        sum(part.sin().sum() for part in tensors(*ours)).backward()
        sum(part.sin().sum() for part in tensors(*theirs)).backward()
        for (name, a), b in zip(layer.named_parameters(), reference.parameters(), strict=True):
            torch.testing.assert_close(a.grad, b.grad, **GRADIENT_TOLERANCE, msg=name)


@pytest.mark.parametrize("engine", ["native", "aten", "reference"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_without_bias_and_in_float64(kind, bias, engine):
    layer, reference = pair(kind, num_layers=2, bias=bias)
    layer, reference = layer.double(), reference.double()
    x = torch.randn(6, 3, 4, dtype=torch.float64)
    with use_engine(engine):
        assert_same(layer(x), reference(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("engine", ["native", "aten", "reference"])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_one_sequence_without_a_batch(kind, batch_first, engine):
    layer, reference = pair(kind, num_layers=2, bidirectional=True, batch_first=batch_first)
    x = torch.randn(6, 4)
    for hx in (None, hidden(layer)):
        with use_engine(engine):
            ours = layer(x, hx)
        assert ours[0].dim() == 2
        assert_same(ours, reference(x, hx), **TOLERANCE)


@pytest.mark.parametrize("engine", ["native", "aten", "reference"])
@pytest.mark.parametrize("enforce_sorted", [True, False])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_packed(kind, bidirectional, enforce_sorted, engine):
    layer, reference = pair(kind, num_layers=2, bidirectional=bidirectional)
    lengths = torch.tensor([7, 5, 5, 1] if enforce_sorted else [5, 1, 7, 5])
    x = pack_padded_sequence(torch.randn(7, 4, 4), lengths, enforce_sorted=enforce_sorted)
    for hx in (None, hidden(layer, 4)):
        with use_engine(engine):
            y, final = layer(x, hx)
        y_torch, final_torch = reference(x, hx)
        assert_same((y.data, final), (y_torch.data, final_torch), **TOLERANCE)
        assert_same(pad_packed_sequence(y), pad_packed_sequence(y_torch), **TOLERANCE)
        assert torch.equal(y.batch_sizes, y_torch.batch_sizes)
        assert (y.sorted_indices is None) == (y_torch.sorted_indices is None)
        layer.zero_grad()
        reference.zero_grad()
        sum(part.sin().sum() for part in tensors(y.data, final)).backward()
        sum(part.sin().sum() for part in tensors(y_torch.data, final_torch)).backward()
        for (name, a), b in zip(layer.named_parameters(), reference.parameters(), strict=True):
            torch.testing.assert_close(a.grad, b.grad, **GRADIENT_TOLERANCE, msg=name)


@pytest.mark.parametrize("engine", ["native", "aten", "reference"])
def test_packed_with_batch_first(engine):
    layer, reference = pair("lstm", batch_first=True)
    x = pack_sequence([torch.randn(n, 4) for n in (3, 6, 2)], enforce_sorted=False)
    with use_engine(engine):
        assert_same(layer(x)[0][:1], reference(x)[0][:1], **TOLERANCE)


@pytest.mark.parametrize("kind", KINDS)
def test_same_parameters_and_initialisation(kind):
    ours, theirs, extra = KINDS[kind]
    torch.manual_seed(3)
    layer = ours(4, 5, 2, bidirectional=True, **extra)
    torch.manual_seed(3)
    reference = theirs(4, 5, 2, bidirectional=True, **extra)
    assert list(layer.state_dict()) == list(reference.state_dict())
    assert_same(tuple(layer.parameters()), tuple(reference.parameters()), rtol=0, atol=0)
    assert isinstance(layer, theirs)


@pytest.mark.parametrize("engine", ["native", "aten", "reference"])
def test_dropout_between_layers_in_training_only(engine):
    layer, reference = pair("gru", num_layers=2, dropout=0.5)
    x = torch.randn(4, 3, 4)
    with use_engine(engine):
        assert not torch.equal(layer(x)[0], layer(x)[0])
        assert_same(layer.eval()(x), reference.eval()(x), **TOLERANCE)


@pytest.mark.parametrize("engine", ["native", "aten", "reference"])
def test_weights_that_are_swapped_for_a_call(engine):
    layer, reference = pair("lstm")
    x = torch.randn(4, 3, 4)
    weights = {name: 2 * parameter.detach() for name, parameter in reference.named_parameters()}
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.mul_(2)
    with use_engine(engine):
        assert_same(torch.func.functional_call(layer, weights, (x,)), reference(x), **TOLERANCE)


@pytest.mark.parametrize("engine", ["auto", "native", "aten", "reference"])
@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize(
    "shape, state",
    [((4,), None), ((2, 3, 2, 4), None), ((0, 2, 4), None), ((3, 2, 4), (1, 5)), ((3, 4), (1, 2, 5))],
)
def test_wrong_dimensions_are_told_as_torch_tells_them(kind, engine, shape, state):
    layer, expected = pair(kind)
    hx = None if state is None else torch.zeros(state) if kind != "lstm" else (torch.zeros(state),) * 2
    with pytest.raises((ValueError, RuntimeError)) as of_torch:
        expected(torch.zeros(shape), hx)
    words = "2D or 3D|sequence length to be larger than 0|input, hx (and cx )?should also be"
    assert re.search(words, str(of_torch.value))
    for _ in range(2):
        with use_engine(engine), pytest.raises(of_torch.type, match=words):
            layer(torch.zeros(shape), hx)


def test_an_input_that_is_no_tensor():
    layer, _ = pair("gru")
    with pytest.raises(TypeError, match="GRU: Expected input to be a tensor or a PackedSequence, got list instead"):
        layer([[1.0]])


@pytest.mark.parametrize("engine", ["native", "aten", "reference"])
def test_wrong_sizes_are_told_as_torch_tells_them(engine):
    layer, _ = pair("lstm")
    with use_engine(engine):
        with pytest.raises(RuntimeError, match="Expected 4, got 5"):
            layer(torch.randn(3, 2, 5))
        with pytest.raises(RuntimeError, match=r"Expected hidden\[1\] size \(1, 2, 5\)"):
            layer(torch.randn(3, 2, 4), (torch.zeros(1, 2, 5), torch.zeros(1, 3, 5)))
