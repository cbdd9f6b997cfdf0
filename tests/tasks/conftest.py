"""What the tests of several tasks start from."""

import sys
from pathlib import Path

import pytest

_CELL = """\
import torch
from torch import nn
from steploom import Cell


class Minimal(Cell):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.states = {"h": hidden_size, "m": hidden_size + 1}
        self.mix = nn.Linear(input_size + hidden_size, hidden_size)
        self.keep = nn.Linear(hidden_size, hidden_size + 1)

    def forward(self, x, h, m):
        h = torch.tanh(self.mix(torch.cat([x, h], -1)))
        return h, 0.5 * m + self.keep(h)
"""


@pytest.fixture
def own_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A user's own cell as an option names it, in a file in the current directory; its two states differ in size."""
    (tmp_path / "usercells.py").write_text(_CELL)
    monkeypatch.chdir(tmp_path)
    # Another test has imported its own copy.
    monkeypatch.delitem(sys.modules, "usercells", raising=False)
    return "usercells:Minimal"
