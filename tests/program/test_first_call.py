"""The first plan of a process is there soon, and the second at once."""

import subprocess
import sys

SCRIPT = """
import time
import torch
torch.set_num_threads(1)
from steploom.cells.gru import GRUCell
from steploom.cells.lstm import LSTMCell
start = time.perf_counter()
from steploom.program.plan import make_plan
make_plan(LSTMCell(64, 128))
first = time.perf_counter()
make_plan(GRUCell(64, 128))
print(first - start, time.perf_counter() - first)
"""


def test_the_first_and_the_second_plan_of_a_process_are_quick() -> None:
    # A process that had to wait for others is asked again: what is tested is the work, and not the machine.
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
        first, second = (float(part) for part in done.stdout.split())
        if first < 1.5 and second < 0.2:
            return
    raise AssertionError(f"the first plan took {first:.2f} s and the second {second:.2f} s")
