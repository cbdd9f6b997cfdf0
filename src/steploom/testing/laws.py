"""The laws that a cell must keep: pairs of ways to one result.

Two ways are one where they give the same outputs, the same final states, and the same gradients of the inputs, the
initial states and every parameter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from steploom.cells.cell import Cell
from steploom.engine.choice import use_engine
from steploom.layers.recurrent import Recurrent

__all__ = ["BATCH", "LAWS", "TIME", "Law", "States", "Way", "same_as_reference"]

TIME, BATCH = 6, 4
LENGTHS = (6, 1, 0, 4)
RESETS = ((1, 0), (3, 0), (2, 1), (2, 3), (4, 3), (5, 3))

States = tuple[Tensor, ...]
Way = Callable[[Recurrent, Tensor, States], tuple[Tensor, States]]


@dataclass(frozen=True)
class Law:
    """Two ways that must give the same.

    Attributes:
        says: the law in words.
        hint: where to look when it is broken.
        one: a way from a layer, its input and its initial state to outputs and final state.
        other: the other way.
        bidirectional: whether the layer has two directions.
    """

    says: str
    hint: str
    one: Way
    other: Way
    bidirectional: bool = False


def _run(rnn: Recurrent, x: Tensor, state: States) -> tuple[Tensor, States]:
    return rnn(x, state)


def _step_by_step(rnn: Recurrent, x: Tensor, state: States) -> tuple[Tensor, States]:
    state = tuple(part[0] for part in state)
    outputs = []
    for x_t in x:
        state = rnn.cell(x_t, *state)
        outputs.append(state[0])
    return torch.stack(outputs), tuple(part[None] for part in state)


def _two_chunks(rnn: Recurrent, x: Tensor, state: States) -> tuple[Tensor, States]:
    first, state = rnn(x[:2], state)
    second, state = rnn(x[2:], state)
    return torch.cat([first, second]), state


def _row_by_row(rnn: Recurrent, x: Tensor, state: States) -> tuple[Tensor, States]:
    return _by_row(x, state, lambda row, x, state: rnn(x, state))


def _padded(rnn: Recurrent, x: Tensor, state: States) -> tuple[Tensor, States]:
    spoilt = x.clone()
    for row, length in enumerate(LENGTHS):
        spoilt[length:, row] = float("nan")
    return rnn(spoilt, state, lengths=torch.tensor(LENGTHS))


def _without_padding(rnn: Recurrent, x: Tensor, state: States) -> tuple[Tensor, States]:
    def run_row(row: int, x: Tensor, state: States) -> tuple[Tensor, States]:
        length = LENGTHS[row]
        y = x.new_zeros(len(x), 1, rnn.output_size)
        if length:
            beginning, state = rnn(x[:length], state)
            y = torch.cat([beginning, y[length:]])
        return y, state

    return _by_row(x, state, run_row)


def _with_resets(rnn: Recurrent, x: Tensor, state: States) -> tuple[Tensor, States]:
    return rnn(x, state, resets=_resets())


def _resets() -> Tensor:
    resets = torch.zeros(TIME, BATCH, dtype=torch.bool)
    for step, row in RESETS:
        resets[step, row] = True
    return resets


def _fresh_starts(rnn: Recurrent, x: Tensor, state: States) -> tuple[Tensor, States]:
    def run_row(row: int, x: Tensor, state: States) -> tuple[Tensor, States]:
        starts = [step for step, reset_row in RESETS if reset_row == row]
        outputs = []
        for start, end in pairwise([0, *starts, TIME]):
            y, state = rnn(x[start:end], None if start else state)
            outputs.append(y)
        return torch.cat(outputs), state

    return _by_row(x, state, run_row)


def _bidirectional(rnn: Recurrent, x: Tensor, state: States) -> tuple[Tensor, States]:
    return rnn(x, state, lengths=torch.tensor(LENGTHS))


def _reversed_by_hand(rnn: Recurrent, x: Tensor, state: States) -> tuple[Tensor, States]:
    directions = [Recurrent(cell) for cell in rnn.cells if isinstance(cell, Cell)]

    def run_row(row: int, x: Tensor, state: States) -> tuple[Tensor, States]:
        length = LENGTHS[row]
        outputs, finals = [], []
        for direction, layer in enumerate(directions):
            y = x.new_zeros(len(x), 1, layer.output_size)
            final = tuple(part[direction : direction + 1] for part in state)
            if length:
                part = x[:length].flip(0) if direction else x[:length]
                part, final = layer(part, final)
                y = torch.cat([part.flip(0) if direction else part, y[length:]])
            outputs.append(y)
            finals.append(final)
        return torch.cat(outputs, -1), tuple(torch.cat(parts) for parts in zip(*finals, strict=True))

    return _by_row(x, state, run_row)


def _by_row(
    x: Tensor, state: States, run_row: Callable[[int, Tensor, States], tuple[Tensor, States]]
) -> tuple[Tensor, States]:
    """Run each sequence of a batch by itself and put the results side by side."""
    outputs, finals = [], []
    for row in range(x.shape[1]):
        y, final = run_row(row, x[:, row : row + 1], tuple(part[:, row : row + 1] for part in state))
        outputs.append(y)
        finals.append(final)
    return torch.cat(outputs, 1), tuple(torch.cat(parts, 1) for parts in zip(*finals, strict=True))


def same_as_reference(engine: str) -> Law:
    """The law that an engine gives what the reference gives."""

    def on(name: str) -> Way:
        def way(rnn: Recurrent, x: Tensor, state: States) -> tuple[Tensor, States]:
            with use_engine(name):
                return rnn(x, state, lengths=torch.tensor(LENGTHS), resets=_resets())

        return way

    return Law(
        "all engines give the same",
        "This is a fault of the engine and not of the cell: please report it.",
        on(engine),
        on("reference"),
        bidirectional=True,
    )


LAWS = (
    Law(
        "a call leaves nothing behind",
        "Whatever a step must remember belongs in a state that forward takes and returns, not in an attribute.",
        _run,
        _run,
    ),
    Law(
        "a batch equals its rows one by one",
        "A step must treat each row of the batch by itself: reduce over the last dimension, never over the first.",
        _run,
        _row_by_row,
    ),
    Law(
        "a sequence equals its steps",
        "Look at what forward reads besides its arguments.",
        _run,
        _step_by_step,
    ),
    Law(
        "two chunks with carried state equal one run",
        "Whatever a step must remember belongs in a state that forward takes and returns, not in an attribute.",
        _run,
        _two_chunks,
    ),
    Law(
        "padding never changes a result",
        "Look at operations whose gradient is not finite at an input or a state of 0.",
        _padded,
        _without_padding,
    ),
    Law(
        "a reset equals a fresh start",
        "Look at initial_state: it must give the same for each row of every batch.",
        _with_resets,
        _fresh_starts,
    ),
    Law(
        "the reversed direction equals running on reversed data",
        "Look at the constructor: a cell built with the same arguments must be of the same kind.",
        _bidirectional,
        _reversed_by_hand,
        bidirectional=True,
    ),
)
