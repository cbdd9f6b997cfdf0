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
from steploom.engine.choice import choose, use_engine, wanted
from steploom.errors import OptionError


def test_auto_takes_the_kernels_of_pytorch_where_it_has_them():
    for cell in (LSTMCell(2, 3), GRUCell(2, 3), RNNCell(2, 3), RNNCell(2, 3, "relu"), LSTMCell(2, 3, bias=False)):
        assert choose(cell, "auto")[0] == "aten"
    for cell in (PeepholeLSTMCell(2, 3), RNNCell(2, 3, "sigmoid"), RNNCell(2, 3, nn.ReLU())):
        assert choose(cell, "auto")[0] == "reference"


def test_a_derived_cell_is_another_cell():
    class Mine(LSTMCell):
        def forward(self, x, h, c):
            return h + 1, c

    assert choose(Mine(2, 3), "auto") == ("reference", "PyTorch has no kernel for Mine")


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
        with use_engine("auto"):
            assert choose(cell, "auto")[0] == "aten"
        assert wanted() == "reference"
    assert choose(cell, "auto")[0] == "aten"


def test_the_block_ends_with_an_error_too():
    with pytest.raises(ZeroDivisionError), use_engine("reference"):
        _ = 1 / 0
    assert wanted() == "auto"


def test_an_engine_asked_for_by_name_is_never_replaced():
    message = "The engine 'aten' cannot run this layer: PyTorch has no kernel for PeepholeLSTMCell"
    with pytest.raises(OptionError, match=message):
        choose(PeepholeLSTMCell(2, 3), "aten")
    with use_engine("aten"), pytest.raises(OptionError, match=message):
        choose(PeepholeLSTMCell(2, 3), "auto")
    with pytest.raises(OptionError, match="because of the test"):
        choose(LSTMCell(2, 3), "aten", needs_reference="because of the test")


def test_unknown_engine():
    with (
        pytest.raises(OptionError, match=r"No engine is called 'zzzz'\. Choose one of"),
        use_engine("zzzz"),
    ):
        pass


def test_threads_choose_for_themselves():
    seen = []
    with use_engine("reference"):
        thread = threading.Thread(target=lambda: seen.append(wanted()))
        thread.start()
        thread.join()
    assert seen == ["auto"]


def test_asynchronous_tasks_choose_for_themselves():
    async def task(engine, started, other):
        with use_engine(engine):
            started.set()
            await other.wait()
            return wanted()

    async def both():
        one, other = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(task("reference", one, other), task("aten", other, one))

    assert asyncio.run(both()) == ["reference", "aten"]
