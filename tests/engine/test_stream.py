"""Streams: one step at a time on kept states and weights."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from steploom import Cell, GRUCell, LSTMCell, OptionError, Recurrent, use_engine
from steploom.cells.registry import cell_names, make_cell


class Rising(Cell):
    """A step that no program says: the native engine cannot run it."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.states = {"h": hidden_size}
        self.input = nn.Linear(input_size, hidden_size)

    def forward(self, x: torch.Tensor, h: torch.Tensor) -> tuple[torch.Tensor]:
        return (torch.tanh(self.input(x) + torch.special.i0(h)),)


def whole(rnn: Recurrent, x: torch.Tensor):
    """The reference engine over the sequence."""
    with use_engine("reference"), torch.no_grad():
        return rnn.eval()(x)


def steps(stream, x: torch.Tensor) -> torch.Tensor:
    return torch.stack([stream.push(step) for step in x])


@pytest.mark.parametrize("name", cell_names())
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_steps_equal_the_whole_sequence(name, layers):
    rnn = Recurrent(make_cell(name, 5, 19), num_layers=layers)
    x = torch.randn(12, 3, 5)
    stream = rnn.stream(3)
    assert stream.engine == "native"
    y, state = whole(rnn, x)
    torch.testing.assert_close(steps(stream, x), y, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(stream.state(), state, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["lstm", "gru-layernorm", "slstm", "lstm-projected"])
@pytest.mark.parametrize("batch", [1, 17])
def test_double_precision(name, batch):
    rnn = Recurrent(make_cell(name, 4, 40).double(), num_layers=2, residual=True)
    x = torch.randn(9, batch, 4, dtype=torch.double)
    torch.testing.assert_close(steps(rnn.stream(batch), x), whole(rnn, x)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("batch", "hidden"), [(1, 600), (70, 128)])
def test_large_layers_are_shared_among_threads(batch, hidden):
    rnn = Recurrent(LSTMCell(128, hidden), num_layers=2, residual=True)
    x = torch.randn(4, batch, 128)
    torch.testing.assert_close(steps(rnn.stream(batch), x), whole(rnn, x)[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_arrays_come_back_as_arrays_and_tensors_as_tensors(engine):
    rnn = Recurrent(GRUCell(3, 8), engine=engine)
    x = torch.randn(5, 2, 3)
    expected, _ = whole(rnn, x)
    stream = rnn.stream(2)
    outputs = [stream.push(step.numpy()) for step in x]
    assert all(isinstance(y, np.ndarray) and y.dtype == np.float32 for y in outputs)
    # Kept outputs are not written to by later steps.
    np.testing.assert_allclose(np.stack(outputs), expected.numpy(), atol=1e-6)
    stream.reset()
    assert isinstance(stream.push(x[0].clone().requires_grad_()), torch.Tensor)
    np.testing.assert_allclose(stream.push(x[1].numpy().copy(order="F")), expected[1].numpy(), atol=1e-6)
    np.testing.assert_allclose(stream.push(nn.Parameter(x[2])).numpy(), expected[2].numpy(), atol=1e-6)


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_the_input_may_be_named(engine):
    rnn = Recurrent(make_cell("gru", 3, 4), engine=engine)
    x = torch.randn(2, 3)
    assert torch.equal(rnn.stream(2).push(x=x), rnn.stream(2).push(x))


@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_a_state_is_taken_up_again(engine):
    rnn = Recurrent(LSTMCell(3, 8), num_layers=2, engine=engine)
    x = torch.randn(7, 2, 3)
    stream = rnn.stream(2)
    steps(stream, x[:3])
    state = stream.state()
    kept = [part.copy() for part in state]
    rest = steps(stream, x[3:])
    for part, copy in zip(state, kept, strict=True):
        assert isinstance(part, np.ndarray)
        np.testing.assert_array_equal(part, copy)
    other = rnn.stream(2)
    other.load_state(state)
    torch.testing.assert_close(steps(other, x[3:]), rest, rtol=0, atol=0)


class Started(GRUCell):
    """A cell whose initial state is not 0."""

    def initial_state(self, batch, *, dtype, device):
        return (torch.full((batch, self.hidden_size), 0.5, dtype=dtype, device=device),)


@pytest.mark.parametrize("cell", [LSTMCell, Started])
@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_rows_begin_anew(cell, engine):
    rnn = Recurrent(cell(3, 8), num_layers=2, engine=engine)
    x = torch.randn(6, 3, 3)
    resets = torch.zeros(6, 3, dtype=torch.bool)
    resets[3, 1] = True
    with use_engine("reference"), torch.no_grad():
        expected, _ = rnn(x, resets=resets)
    stream = rnn.stream(3)
    first = steps(stream, x[:3])
    stream.reset(resets[3].numpy())
    torch.testing.assert_close(torch.cat([first, steps(stream, x[3:])]), expected, rtol=1e-5, atol=1e-6)
    stream.reset()
    torch.testing.assert_close(steps(stream, x[:3]), first, rtol=0, atol=0)


@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_parameters_are_seen_after_reload_alone(engine):
    rnn = Recurrent(GRUCell(3, 8), engine=engine)
    x = torch.randn(4, 1, 3)
    stream, old = rnn.stream(), rnn.stream()
    steps(stream, x[:2]), steps(old, x[:2])
    with torch.no_grad():
        for parameter in rnn.parameters():
            parameter.add_(0.5)
    torch.testing.assert_close(stream.push(x[2]), old.push(x[2]), rtol=0, atol=0)
    state = tuple(torch.from_numpy(part) for part in stream.state())
    stream.reload()
    with torch.no_grad():
        y, _ = rnn(x[3:], state)
    torch.testing.assert_close(stream.push(x[3]), y[0], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(old.push(x[3]), y[0], atol=1e-3)


def test_what_the_native_engine_cannot_run_streams_all_the_same():
    rnn = Recurrent(Rising(3, 8), num_layers=2)
    stream = rnn.stream(2)
    assert stream.engine == "reference"
    assert "i0" in stream.reason
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(steps(stream, x), whole(rnn, x)[0])
    with pytest.raises(OptionError, match="i0"), use_engine("native"):
        rnn.stream(2)


def test_zoneout_takes_its_expectation_and_dropout_is_off():
    rnn = Recurrent(LSTMCell(3, 8), num_layers=2, zoneout=0.3, dropout=0.5, variational_dropout=0.2)
    stream = rnn.train().stream(2)
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(steps(stream, x), whole(rnn, x)[0])
    assert "zoneout" in stream.reason


def test_a_hook_sees_every_step():
    rnn = Recurrent(GRUCell(3, 8))
    rnn.cell.register_forward_hook(lambda cell, inputs, states: (states[0] * 0,))
    assert not rnn.stream().push(torch.ones(1, 3)).any()


@pytest.mark.parametrize("engine", ["auto", "reference"])
@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.zeros((2, 4), np.float32), r"x must be \(batch, input_size\) = \(2, 3\), found \(2, 4\)"),
        (np.zeros(3, np.float32), r"x must be .* found \(3,\)"),
        (torch.zeros(1, 3), r"x must be .* found \(1, 3\)"),
        (np.zeros((2, 3)), r'x is float64 but the weights are float32.*x.astype\("float32"\)'),
        (torch.zeros(2, 3, dtype=torch.bfloat16), r"x is bfloat16 .*x.to\(torch.float32\)"),
        (torch.zeros(2, 3, device="meta"), "x is on meta"),
        ([[0.0] * 3] * 2, "x must be a NumPy array or a tensor, found list"),
        (None, "x must be a NumPy array or a tensor, found NoneType"),
    ],
)
def test_a_wrong_input_is_named(engine, x, said):
    stream = Recurrent(LSTMCell(3, 8), engine=engine).stream(2)
    before = stream.state()
    with pytest.raises(OptionError, match=said):
        stream.push(x)
    for a, b in zip(before, stream.state(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_order_of_bytes_does_not_count():
    stream = Recurrent(LSTMCell(3, 8)).stream(2)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    first = stream.push(x).copy()
    stream.reset()
    np.testing.assert_array_equal(stream.push(x.astype(">f4")), first)


def test_other_wrong_arguments_are_named():
    rnn = Recurrent(LSTMCell(3, 8))
    stream = rnn.stream(2)
    h, c = stream.state()
    for state, said in [
        ((h,), "one array for each of h, c, found 1"),
        (h, "found ndarray"),
        ((h, c[:, :1]), r"state `c` must be \(num_layers, batch, size\) = \(1, 2, 8\), found \(1, 1, 8\)"),
        ((h.astype(float), c), "state `h` must be float32, found float64"),
        ((torch.tensor(h), c), "state `h` must be a NumPy array, found Tensor"),
    ]:
        with pytest.raises(OptionError, match=said):
            stream.load_state(state)
    with pytest.raises(OptionError, match=r"rows must be bool \(batch,\) = \(2,\), found bool \(3,\)"):
        stream.reset(np.ones(3, bool))
    with pytest.raises(OptionError, match="batch must be a whole number"):
        rnn.stream(0)
    with pytest.raises(OptionError, match="bidirectional network cannot be streamed"):
        Recurrent(LSTMCell(3, 8), bidirectional=True).stream(1)


def test_two_streams_at_once():
    rnn = Recurrent(LSTMCell(8, 300), num_layers=2)
    x = torch.randn(2, 60, 1, 8)
    expected = [whole(rnn, part)[0] for part in x]
    found: list[torch.Tensor | None] = [None, None]
    streams = [rnn.stream(), rnn.stream()]

    def work(number: int) -> None:
        found[number] = steps(streams[number], x[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_one_stream_in_two_threads_is_refused(engine):
    stream = Recurrent(LSTMCell(512, 700), engine=engine).stream(32)
    x = np.zeros((32, 512), np.float32)
    refused = []

    def work() -> None:
        for _ in range(100):
            try:
                stream.push(x)
            except OptionError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused and all("Two threads use one stream" in text for text in refused)
    stream.push(x)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux alone tells a process its memory")
def test_nothing_leaks():
    rnn = Recurrent(LSTMCell(64, 256))
    stream = rnn.stream(4)
    array, tensor = np.zeros((4, 64), np.float32), torch.zeros(4, 64)
    wrong = np.zeros((4, 65), np.float32)

    def use() -> None:
        for _ in range(10_000):
            stream.push(array)
            stream.push(tensor)
        for _ in range(1_000):
            with pytest.raises(OptionError):
                stream.push(wrong)
            stream.load_state(stream.state())
        for _ in range(20):
            rnn.stream(4).push(array)

    use()
    before = resident()
    use()
    assert resident() - before < 4 << 20  # an output kept at each step would be 40 MB, a stream kept 1 MB


class Decaying(Cell):
    """A step with a buffer beside the weights."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.states = {"h": hidden_size}
        self.input = nn.Linear(input_size, hidden_size)
        self.register_buffer("decay", torch.linspace(0.1, 0.9, hidden_size))

    def forward(self, x: torch.Tensor, h: torch.Tensor) -> tuple[torch.Tensor]:
        return (torch.tanh(self.input(x) + h * self.decay),)


def test_weights_of_two_dtypes_are_refused():
    cell = Decaying(3, 4)
    cell.decay = cell.decay.double()
    with pytest.raises(OptionError, match=r"`decay` is torch\.float64 on cpu"):
        Recurrent(cell).stream()


def test_pytorch_has_no_streams():
    with pytest.raises(OptionError, match="'aten' cannot stream"):
        Recurrent(LSTMCell(3, 4), engine="aten").stream()


def test_unknown_kernels_are_refused(kernels_of_environment):
    kernels_of_environment("none")
    with pytest.raises(OptionError, match="STEPLOOM_ISA is 'none'"):
        Recurrent(LSTMCell(3, 4)).stream()


class Waiting(Rising):
    """A step that another thread can look at."""

    def forward(self, x: torch.Tensor, h: torch.Tensor) -> tuple[torch.Tensor]:
        if self.inside is not None:
            self.inside()
        return super().forward(x, h)

    inside = None


def test_two_threads_are_refused_whatever_they_do():
    rnn = Recurrent(Waiting(3, 4), engine="reference")
    stream = rnn.stream()
    state, refused = stream.state(), []

    def others():
        for use in (stream.state, stream.reset, stream.reload, lambda: stream.load_state(state)):
            with pytest.raises(OptionError, match="Two threads"):
                use()
            refused.append(use)

    Waiting.inside = staticmethod(others)
    try:
        stream.push(torch.zeros(1, 3))
    finally:
        Waiting.inside = None
    assert len(refused) == 4
    stream.load_state(stream.state())


def test_a_pruned_layer_is_streamed():
    rnn, x = Recurrent(LSTMCell(3, 4)), torch.randn(5, 2, 3)
    prune.random_unstructured(rnn.cell.recurrent, "weight", 0.5)
    y, _ = rnn(x)
    stream = rnn.stream(2)
    torch.testing.assert_close(torch.stack([stream.push(step) for step in x]), y.detach())
