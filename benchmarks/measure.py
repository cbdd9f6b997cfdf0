"""What the benchmarks share: runs that take turns, the floor of the machine, equality before speed, and the record.

Figures drift by tens of percent with the load of a machine, so only figures of one run are compared: all sides of a
comparison take turns in one process, a large sgemm among them, and medians are reported.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import steploom
from steploom.native import core

__all__ = [
    "ALLOWED",
    "GRID",
    "RESULTS",
    "Point",
    "Record",
    "Side",
    "alternate",
    "check",
    "error",
    "gradients",
    "options",
    "record",
    "sgemm",
    "show",
    "write",
]

RESULTS = Path(__file__).parent / "results"

# (time, batch, input, hidden) of the comparisons: small and large, few rows and many, one feature and many.
GRID = [
    (100, 1, 64, 128),
    (100, 8, 64, 128),
    (100, 32, 64, 128),
    (35, 20, 200, 200),
    (35, 20, 650, 650),
    (100, 32, 256, 256),
    (100, 64, 512, 512),
    (784, 64, 1, 128),
    (28, 64, 28, 128),
]
SGEMM = 1024

# Seconds from which what a run finds in the caches no longer matters.
LONG = 0.2

# The largest error in float32, as a share of the largest value of the same tensor, for which a time is printed.
ALLOWED = 1e-4

Point = tuple[int, int, int, int]
Record = dict[str, Any]
Side = Callable[[], object]


def options(description: str, points: Sequence[Point], **further: Mapping[str, Any]) -> argparse.Namespace:
    """The command line of a benchmark; `points` are what is measured unless other ones are asked for.

    Sets the number of threads of this process and the seed.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="few runs, and unless points are given a tiny one alone")
    parser.add_argument("--points", nargs="+", type=_point, help="T,B,I,H ...")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: %(default)s")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON (default: %(default)s)")
    for name, keywords in further.items():
        parser.add_argument("--" + name.replace("_", "-"), **keywords)
    given = parser.parse_args()
    given.points = given.points or ([(6, 3, 4, 20)] if given.quick else list(points))
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    return given


def _point(text: str) -> Point:
    time_, batch, input_size, hidden_size = (int(part) for part in text.split(","))
    return time_, batch, input_size, hidden_size


def sgemm() -> tuple[Side, float]:
    """A large product of matrices in float32, and its work in GFLOP: the floor of everything here."""
    a, b, out = (torch.randn(SGEMM, SGEMM) for _ in range(3))
    return lambda: torch.mm(a, b, out=out), 2e-9 * SGEMM**3


def alternate(sides: Mapping[str, Side], quick: bool, seconds: float = 4.0) -> dict[str, float]:
    """Median seconds of each side; they take turns. A side that returns a float has measured itself.

    A turn is a run that is not timed and one that is: otherwise a side would pay for finding its data and the threads
    as the side before left them, always the same one.

    Args:
        sides: what is run.
        quick: three rounds whatever they take.
        seconds: for all rounds together, at least seven and at most 51 of them.
    """
    times: dict[str, list[float]] = {name: [] for name in sides}
    for run in sides.values():  # buffers, compilation
        run()
    begin = time.perf_counter()
    for number in range(51):
        for name, run in sides.items():
            if not times[name] or times[name][-1] < LONG:
                run()
            start = time.perf_counter()
            own = run()
            taken = time.perf_counter() - start
            times[name].append(own if isinstance(own, float) else taken)
        if number >= (2 if quick else 6) and (quick or time.perf_counter() - begin > seconds):
            break
    return {name: statistics.median(taken) for name, taken in times.items()}


def error(found: Iterable[Tensor | None], expected: Iterable[Tensor | None]) -> float:
    """The largest difference in any tensor, as a share of the largest value of that tensor; NaN where one is NaN."""
    worst = 0.0
    for a, b in zip(found, expected, strict=True):
        if a is None or b is None:
            continue
        b = b.detach().double()
        difference = float((a.detach().double() - b).abs().max()) / max(float(b.abs().max()), 1e-30)
        worst = difference if math.isnan(difference) or difference > worst else worst
    return worst


def check(
    name: str, found: Sequence[Tensor | None], expected: Sequence[Tensor | None], allowed: float = ALLOWED
) -> float:
    """The error of outputs and gradients against float64.

    Raises:
        SystemExit: it is too large; the time of a wrong result means nothing.
    """
    worst = error(found, expected)
    if not worst <= allowed:
        raise SystemExit(f"{name} is wrong: it differs from float64 by {worst:.1e} of the largest value")
    return worst


def gradients(run: Callable[[], Tensor], inputs: Sequence[Tensor], arriving: Tensor) -> list[Tensor | None]:
    """One step of training: the outputs and the gradients of the inputs."""
    y = run()
    return [y, *torch.autograd.grad(y, list(inputs), arriving, allow_unused=True)]


def record(
    name: str, point: Point, what: str, times: Mapping[str, float], worst: float | None, gflop: float | None = None
) -> Record:
    """One line of the tables.

    Args:
        name, point, what: which cell, of which sizes, doing what.
        times: seconds of "steploom", of its peers, where there are any, and of "sgemm".
        worst: the error, where it was measured.
        gflop: the work of the products.
    """
    ours = times["steploom"]
    peers = {side: taken for side, taken in times.items() if side not in ("steploom", "sgemm")}
    fastest = min(peers, key=lambda side: peers[side], default=None)
    rate = 2e-9 * SGEMM**3 / times["sgemm"]
    return {
        "name": name,
        "point": list(point),
        "what": what,
        "milliseconds": {side: 1e3 * taken for side, taken in times.items() if side != "sgemm"},
        "fastest_peer": fastest,
        "ratio": None if fastest is None else peers[fastest] / ours,
        "ratios": {side: taken / ours for side, taken in peers.items()},
        "sgemm_gflops": rate,
        "gflops": None if gflop is None else gflop / ours,
        "share_of_sgemm": None if gflop is None else gflop / ours / rate,
        "error": worst,
    }


def show(line: Record) -> None:
    """Print a record as soon as it is there."""
    taken = "  ".join(f"{side} {value:.3g} ms" for side, value in line["milliseconds"].items())
    share = "" if line["share_of_sgemm"] is None else f"  {line['share_of_sgemm']:.0%} of sgemm"
    ratio = "" if line["ratio"] is None else f" {line['ratio']:5.2f} x {line['fastest_peer']}"
    wrong = "" if line["error"] is None else f"  error {line['error']:.0e}"
    point = ",".join(map(str, line["point"]))
    print(
        f"{line['name']:<18} {point:<15} {line['what']:<10}{ratio}{share}{wrong}  ({taken})",
        flush=True,
    )


def write(given: argparse.Namespace, name: str, records: Sequence[Record]) -> Path:
    """Write the records of a benchmark, with what they were measured on, as JSON. Those of other points that were
    measured under the same conditions stay; of the same one none does, since shares belong to figures beside them."""
    given.results.mkdir(parents=True, exist_ok=True)
    file = Path(given.results) / f"{name}.json"
    machine = {
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "kernels": core().kernels()[0],
        "torch": torch.__version__,
        "steploom": steploom.__version__,
        "quick": given.quick,
    }
    by_subject = _by_subject(_measured(file, machine)) | _by_subject(records)
    lines = [line for group in by_subject.values() for line in group]
    file.write_text(json.dumps({"benchmark": name, "machine": machine, "records": lines}, indent=1) + "\n")
    return file


def _measured(file: Path, machine: Mapping[str, object]) -> list[Record]:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return []
    return found["records"] if found["machine"] == machine else []


def _by_subject(records: Sequence[Record]) -> dict[tuple[object, ...], list[Record]]:
    found: dict[tuple[object, ...], list[Record]] = {}
    for line in records:
        # A figure of memory has no `what`; that of leaks no point.
        found.setdefault((line["name"], tuple(line.get("point", ())), line.get("what")), []).append(line)
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
