"""Freed memory stays with the process."""

import subprocess
import sys

import pytest

STEPS = """
import resource, sys
import torch
from steploom.training.memory import keep_freed_memory

if sys.argv[1] == "keep" and not keep_freed_memory():
    raise SystemExit(3)

def step():
    a = torch.ones(12_000_000)
    return (a * 2 + a).sum()

for _ in range(20):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(30):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode: str) -> int:
    run = subprocess.run([sys.executable, "-c", STEPS, mode], capture_output=True, text=True, timeout=120)
    if run.returncode == 3:
        pytest.skip("this C library has no mallopt")
    assert run.returncode == 0, run.stderr
    return int(run.stdout)


def test_a_step_takes_the_memory_of_the_step_before() -> None:
    assert faults("keep") < 0.5 * faults("leave")
