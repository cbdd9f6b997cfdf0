"""Cells that no library has a kernel for: the native engine against the reference engine, in training.

    python benchmarks/cells.py

The last cell is invented at random from the operations that a program may have. The peephole LSTM is measured against
the plain LSTM too, both on the native engine: what a change of the equations costs.
"""

from __future__ import annotations

from collections.abc import Callable

import measure
import torch
from invented import InventedCell
from torch import Tensor, nn

from steploom import Cell, Recurrent
from steploom.cells.registry import make_cell

POINTS = [(100, 32, 64, 128), (100, 1, 64, 128)]
NAMED = ("lstm-peephole", "lstm-layernorm", "gru-reset-before", "slstm")


def trained(rnn: Recurrent, x: Tensor, arriving: Tensor) -> Callable[[], list[Tensor | None]]:
    """A step of training of a layer."""
    parameters = list(rnn.parameters())
    return lambda: measure.gradients(lambda: rnn(x)[0], [x, *parameters], arriving)


def measured(name: str, cell: Cell, point: measure.Point, quick: bool) -> measure.Record:
    """One cell on both engines."""
    time, batch, input_size, hidden_size = point
    for parameter, value in cell.named_parameters():
        if "peephole" in parameter:
            nn.init.normal_(value, std=0.3)
    ours = Recurrent(cell, engine="native")
    x = torch.randn(time, batch, input_size, requires_grad=True)
    arriving = torch.randn(time, batch, hidden_size)
    reference = Recurrent(cell.like(), engine="reference")
    reference.load_state_dict(ours.state_dict())
    exact = Recurrent(cell.like(), engine="reference").double()
    exact.load_state_dict(ours.state_dict())
    expected = trained(exact, x.detach().double().requires_grad_(), arriving.double())()
    sides: dict[str, measure.Side] = {
        "steploom": trained(ours, x, arriving),
        "reference": trained(reference, x, arriving),
        "sgemm": measure.sgemm()[0],
    }
    # Layer normalisation of small numbers loses digits in float32, whoever computes it.
    allowed = max(measure.ALLOWED, 4 * measure.error(trained(reference, x, arriving)(), expected))
    worst = measure.check(f"{name} {point}", trained(ours, x, arriving)(), expected, allowed)
    return measure.record(name, point, "training", measure.alternate(sides, quick), worst)


def peephole_against_plain(point: measure.Point, quick: bool) -> measure.Record:
    """How much longer the peephole LSTM takes than the plain one; the equality of both is asserted elsewhere."""
    time, batch, input_size, hidden_size = point
    x = torch.randn(time, batch, input_size, requires_grad=True)
    arriving = torch.randn(time, batch, hidden_size)
    sides: dict[str, measure.Side] = {"sgemm": measure.sgemm()[0]}
    for side, name in (("steploom", "lstm-peephole"), ("plain lstm", "lstm")):
        sides[side] = trained(Recurrent(make_cell(name, input_size, hidden_size), engine="native"), x, arriving)
    return measure.record("lstm-peephole", point, "beside", measure.alternate(sides, quick), None)


def main() -> None:
    given = measure.options((__doc__ or "").partition("\n")[0], POINTS)
    records = []
    for point in given.points:
        cells = [(name, make_cell(name, point[2], point[3])) for name in NAMED]
        cells.append(("invented", InventedCell(point[2], point[3], seed=0)))
        for name, cell in cells:
            records.append(measured(name, cell, point, given.quick))
            measure.show(records[-1])
        records.append(peephole_against_plain(point, given.quick))
        measure.show(records[-1])
    measure.write(given, "cells", records)


if __name__ == "__main__":
    main()
