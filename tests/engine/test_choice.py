"""Which engine runs, and who decides."""

import asyncio
import threading

import pytest
import torch
from torch import nn

from steploom.cells.gru import GRUCell
from steploom.cells.lstm import LSTMCell, PeepholeLSTMCell
from steploom.cells.simple import RNNCell
from steploom.engine import aten
from steploom.engine.choice import choose, engine_asked_for, use_engine
from steploom.errors import OptionError
from steploom.layers.recurrent import Recurrent


class Unsupported(LSTMCell):
    def forward(self, x, h, c):
        h, c = super().forward(x, h, c)
        return torch.special.i0(h), c


def test_auto_takes_the_native_engine_for_any_program():
    cells = [LSTMCell(2, 3), GRUCell(2, 3), RNNCell(2, 3), PeepholeLSTMCell(2, 3), RNNCell(2, 3, nn.ReLU())]
    for cell in cells:
        for dtype in (torch.float32, torch.float64):
            assert choose(cell.to(dtype), "auto").engine == "native"


def test_auto_takes_the_kernels_of_pytorch_where_the_native_engine_has_no_numbers():
    for cell in (LSTMCell(2, 3), GRUCell(2, 3), RNNCell(2, 3), RNNCell(2, 3, "relu"), LSTMCell(2, 3, bias=False)):
        assert choose(cell.bfloat16(), "auto").engine == "aten"
        assert choose(cell.to("meta"), "auto").engine == "aten"
    cell = PeepholeLSTMCell(2, 3)
    reason = "the native engine runs in float32 and float64 and not in bfloat16"
    assert choose(cell.bfloat16(), "auto")[:2] == ("reference", reason)
    assert choose(cell.to("meta"), "auto").reason == "the native engine runs on the CPU and not on meta"


def test_a_derived_cell_is_another_cell():
    class Mine(LSTMCell):
        def forward(self, x, h, c):
            return h + 1, c

    assert aten.why_not(Mine(2, 3)) == "PyTorch has no kernel for Mine"


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is not supported:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The reference engine")
def test_a_scripted_part_runs_on_the_reference_engine():
    class Scripted(GRUCell):
        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size)
            self.last = torch.jit.script(nn.Linear(hidden_size, hidden_size))

        def forward(self, x, h):
            return (torch.tanh(self.last(super().forward(x, h)[0])),)

    rnn, x = Recurrent(Scripted(2, 3)), torch.randn(4, 2, 2)
    assert rnn.explain().startswith("reference: the step of Scripted runs 'last', a module of torch.jit")
    assert rnn(x)[0].shape == (4, 2, 3)
    assert rnn.stream(2).engine == "reference"


@pytest.mark.parametrize("part", [lambda cell: cell, lambda cell: cell.recurrent])
@pytest.mark.parametrize("calls_before", [0, 2])
@pytest.mark.filterwarnings("ignore:The reference engine")
def test_a_function_in_the_place_of_a_forward_is_what_runs(part, calls_before):
    rnn, x = Recurrent(GRUCell(2, 3)), torch.randn(4, 2, 2)
    for _ in range(calls_before):
        rnn(x)
    module = part(rnn.cell)
    before = module.forward
    module.forward = lambda *given: tuple(2 * y for y in before(*given)) if len(given) == 2 else 2 * before(*given)
    with use_engine("reference"):
        expected = rnn(x)
    torch.testing.assert_close(rnn(x), expected)
    assert aten.why_not(rnn.cell).startswith("a function was put in the place of the step")


@pytest.mark.parametrize("calls_before", [0, 2])
@pytest.mark.parametrize("resets", [None, torch.eye(4, 2, dtype=torch.bool)])
def test_a_function_in_the_place_of_the_initial_state_is_what_counts(resets, calls_before):
    rnn, x = Recurrent(GRUCell(2, 3), engine="native"), torch.randn(4, 2, 2)
    for _ in range(calls_before):
        rnn(x, resets=resets)
    rnn.cell.initial_state = lambda batch, dtype, device: (torch.ones(batch, 3, dtype=dtype, device=device),)
    found = rnn(x, resets=resets)
    torch.testing.assert_close(found[0][0], rnn.cell(x[0], torch.ones(2, 3))[0])
    reference = Recurrent(rnn.cell, engine="reference")
    torch.testing.assert_close(found, reference(x, resets=resets))


def test_what_cannot_be_a_program_runs_on_the_reference_engine_and_says_so_once():
    line = Unsupported.forward.__code__.co_firstlineno + 2
    x = torch.randn(4, 2, 2)
    rnn = Recurrent(Unsupported(2, 3), num_layers=2)
    with pytest.warns(UserWarning, match=f"'i0' .*test_choice.py:{line}") as caught:
        y, _ = rnn(x)
    rnn(x)
    assert len(caught) == 1
    assert rnn.explain().startswith("reference: the operation 'i0'")
    assert f"test_choice.py:{line}" in rnn.explain()
    with use_engine("reference"):
        assert torch.equal(y, rnn(x)[0])
    with (
        use_engine("native"),
        pytest.raises(OptionError, match="'native' cannot run this layer: the operation 'i0'"),
    ):
        rnn(x)


def test_a_changed_cell_runs_as_it_is():
    cell = LSTMCell(2, 3)
    torch.nn.utils.parametrizations.weight_norm(cell.recurrent)
    assert "not a plain torch.nn.Linear" in aten.why_not(cell)
    cell = LSTMCell(2, 3)
    cell.recurrent.bias = None
    assert "one product of the cell has a bias" in aten.why_not(cell)
    cell = LSTMCell(2, 3)
    hook = cell.register_forward_hook(lambda *_: None)
    assert "hooks" in aten.why_not(cell)
    hook.remove()
    assert aten.why_not(cell) is None


def test_the_block_decides_for_layers_that_do_not():
    cell = LSTMCell(2, 3)
    with use_engine("reference"):
        assert choose(cell, "auto")[0] == "reference"
        assert choose(cell, "aten")[0] == "aten"
        assert choose(cell, "native")[0] == "native"
        with use_engine("auto"):
            assert choose(cell, "auto")[0] == "native"
        assert engine_asked_for() == "reference"
    assert choose(cell, "auto")[0] == "native"


def test_the_block_ends_with_an_error_too():
    with pytest.raises(ZeroDivisionError), use_engine("reference"):
        _ = 1 / 0
    assert engine_asked_for() == "auto"


def test_an_engine_asked_for_by_name_is_never_replaced():
    message = "The engine 'aten' cannot run this layer: PyTorch has no kernel for PeepholeLSTMCell"
    with pytest.raises(OptionError, match=message):
        choose(PeepholeLSTMCell(2, 3), "aten")
    with use_engine("aten"), pytest.raises(OptionError, match=message):
        choose(PeepholeLSTMCell(2, 3), "auto")
    with pytest.raises(OptionError, match="because of the test"):
        choose(LSTMCell(2, 3), "aten", needs_reference="because of the test")
    with pytest.raises(OptionError, match="'native' cannot run this layer: because of the test"):
        choose(LSTMCell(2, 3), "native", needs_reference="because of the test")
    with pytest.raises(OptionError, match="not in float16"):
        choose(LSTMCell(2, 3).half(), "native")


def test_hooks_see_every_step():
    cell, seen = LSTMCell(2, 3), []
    rnn, x = Recurrent(cell), torch.randn(4, 2, 2)
    rnn(x)
    hook = cell.recurrent.register_forward_hook(lambda *_: seen.append(1))
    assert choose(cell, "auto")[:2] == ("reference", "hooks on the cell must see every step")
    rnn(x)
    assert len(seen) == 4
    hook.remove()
    assert choose(cell, "auto").engine == "native"


def test_unknown_engine():
    with (
        pytest.raises(OptionError, match=r"No engine is called 'zzzz'\. Choose one of"),
        use_engine("zzzz"),
    ):
        pass


def test_threads_choose_for_themselves():
    seen = []
    with use_engine("reference"):
        thread = threading.Thread(target=lambda: seen.append(engine_asked_for()))
        thread.start()
        thread.join()
    assert seen == ["auto"]


def test_asynchronous_tasks_choose_for_themselves():
    async def task(engine, started, other):
        with use_engine(engine):
            started.set()
            await other.wait()
            return engine_asked_for()

    async def both():
        one, other = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(task("reference", one, other), task("aten", other, one))

    assert asyncio.run(both()) == ["reference", "aten"]
