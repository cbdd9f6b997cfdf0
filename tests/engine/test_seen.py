"""What must see each operation of a step does see it, and no number is read where none stands."""

import pytest
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from steploom.cells.cell import Cell
from steploom.cells.gru import GRUCell
from steploom.cells.lstm import LSTMCell, PeepholeLSTMCell
from steploom.engine.choice import use_engine
from steploom.errors import OptionError
from steploom.layers.drop_in import LSTM
from steploom.layers.recurrent import Recurrent

X = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0))


class Seen(TorchDispatchMode):
    """Remembers the operators that pass."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.__name__)
        return func(*args, **kwargs or {})


class Wrapped(Tensor):
    """Holds no numbers of its own, as the quantised weights of other packages do not."""

    @staticmethod
    def __new__(cls, inner):
        outer = Tensor._make_wrapper_subclass(cls, inner.size(), strides=inner.stride(), dtype=inner.dtype)
        outer.inner = inner
        return outer

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        def bare(item):
            return item.inner if isinstance(item, Wrapped) else item

        result = func(*tree_map(bare, args), **tree_map(bare, kwargs or {}))
        return tree_map(lambda item: cls(item) if isinstance(item, Tensor) else item, result)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore:`torch.jit.trace:DeprecationWarning")
@pytest.mark.parametrize("calls_before", [0, 2])
@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize(
    "make",
    [lambda: Recurrent(LSTMCell(3, 4), bidirectional=True), lambda: Recurrent(GRUCell(3, 4)), lambda: LSTM(3, 4)],
)
def test_a_jit_trace_runs_other_data_of_other_shapes(make, grad, calls_before):
    layer = make()
    for _ in range(calls_before):
        layer(X)
    with torch.set_grad_enabled(grad):
        traced = torch.jit.trace(layer, X)
        for x in (torch.randn(5, 2, 3), torch.randn(8, 4, 3)):
            torch.testing.assert_close(traced(x), layer(x))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore:`torch.jit.trace:DeprecationWarning")
def test_a_jit_trace_of_any_cell_runs_other_data():
    layer = Recurrent(PeepholeLSTMCell(3, 4))
    with torch.no_grad():
        traced = torch.jit.trace(layer, X)
        torch.testing.assert_close(traced(2 * X), layer(2 * X))


@pytest.mark.parametrize("calls_before", [0, 2])
def test_make_fx_notes_the_step(calls_before):
    layer = Recurrent(LSTMCell(3, 4))
    with torch.no_grad():
        for _ in range(calls_before):
            layer(X)
        graph = make_fx(lambda x: layer(x)[0])(X)
        torch.testing.assert_close(graph(2 * X), layer(2 * X)[0])


def test_a_mode_sees_the_step_and_native_by_name_is_refused():
    layer, expected = Recurrent(PeepholeLSTMCell(3, 4)), Recurrent(PeepholeLSTMCell(3, 4))
    expected.load_state_dict(layer.state_dict())
    layer(X), layer(X)
    with Seen() as seen:
        y, _ = layer(X)
        with use_engine("native"), pytest.raises(OptionError, match="a TorchDispatchMode takes note"):
            layer(X)
    assert "sigmoid.default" in seen.names
    torch.testing.assert_close(y, expected(X)[0])


@pytest.mark.parametrize("calls_before", [0, 2])
def test_weights_that_hold_no_numbers_are_not_read(calls_before):
    layer = Recurrent(LSTMCell(3, 4)).requires_grad_(False)
    expected = layer(X)
    for _ in range(calls_before):
        layer(X)
    layer.cell.recurrent.weight = nn.Parameter(Wrapped(layer.cell.recurrent.weight.data), requires_grad=False)
    assert layer.explain() == "reference: a Wrapped says itself what each operation does"
    y, state = layer(X)
    torch.testing.assert_close((y.inner, tuple(part.inner for part in state)), expected)


@pytest.mark.parametrize("make", [lambda: Recurrent(LSTMCell(3, 4)), lambda: LSTM(3, 4)])
def test_inputs_that_hold_no_numbers_are_not_read(make):
    layer = make().requires_grad_(False)
    torch.testing.assert_close(layer(Wrapped(X))[0].inner, layer(X)[0])


def test_shapes_without_numbers():
    with torch.device("meta"):
        layer, x = Recurrent(LSTMCell(3, 4), bidirectional=True), torch.empty(5, 2, 3)
    y, state = layer(x, lengths=None)
    assert (y.shape, y.device.type, state[0].shape) == ((5, 2, 8), "meta", (2, 2, 4))
    with pytest.raises(OptionError, match="x is torch"):
        layer(x.double())


class Rotating(Cell):
    """Its first weights are complex."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.states = {"h": hidden_size}
        self.turn = nn.Parameter(torch.randn(hidden_size // 2, dtype=torch.complex64))
        self.input = nn.Linear(input_size, hidden_size)

    def forward(self, x, h):
        turned = torch.view_as_complex(h.unflatten(-1, (-1, 2))) * self.turn
        return (torch.tanh(torch.view_as_real(turned).flatten(-2) + self.input(x)),)


@pytest.mark.filterwarnings("ignore:The reference engine")
def test_a_cell_of_complex_weights_runs_on_real_numbers():
    layer = Recurrent(Rotating(3, 4), num_layers=2)
    assert [cell.turn.dtype for cell in layer.cells] == [torch.complex64] * 2
    y, _ = layer(X)
    y.sum().backward()
    assert y.dtype == torch.float32
    assert layer.cell.turn.grad.abs().min() > 0
    torch.testing.assert_close(torch.stack([torch.from_numpy(layer.stream(2).push(X[0].numpy()))]), y[:1].detach())
