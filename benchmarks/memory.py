"""Memory: what `checkpoint_every` saves in training over a long sequence, and whether anything leaks.

    python benchmarks/memory.py

For its memory each training runs in a fresh process, which reports by how much the peak of its resident memory rises
above what it held before (Linux alone tells a process this); for their times they take turns in one process.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import measure
import torch

from steploom import Recurrent
from steploom.cells.registry import make_cell

POINTS = [(4000, 16, 64, 256)]
LEAK_CALLS = 2000
STATUS = Path("/proc/self/status")


def resident(what: str) -> float:
    """MiB of this process: "VmRSS" now, "VmHWM" at its peak."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1024


def layer(input_size: int, hidden_size: int, every: int) -> Recurrent:
    """An LSTM; with `every` above 0 it keeps one state in so many and computes the others again."""
    return Recurrent(make_cell("lstm", input_size, hidden_size), engine="native", checkpoint_every=every or None)


def training(point: measure.Point, every: int) -> measure.Side:
    """A step of training on a long sequence: outputs and gradients."""
    steps, batch, input_size, hidden_size = point
    torch.manual_seed(0)  # the same weights and data for all
    rnn = layer(input_size, hidden_size, every)
    x = torch.randn(steps, batch, input_size, requires_grad=True)
    arriving = torch.randn(steps, batch, hidden_size)
    return lambda: measure.gradients(lambda: rnn(x)[0], [x, *rnn.parameters()], arriving)


def child(point: measure.Point, every: int) -> None:
    """Train once and print the extra memory in MiB."""
    # What is loaded and compiled at the first call is no memory of the sequence.
    training((2 * max(every, 1), *point[1:]), every)()
    train = training(point, every)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = resident("VmRSS")
    train()
    print(max(resident("VmHWM") - before, 1 / 1024))  # what is kept from the first call may be enough


def in_child(point: measure.Point, every: int, given: argparse.Namespace) -> float:
    """`child` in a fresh process."""
    words = ["--child", str(every), "--points", ",".join(map(str, point)), "--threads", str(given.threads)]
    done = subprocess.run([sys.executable, __file__, *words], check=True, capture_output=True, text=True)
    return float(done.stdout.splitlines()[-1])


def checkpoints(point: measure.Point, given: argparse.Namespace) -> list[measure.Record]:
    """Extra memory and time with and without checkpoints, of which there are half the square root of the steps."""
    # As many as that root take the least memory, but each segment costs a little time of its own.
    every = max(2, round(2 * point[0] ** 0.5))
    sides = {str(kind): training(point, kind) for kind in (0, every)}
    expected, found = (run() for run in sides.values())
    if not (worst := measure.error(found, expected)) <= measure.ALLOWED:
        raise SystemExit(f"training with checkpoint_every={every} differs by {worst:.1e} of the largest value")
    del expected, found
    times = measure.alternate(sides, given.quick)
    records: list[measure.Record] = []
    for kind in (0, every):
        line: measure.Record = {"name": "lstm", "point": list(point), "checkpoint_every": kind, "error": worst}
        line["extra_mib"], line["seconds"] = in_child(point, kind, given), times[str(kind)]
        records.append(line)
        line["memory_share"] = line["extra_mib"] / records[0]["extra_mib"]
        line["time_share"] = line["seconds"] / records[0]["seconds"]
        print(
            f"lstm {point} checkpoint_every {line['checkpoint_every']:>4}: {line['extra_mib']:8.1f} MiB more"
            f" ({line['memory_share']:.2f}), {line['seconds']:.3f} s ({line['time_share']:.2f})",
            flush=True,
        )
    return records


def leak(calls: int) -> measure.Record:
    """MiB by which memory grows over many calls of all kinds, after as many again to settle."""
    rnn = layer(8, 32, 0)
    x = torch.randn(20, 6, 8, requires_grad=True)
    arriving = torch.randn(20, 6, 32)
    lengths = torch.tensor([20, 3, 0, 11, 20, 1])

    def call(number: int) -> None:
        known = lengths if number % 2 else None
        measure.gradients(lambda: rnn(x, lengths=known)[0], [x, *rnn.parameters()], arriving)
        with torch.no_grad():
            rnn(x[: 1 + number % 20], None if number % 3 else rnn.initial_state(6))

    for number in range(max(100, calls // 4)):
        call(number)
    before = resident("VmRSS")
    for number in range(calls):
        call(number)
    grown = resident("VmRSS") - before
    print(f"memory after {calls} further calls: {grown:+.2f} MiB", flush=True)
    return {"name": "leak", "calls": calls, "grown_mib": grown}


def main() -> None:
    if not STATUS.exists():
        raise SystemExit("this benchmark reads /proc/self/status, which is there on Linux only")
    given = measure.options(
        (__doc__ or "").partition("\n")[0], POINTS, child={"type": int, "metavar": "EVERY", "help": "used by itself"}
    )
    if given.child is not None:
        child(given.points[0], given.child)
        return
    records = [line for point in given.points for line in checkpoints(point, given)]
    records.append(leak(100 if given.quick else LEAK_CALLS))
    measure.write(given, "memory", records)


if __name__ == "__main__":
    main()
