"""A cell whose step runs a layer of its own."""

import subprocess
import sys

NESTED = """
import torch
from torch import nn
from steploom import Cell, GRU, GRUCell, Recurrent, use_engine

class Inner(Cell):
    def __init__(self, input_size, hidden_size, layer):
        super().__init__()
        self.states = {"h": hidden_size}
        self.input = nn.Linear(input_size, hidden_size)
        self.layer = layer
    def forward(self, x, h):
        return (self.layer((self.input(x) + h).unsqueeze(0))[0][0],)

x = torch.randn(4, 2, 3)
GRU(8, 8)(torch.randn(1, 2, 8))
for layer in (Recurrent(GRUCell(8, 8)), GRU(8, 8), Recurrent(GRUCell(8, 8), engine="native")):
    rnn = Recurrent(Inner(3, 8, layer))
    print(rnn.explain())
    with use_engine("reference"):
        expected = rnn(x)[0]
    rnn.stack.choose(rnn.cell)
    torch.testing.assert_close(rnn(x)[0], expected)
    print(rnn.stream(2).engine)
"""


# In a process of its own, since what went wrong here was that it never came to an end.
def test_a_layer_inside_a_cell_runs_on_the_reference_engine():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NESTED], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 6
    assert all("a layer of its own on the native engine" in line for line in lines[::2]), lines
    assert all(line == "reference" for line in lines[1::2]), lines
