"""Whole layers in float32 against torch.nn and, in a process of its own, JAX's lax.scan: training and inference.

    python benchmarks/layers.py [--jax-python PATH/python]

JAX takes part where `--jax-python` names an interpreter that has it. It is not imported here: the two runtimes would
fight for the processors. Without JAX, the peephole LSTM has no peer, and its lines have no ratio.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import jax_side
import measure
import torch
from torch import Tensor, nn

from steploom import Recurrent
from steploom.cells.registry import make_cell

PEERS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN, "lstm-peephole": None}
GATES = {"lstm": 4, "gru": 3, "rnn": 1, "lstm-peephole": 4}
IN_JAX = ("lstm", "gru", "lstm-peephole")
TORCH_NAMES = {
    "weight_ih_l0": "input.weight",
    "weight_hh_l0": "recurrent.weight",
    "bias_ih_l0": "input.bias",
    "bias_hh_l0": "recurrent.bias",
}


def measured(name: str, point: measure.Point, quick: bool, jax: jax_side.Jax | None) -> Iterator[measure.Record]:
    """Training and inference of one cell at one point."""
    time, batch, input_size, hidden_size = point
    ours = Recurrent(make_cell(name, input_size, hidden_size), engine="native")
    if name == "lstm-peephole":
        for parameter, value in ours.cell.named_parameters():
            if parameter.startswith("peephole"):
                nn.init.normal_(value, std=0.3)
    x = torch.randn(time, batch, input_size, requires_grad=True)
    arriving = torch.randn(time, batch, hidden_size)
    parameters = list(ours.parameters())

    def train_ours() -> list[Tensor | None]:
        return measure.gradients(lambda: ours(x)[0], [x, *parameters], arriving)

    exact = Recurrent(make_cell(name, input_size, hidden_size), engine="reference").double()
    exact.load_state_dict(ours.state_dict())
    x64 = x.detach().double().requires_grad_()
    expected = measure.gradients(lambda: exact(x64)[0], [x64, *exact.parameters()], arriving.double())
    worst = measure.check(f"steploom {name} {point}", train_ours(), expected)
    with torch.no_grad():
        worst_inference = measure.check(f"steploom {name} {point}", [ours(x)[0]], expected[:1])

    floor, _ = measure.sgemm()
    training: dict[str, measure.Side] = {"steploom": train_ours, "sgemm": floor}
    inference: dict[str, measure.Side] = {"steploom": lambda: ours(x), "sgemm": floor}
    if (kind := PEERS[name]) is not None:
        theirs = kind(input_size, hidden_size)
        state = ours.cell.state_dict()
        theirs.load_state_dict({key: state[value] for key, value in TORCH_NAMES.items()})
        names = [TORCH_NAMES[key] for key, _ in theirs.named_parameters()]
        order = [key for key, _ in ours.cell.named_parameters()]

        def train_theirs() -> list[Tensor | None]:
            return measure.gradients(lambda: theirs(x)[0], [x, *theirs.parameters()], arriving)

        found = train_theirs()
        by_name = dict(zip(names, found[2:], strict=True))
        measure.check(f"torch {name} {point}", [*found[:2], *(by_name[key] for key in order)], expected)
        training["torch"] = train_theirs
        inference["torch"] = lambda: theirs(x)
    jax_gflops = None
    if jax is not None and name in IN_JAX:
        order = [key for key, _ in ours.cell.named_parameters()]
        got = jax.load(name, x, arriving, ours.cell)
        measure.check(f"jax {name} {point}", [got["y"], got["x"], *(got[key] for key in order)], expected)
        training["jax"], inference["jax"] = jax.train, jax.infer
        jax_gflops = jax.sgemm()
    gflop = 2e-9 * time * batch * GATES[name] * hidden_size * (input_size + hidden_size)
    for what, sides, wrong, times_work in (
        ("training", training, worst, 3),
        ("inference", inference, worst_inference, 1),
    ):
        with torch.no_grad() if what == "inference" else contextlib.nullcontext():
            taken = measure.alternate(sides, quick)
        yield measure.record(name, point, what, taken, wrong, gflop * times_work) | {"jax_sgemm_gflops": jax_gflops}


def main() -> None:
    given = measure.options(
        (__doc__ or "").partition("\n")[0],
        measure.GRID,
        jax_python={"type": Path, "help": "an interpreter that has JAX"},
        cells={"nargs": "+", "choices": list(PEERS), "default": list(PEERS), "help": "default: all"},
    )
    records = []
    jax = None if given.jax_python is None else jax_side.Jax(given.jax_python, given.threads)
    try:
        for name in given.cells:
            for point in given.points:
                for line in measured(name, point, given.quick, jax):
                    measure.show(line)
                    records.append(line)
    finally:
        if jax is not None:
            jax.close()
    measure.write(given, "layers", records)


if __name__ == "__main__":
    main()
