"""Writes docs/benchmarks.md from the JSON that the benchmarks left.

python benchmarks/table.py [--results FOLDER] [--page FILE]
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from measure import RESULTS, Record

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"

HEAD = """# Benchmarks

<!-- Written by benchmarks/table.py; `make bench` measures anew and writes this page. -->

float32 unless another is named. The sides of a comparison take turns in one process (JAX has its own), times are
medians in milliseconds, and no time is taken before outputs and gradients agree with float64 to 1e-4 of the largest
value. "ratio" is the time of the fastest other side over that of Steploom: below 1, Steploom lost. "of sgemm" is the
share of the rate that a large product of matrices reached in between the same runs. "error" is the largest difference
from float64. Training is a forward and a backward pass, with the gradient of the input.
"""

ABOUT = {
    "layers": (
        "Whole layers",
        "Against `torch.nn` and JAX's `lax.scan`. A point is (time, batch, input, hidden). JAX reached {jax} in a "
        "product of matrices of the same size.",
    ),
    "cells": (
        "Cells without a kernel of their own",
        "The native engine against the reference engine, which is a PyTorch loop over the cell. Lines `beside` set the "
        "peephole LSTM against the plain one, both on the native engine.",
    ),
    "lengths": (
        "Sequences of unequal lengths",
        "Training with lengths spread from a quarter of the time to all of it. `torch packed` is `PackedSequence`; the "
        "padded runs compute every step.",
    ),
    "streaming": (
        "Streaming",
        "Microseconds for one step of one sequence. `steploom` is `stream.push` with a NumPy array, `tensor` with a "
        "tensor, `kernel` the native step alone; `python` is what lies between the first and the last of these. "
        "`torch cell` is `torch.nn.LSTMCell` or `GRUCell`, `torch layer` `torch.nn.LSTM` or `GRU`, all under "
        "`inference_mode`. The last columns but one say how many times as long they take as `steploom`.",
    ),
    "memory": (
        "Memory",
        "Training of an LSTM in a fresh process; by how much the peak of its resident memory rises.",
    ),
}


def rows(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    ruled = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in ruled) + "\n"


def point(line: Record) -> str:
    """(time, batch, input, hidden) in words."""
    return ", ".join(map(str, line["point"]))


def number(value: float | None, form: Callable[[float], str]) -> str:
    """A figure, or nothing."""
    return "" if value is None else form(value)


def compared(records: Sequence[Record]) -> str:
    """The table of figures beside those of others, and the geometric means of the ratios."""
    sides = list(dict.fromkeys(side for line in records for side in line["milliseconds"]))
    head = ["cell", "T, B, I, H", "what", *sides, "ratio", "of sgemm", "error"]
    lines = [
        [
            line["name"],
            point(line),
            line["what"],
            *(number(line["milliseconds"].get(side), lambda v: f"{v:.3g}") for side in sides),
            number(line["ratio"], lambda v: f"{v:.2f}"),
            number(line.get("share_of_sgemm"), lambda v: f"{v:.0%}"),
            number(line.get("error"), lambda v: f"{v:.0e}"),
        ]
        for line in records
    ]
    return rows(head, lines) + "\n" + means(records)


def means(records: Sequence[Record]) -> str:
    """For each cell, kind of run and peer: the least ratio and the geometric mean."""
    groups: dict[tuple[str, str, str], list[float]] = {}
    for line in records:
        for peer, ratio in line["ratios"].items():
            groups.setdefault((line["name"], line["what"], peer), []).append(ratio)
    lines = [
        [*key, f"{min(ratios):.2f}", f"{math.exp(sum(map(math.log, ratios)) / len(ratios)):.2f}", str(len(ratios))]
        for key, ratios in groups.items()
        if len(ratios) > 1
    ]
    return rows(["cell", "what", "against", "least ratio", "geometric mean", "points"], lines) if lines else ""


def memory(records: Sequence[Record]) -> str:
    """The table of extra memory, and the sentence on leaks."""
    lines = [
        [
            point(r),
            str(r["checkpoint_every"] or "none"),
            f"{r['extra_mib']:.0f}",
            f"{r['memory_share']:.2f}",
            f"{r['seconds']:.2f}",
            f"{r['time_share']:.2f}",
        ]
        for r in records
        if r["name"] != "leak"
    ]
    head = ["T, B, I, H", "checkpoint_every", "MiB", "share", "seconds", "share"]
    told = [
        f"After {r['calls']} further calls of all kinds, memory had changed by {r['grown_mib']:+.1f} MiB.\n"
        for r in records
        if r["name"] == "leak"
    ]
    return rows(head, lines) + "\n" + "".join(told)


def streaming(records: Sequence[Record]) -> str:
    """The table of single steps."""
    sides, peers = list(records[0]["milliseconds"]), list(records[0]["ratios"])
    lines = [
        [
            line["name"],
            point(line),
            *(f"{1e3 * line['milliseconds'][side]:.2f}" for side in sides),
            *(f"{line['ratios'][peer]:.1f}" for peer in peers),
            f"{line['error']:.0e}",
        ]
        for line in records
    ]
    return rows(["cell", "T, B, I, H", *sides, *(f"{peer}, times" for peer in peers), "error"], lines)


def section(name: str, measured: Record) -> str:
    """One benchmark."""
    title, about = ABOUT[name]
    records, machine = measured["records"], measured["machine"]
    rates = sorted(line["sgemm_gflops"] for line in records if "sgemm_gflops" in line)
    of_jax = sorted({line["jax_sgemm_gflops"] for line in records if line.get("jax_sgemm_gflops")})
    jax = f"{of_jax[len(of_jax) // 2]:.0f} GFLOP/s" if of_jax else "no figure (it did not take part)"
    where = f"{machine['processor']}, {machine['threads']} threads, {machine['kernels']} kernels"
    where += f", PyTorch {machine['torch']}"
    floor = f"; sgemm {rates[len(rates) // 2]:.0f} GFLOP/s" if rates else ""
    body = {"memory": memory, "streaming": streaming}.get(name, compared)(records)
    return f"## {title}\n\n{about.format(jax=jax)}\n\n{where}{floor}.\n\n{body}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args()
    parts = [HEAD]
    for name in ABOUT:
        file = given.results / f"{name}.json"
        if file.exists():
            parts.append(section(name, json.loads(file.read_text(encoding="utf-8"))))
    given.page.write_text("\n".join(parts).replace("\n\n\n", "\n\n").rstrip() + "\n", encoding="utf-8")
    print(f"{given.page}: {len(parts) - 1} benchmarks")


if __name__ == "__main__":
    main()
