"""What the native engine refuses to read, before the core sees it."""

import pytest
import torch

from steploom import GRU, LSTM, LSTMCell, Recurrent
from steploom.engine.compiled import compiled_cell
from steploom.engine.operator import run_operator
from steploom.errors import OptionError


def as_operator(x, states=(), starts=(), cell=None, **changes):
    """A call of the operator that graphs hold."""
    cell = LSTMCell(3, 4) if cell is None else cell
    compiled = compiled_cell(cell)
    leaves = compiled.program.gather_leaves(cell)
    return run_operator(compiled.key, x, states, leaves, starts, None, None, False, False)


@pytest.mark.parametrize("run", [LSTM(3, 4), GRU(3, 4, bidirectional=True), as_operator], ids=["LSTM", "GRU", "op"])
def test_no_steps_at_all(run):
    with pytest.raises(OptionError, match=r"at least one step, found \(0, 2, 3\)"):
        run(torch.zeros(0, 2, 3))
