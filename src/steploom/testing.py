"""`check_cell`: does a cell keep the laws that every layer, engine and task relies on?

A law says that two ways to the same result are one: the same outputs, the same final states, and the same gradients of
the inputs, the initial states and every parameter.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.func import functional_call

from steploom.agreement import check_native
from steploom.cells.cell import Cell, check_declaration, probe
from steploom.engine import aten
from steploom.engine.choice import use_engine
from steploom.engine.compiled import Compiled, compiled_cell
from steploom.errors import CellError
from steploom.layers.recurrent import Recurrent

__all__ = ["check_cell"]

TIME, BATCH = 6, 4
LENGTHS = (6, 1, 0, 4)
RESETS = ((1, 0), (3, 0), (2, 1), (2, 3), (4, 3), (5, 3))

# The largest difference allowed, as a share of the largest value that is compared or of 1.
TOLERANCES = {torch.float64: 1e-9, torch.float32: 5e-5}

# Of the finite differences in float64: the step, and the difference allowed as a share of the derivative or of 1.
STEP = 1e-5
GRADIENT_TOLERANCE = 1e-6

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


def check_cell(cell: Cell, *, seed: int = 0) -> None:
    """Check a cell, a user's own above all, against everything that the layers rely on.

    Checked are its declaration; that all engines that can run it agree, in float64 and float32, the native engine with
    every build of its kernels that this processor has; its gradients against
    finite differences; and the laws: a call leaves nothing behind, a sequence is its steps, a batch is its rows, two
    chunks with carried state are one run, padding changes nothing, a reset is a fresh start, and the reversed direction
    is a run over reversed data. The cell itself is left as it was: copies are checked, in the mode that the cell is in,
    so put a cell that draws random numbers in training into `eval()` first.

    Args:
        cell: the cell. Small sizes are enough, and quick.
        seed: of the random inputs.

    Raises:
        CellError: names the law that is broken, the value that differs and by how much.
    """
    check_declaration(cell)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe(cell)
        for dtype in TOLERANCES:
            subject = _restless(cell, dtype)
            _check_dtype(subject, dtype)
            native = isinstance(compiled_cell(subject), Compiled)
            engines = ["reference", *["native"] * native, *["aten"] * (aten.why_not(subject) is None)]
            for law in LAWS:
                _check_law(law, subject, "reference", dtype)
            for engine in engines[1:]:
                # First of all: where an engine differs, the hints of the other laws would blame the cell.
                _check_law(_same_as_reference(engine), subject, engine, dtype)
                for law in LAWS:
                    _check_law(law, subject, engine, dtype)
            if native and dtype == torch.float64:
                check_native(subject)
        _check_gradients(_restless(cell, torch.float64))


def _restless(cell: Cell, dtype: torch.dtype) -> Cell:
    """A copy whose constant parameters are moved: peepholes that start at 0, say, would hide what is done with them."""
    moved = copy.deepcopy(cell).to(dtype)
    with torch.no_grad():
        for parameter in moved.parameters():
            if parameter.numel() and (parameter == parameter.flatten()[0]).all():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return moved


def _check_dtype(cell: Cell, dtype: torch.dtype) -> None:
    try:
        probe(cell)
    except RuntimeError as error:
        raise CellError(
            f"{type(cell).__name__} cannot run in {_name(dtype)}: {error}. "
            "Make new tensors in the dtype of an argument, as torch.zeros_like(h) does."
        ) from error


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _check_law(law: Law, cell: Cell, engine: str, dtype: torch.dtype) -> None:
    rnn = Recurrent(cell, bidirectional=law.bidirectional)
    with use_engine(engine):
        warm_up = torch.randn(3, BATCH, rnn.input_size, dtype=dtype)
        state = tuple(part.detach() for part in rnn(warm_up)[1])
        x = torch.randn(TIME, BATCH, rnn.input_size, dtype=dtype)
        loss_weights = [torch.randn(TIME, BATCH, rnn.output_size, dtype=dtype), *(torch.randn_like(s) for s in state)]
        one = _measure(law.one, rnn, x, state, loss_weights)
        other = _measure(law.other, rnn, x, state, loss_weights)
    scale = max(1.0, *(value.abs().max().item() for value in other.values() if value.numel()))
    allowed = TOLERANCES[dtype] * scale
    differences = {name: _difference(one[name], value) for name, value in other.items()}
    worst = max(differences, key=lambda name: differences[name])
    if not differences[worst] <= allowed:
        raise CellError(
            f"{type(cell).__name__} breaks the law '{law.says}' ({engine} engine, {_name(dtype)}): {worst} differ by "
            f"up to {differences[worst]:.3g}, allowed are {allowed:.1g}. {law.hint}"
        )


def _measure(way: Way, rnn: Recurrent, x: Tensor, state: States, loss_weights: list[Tensor]) -> dict[str, Tensor]:
    """What a way gives: outputs, final states, and the gradients of a random mixture of them."""
    x, *leaves = (part.clone().requires_grad_() for part in (x, *state))
    named = {name: parameter for name, parameter in rnn.named_parameters() if parameter.requires_grad}
    y, final = way(rnn, x, tuple(leaves))
    names = list(rnn.cell.states)
    values = dict(zip(["outputs", *(f"final states `{name}`" for name in names)], (y, *final), strict=True))
    subjects = dict(zip(["x", *(f"initial states `{name}`" for name in names)], (x, *leaves), strict=True)) | named
    loss = sum(((w * value).sum() for w, value in zip(loss_weights, values.values(), strict=True)), x.new_zeros(()))
    gradients = torch.autograd.grad(loss, list(subjects.values()), materialize_grads=True)
    for name, gradient in zip(subjects, gradients, strict=True):
        values[f"gradients of {name}"] = gradient
    return {name: value.detach() for name, value in values.items()}


def _difference(one: Tensor, other: Tensor) -> float:
    """The largest difference; infinite where shapes differ or a value is not finite."""
    if one.shape != other.shape:
        return float("inf")
    largest = (one - other).abs().max().item() if one.numel() else 0.0
    return largest if largest == largest else float("inf")


def _check_gradients(cell: Cell) -> None:
    """Compare the gradient along a random direction of each input with a finite difference, in float64.

    This is the fast mode of torch.autograd.gradcheck: its time does not grow with the number of weights.
    """
    rnn = Recurrent(cell, engine="reference")
    x = torch.randn(3, BATCH, rnn.input_size, dtype=torch.float64)
    state = tuple(part.detach() for part in rnn(x)[1])
    names = [name for name, parameter in rnn.named_parameters() if parameter.requires_grad]
    inputs = {"x": x} | {f"initial states `{name}`": part for name, part in zip(cell.states, state, strict=True)}
    inputs |= {name: rnn.get_parameter(name).detach() for name in names}
    loss_weights = [torch.randn(3, BATCH, rnn.output_size, dtype=torch.float64), *map(torch.randn_like, state)]

    def loss(values: dict[str, Tensor]) -> Tensor:
        x, *state = list(values.values())[: 1 + len(cell.states)]
        y, final = functional_call(rnn, {name: values[name] for name in names}, (x, tuple(state)))
        return torch.stack([(w * part).sum() for w, part in zip(loss_weights, (y, *final), strict=True)]).sum()

    leaves = {name: value.clone().requires_grad_() for name, value in inputs.items()}
    gradients = torch.autograd.grad(loss(leaves), list(leaves.values()), materialize_grads=True)
    for (name, value), gradient in zip(inputs.items(), gradients, strict=True):
        direction = torch.randn_like(value)
        ahead, behind = (loss(inputs | {name: value + step * direction}).item() for step in (STEP, -STEP))
        expected = (ahead - behind) / (2 * STEP)
        found = (gradient * direction).sum().item()
        if not abs(found - expected) <= GRADIENT_TOLERANCE * max(1.0, abs(expected)):
            raise CellError(
                f"{type(cell).__name__} breaks the law 'gradients equal finite differences': along a random direction, "
                f"the gradient of {name} is {found:.9g} and the finite difference {expected:.9g}. "
                "Look at operations whose backward pass was written by hand, and at detach and no_grad."
            )


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
    resets = torch.zeros(TIME, BATCH, dtype=torch.bool)
    for step, row in RESETS:
        resets[step, row] = True
    return rnn(x, state, resets=resets)


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


def _same_as_reference(engine: str) -> Law:
    def on(name: str) -> Way:
        def way(rnn: Recurrent, x: Tensor, state: States) -> tuple[Tensor, States]:
            resets = torch.zeros(TIME, BATCH, dtype=torch.bool)
            for step, row in RESETS:
                resets[step, row] = True
            with use_engine(name):
                return rnn(x, state, lengths=torch.tensor(LENGTHS), resets=resets)

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
