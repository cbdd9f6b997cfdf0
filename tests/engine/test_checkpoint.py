"""Running in segments changes the memory and nothing else."""

import gc
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from steploom.cells.registry import cell_names, make_cell
from steploom.errors import OptionError
from steploom.layers.recurrent import Recurrent


class StartLearnt(type(make_cell("lstm", 1, 1))):
    """A cell whose initial state is a parameter."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.start = torch.nn.Parameter(torch.full((hidden_size,), 0.5))

    def initial_state(self, batch, *, dtype, device):
        return tuple(self.start.expand(batch, -1) for _ in range(2))


def results(rnn, x, state, lengths, resets):
    leaves = [x, *(state or ()), *rnn.parameters()]
    y, final = rnn(x, state, lengths, resets)
    loss = y.sin().sum() + sum(part.cos().sum() for part in final)
    return (y, *final, *torch.autograd.grad(loss, leaves))


def both_ways(cell, time, every, batch_first=False, given=True):
    torch.manual_seed(0)
    rnn = Recurrent(cell.double(), num_layers=2, bidirectional=True, batch_first=batch_first, engine="native")
    short = Recurrent(
        cell, num_layers=2, bidirectional=True, batch_first=batch_first, engine="native", checkpoint_every=every
    )
    short.cells = rnn.cells
    batch = 5
    shape = (batch, time, 3) if batch_first else (time, batch, 3)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    state = None
    if given:
        state = tuple((torch.rand_like(s) + 0.5).requires_grad_() for s in rnn.initial_state(batch))
    lengths = torch.tensor([time, 1, 0, time // 2, time - 1])
    resets = torch.rand(shape[:2]) < 0.3
    for extra in ((None, None), (lengths, None), (None, resets), (lengths, resets)):
        expected = results(rnn, x, state, *extra)
        found = results(short, x, state, *extra)
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
        with torch.no_grad():
            torch.testing.assert_close(short(x, state, *extra), rnn(x, state, *extra))


@pytest.mark.parametrize("every", [1, 2, 3, 7, 10])
def test_segments_change_no_result(every):
    both_ways(make_cell("lstm", 3, 4), 7, every)
    both_ways(StartLearnt(3, 4), 7, every, given=False)


def test_a_batch_without_rows():
    rnn = Recurrent(make_cell("lstm", 3, 4), engine="native", checkpoint_every=2)
    x = torch.randn(5, 0, 3, requires_grad=True)
    y, h, c, dx, *gradients = results(rnn, x, None, None, None)
    assert (y.shape, h.shape, c.shape, dx.shape) == ((5, 0, 4), (1, 0, 4), (1, 0, 4), x.shape)
    assert not any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize("name", cell_names())
def test_every_cell(name):
    both_ways(make_cell(name, 3, 4), 5, 2, batch_first=True)


def test_in_a_graph():
    torch.compiler.reset()
    rnn = Recurrent(StartLearnt(3, 4), bidirectional=True, checkpoint_every=2)
    whole = Recurrent(rnn.cell, bidirectional=True)
    whole.cells = rnn.cells
    compiled = torch.compile(rnn, fullgraph=True, backend="aot_eager")
    x, resets, lengths = torch.randn(7, 3, 3, requires_grad=True), torch.rand(7, 3) < 0.3, torch.tensor([7, 0, 4])
    for extra in ((None, None), (lengths, resets)):
        torch.testing.assert_close(results(compiled, x, None, *extra), results(whole, x, None, *extra))
    torch.compiler.reset()


@pytest.mark.parametrize("every", [0, -1, 2.0, True])
def test_wrong_sizes_are_refused(every):
    with pytest.raises(OptionError, match="checkpoint_every must be a whole number of at least 1"):
        Recurrent(make_cell("lstm", 3, 4), checkpoint_every=every)


MEASURE = """
import sys, time, torch
from pathlib import Path
from steploom import LSTMCell, Recurrent
torch.manual_seed(0)
T, B, H = map(int, sys.argv[1:4])
rnn = Recurrent(LSTMCell(H, H), engine="native", checkpoint_every=int(sys.argv[4]) or None)
x = torch.randn(T, B, H)
def peak():
    # Not getrusage: a child begins with the peak of its parent.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
def train(x):
    rnn(x)[0].sum().backward()
train(x[:200])
before = peak()
start = time.perf_counter()
train(x)
print(peak() - before, time.perf_counter() - start)
"""


def measure(*sizes):
    """Extra memory in KiB and seconds of one training step in a fresh process."""
    run = subprocess.run([sys.executable, "-c", MEASURE, *map(str, sizes)], capture_output=True, text=True, check=True)
    memory, seconds = run.stdout.split()
    return int(memory), float(seconds)


linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells the peak of a process's memory")


@linux
def test_it_takes_less_memory():
    whole, _ = measure(1000, 16, 128, 0)
    segments, _ = measure(1000, 16, 128, 32)
    assert segments < whole / 2


@linux
@pytest.mark.slow
def test_a_third_of_the_memory_and_half_as_long_again():
    whole, seconds = min(measure(4000, 16, 256, 0) for _ in range(3))
    segments, longer = min(measure(4000, 16, 256, 64) for _ in range(3))
    assert segments <= whole / 3
    assert longer <= 1.5 * seconds


def leaks(calls):
    rnn = Recurrent(make_cell("lstm", 8, 32), checkpoint_every=20, engine="native")
    whole = Recurrent(rnn.cell, engine="native")
    x = torch.randn(50, 8, 8, requires_grad=True)

    def train(times):
        for _ in range(times):
            for layer in (rnn, whole):
                layer(x, lengths=torch.randint(1, 50, (8,)), resets=torch.rand(50, 8) < 0.1)[0].sum().backward()
        gc.collect()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    before = train(calls // 10)
    return train(calls) - before


def test_no_leak():
    assert leaks(300) < 4096


@pytest.mark.slow
def test_no_leak_over_two_thousand_calls():
    assert leaks(2000) < 8192
