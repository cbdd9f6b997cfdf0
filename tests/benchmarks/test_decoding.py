"""Decoding a batch is at least five times as fast as a plain loop over its sentences."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "decoding.py"


@pytest.mark.slow
def test_beam_5_is_five_times_as_fast_as_a_loop_over_sentences() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--threads", "1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert measured["beams"] == 5 and measured["tokens"] > 1000
    assert measured["ratio"] >= 5, measured
