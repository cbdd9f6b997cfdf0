"""What the native engine refuses to read, before the core sees it."""

import pytest
import torch

from steploom import LSTM, LSTMCell, Recurrent, use_engine
from steploom.engine.compiled import compiled_cell
from steploom.engine.operator import run_operator
from steploom.errors import OptionError
from steploom.program.prologue import gather_leaves


def as_operator(x, states=(), starts=(), cell=None, **changes):
    """A call of the operator that graphs hold."""
    cell = LSTMCell(3, 4) if cell is None else cell
    compiled = compiled_cell(cell)
    leaves = gather_leaves(compiled.program, cell)
    return run_operator(compiled.key, x, states, leaves, starts, None, None, False, False)


@pytest.mark.parametrize("run", [Recurrent(LSTMCell(3, 4)), as_operator], ids=["layer", "op"])
def test_no_steps_at_all(run):
    with pytest.raises(OptionError, match=r"at least one step, found \(0, 2, 3\)"):
        run(torch.zeros(0, 2, 3))


@pytest.mark.parametrize("every", [None, 2])
def test_windows_that_overlap_in_memory(every):
    series = torch.randn(20, requires_grad=True)
    rnn = Recurrent(LSTMCell(16, 4), checkpoint_every=every)

    def gradient(engine):
        with use_engine(engine):
            return torch.autograd.grad(rnn(series.unfold(0, 16, 1).unsqueeze(1))[0].sum(), series)

    torch.testing.assert_close(gradient("native"), gradient("reference"))


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1)])
@pytest.mark.parametrize("every", [0, 2])
def test_strides_in_a_graph_are_those_of_the_core(order, every):
    cell = LSTMCell(3, 4)
    compiled = compiled_cell(cell)
    shape = [0, 0, 0]
    for place, size in zip(order, (5, 2, 3), strict=True):
        shape[place] = size
    x = torch.randn(shape).permute(order).requires_grad_()
    assert x.shape == (5, 2, 3)
    leaves = [leaf.detach().requires_grad_() for leaf in gather_leaves(compiled.program, cell)]
    args = (x, [], leaves, [], None, None, compiled.key, False, False, True, every)
    _, _, saved, threads = torch.ops.steploom.run(*args)
    needs = [True] * (1 + len(leaves))
    backward = (torch.randn(5, 2, 4), [None, None], x, saved, threads, leaves, [], None, None)
    backward = (*backward, compiled.key, needs, 0, False, every)
    torch.library.opcheck(
        torch.ops.steploom.run_backward.default,
        tuple(detached(part) for part in backward),
        test_utils=("test_schema", "test_faketensor"),
    )


def detached(part):
    if isinstance(part, list):
        return [detached(item) for item in part]
    return part.detach() if isinstance(part, torch.Tensor) else part


@pytest.mark.parametrize(
    "state",
    [torch.ones(2, 4).double(), torch.ones(2, 4).half(), torch.ones(2, 3), torch.ones(2, 4, device="meta")],
    ids=["double", "half", "narrow", "elsewhere"],
)
def test_a_state_that_cannot_be_read(state):
    x = torch.randn(5, 2, 3)
    if state.is_cpu:
        with pytest.raises(OptionError, match=r"^state `h` must be torch.float32 \(2, 4\)"):
            as_operator(x, (state, torch.ones(2, 4)))
        with pytest.raises(OptionError, match=r"^initial state `c` must be torch.float32 \(2, 4\)"):
            as_operator(x, starts=(torch.ones(2, 4), state))
    if state.shape == (2, 4):
        with pytest.raises(OptionError, match=r"^state `c` must be torch.float32 \(2, 4\)"):
            LSTM(3, 4)(x, (torch.ones(1, 2, 4), state.unsqueeze(0)))


def test_an_input_or_a_weight_that_cannot_be_read():
    with pytest.raises(OptionError, match=r"^x is torch.float64 on cpu, but `.*` is torch.float32 on cpu. Convert one"):
        as_operator(torch.randn(5, 2, 3).double())
    with pytest.raises(OptionError, match=r"^x is torch.float64 on cpu, but `.*` is torch.float32 on cpu. Convert one"):
        layer = LSTM(3, 4).double()
        layer.weight_hh_l0.data = layer.weight_hh_l0.data.float()
        layer(torch.randn(5, 2, 3).double())
    with pytest.raises(OptionError, match=r"^x must be \(time, batch, 3\)"):
        as_operator(torch.randn(5, 2, 4))
    with pytest.raises(OptionError, match=r"^x is torch\.bfloat16"):
        as_operator(torch.randn(5, 2, 3).bfloat16())


@pytest.mark.parametrize("layer", [Recurrent(LSTMCell(3, 4)), LSTM(3, 4)], ids=["Recurrent", "LSTM"])
def test_autocast_may_change_the_states_alone(layer):
    x, state = torch.randn(5, 2, 3), tuple(torch.randn(1, 2, 4).bfloat16() for _ in range(2))
    expected, _ = layer(x, tuple(part.float() for part in state))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(layer(x, state)[0], expected)
        torch.testing.assert_close(layer(x.bfloat16(), (state[0].float(), state[1]))[0], expected, rtol=0, atol=0.02)


@pytest.mark.parametrize("every", [None, 2])
def test_lengths_and_resets_are_read_once(every):
    rnn = Recurrent(LSTMCell(3, 4), checkpoint_every=every)
    x = torch.randn(6, 3, 3, requires_grad=True)
    lengths, resets = torch.tensor([6, 3, 2]), torch.rand(6, 3) < 0.3
    y = rnn(x, lengths=lengths, resets=resets)[0].sum()
    (expected,) = torch.autograd.grad(y, x, retain_graph=True)
    lengths.fill_(1)
    resets.fill_(True)
    torch.testing.assert_close(torch.autograd.grad(y, x)[0], expected)


@pytest.mark.parametrize(
    "layer",
    [
        LSTM(3, 4, batch_first=True),
        Recurrent(LSTMCell(3, 4), batch_first=True),
        Recurrent(LSTMCell(3, 4), batch_first=True, checkpoint_every=2),
        Recurrent(LSTMCell(3, 4)),
    ],
    ids=["LSTM", "Recurrent", "checkpointed", "time first"],
)
def test_outputs_may_be_written_to(layer):
    x = torch.randn(2, 5, 3, requires_grad=True)

    def gradient(engine):
        with use_engine(engine):
            return torch.autograd.grad((layer(x)[0].relu_() * torch.arange(4.0)).sum(), x)[0]

    torch.testing.assert_close(gradient("native"), gradient("reference"))
