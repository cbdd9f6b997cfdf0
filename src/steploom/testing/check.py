"""`check_cell`: does a cell keep the laws (`laws.py`) that every layer, engine and task relies on?"""

from __future__ import annotations

import copy
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.func import functional_call

from steploom.cells.cell import Cell, check_declaration, converted, probe
from steploom.engine import aten
from steploom.engine.choice import use_engine
from steploom.engine.compiled import Compiled, compiled_cell
from steploom.errors import CellError
from steploom.layers.recurrent import Recurrent
from steploom.program.casts import Casts, dtype_name, own_dtype
from steploom.testing.agreement import check_native
from steploom.testing.laws import BATCH, LAWS, TIME, Law, same_as_reference
from steploom.testing.measure import measure

__all__ = ["check_cell"]

# The largest difference allowed, as a share of the largest value that is compared or of 1.
TOLERANCES = {torch.float64: 1e-9, torch.float32: 5e-5}

# Of the finite differences in float64: the step, and the difference allowed as a share of the derivative or of 1.
STEP = 1e-5
GRADIENT_TOLERANCE = 1e-6


def check_cell(cell: Cell, *, seed: int = 0) -> None:
    """Check a cell, a user's own above all, against everything that the layers rely on.

    Checked are its declaration; that all engines that can run it agree, in float64 and float32, the native engine with
    every build of its kernels that this processor has; its gradients against finite differences; and the laws: a call
    leaves nothing behind, a sequence is its steps, a batch is its rows, two chunks with carried state are one run,
    padding changes nothing, a reset is a fresh start, and the reversed direction is a run over reversed data. The
    cell itself is left as it was: copies are checked, in the mode that the cell is in, so put a cell that draws random
    numbers in training into `eval()` first.

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
                _check_law(same_as_reference(engine), subject, engine, dtype)
                for law in LAWS:
                    _check_law(law, subject, engine, dtype)
            if native and dtype == torch.float64:
                check_native(subject)
        with Casts() if own_dtype(cell) == torch.float32 else nullcontext():
            _check_gradients(_restless(cell, torch.float64))


def _restless(cell: Cell, dtype: torch.dtype) -> Cell:
    """A copy whose constant parameters are moved: peepholes that start at 0, say, would hide what is done with them."""
    moved = converted(copy.deepcopy(cell), dtype)
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
            f"{type(cell).__name__} cannot run in {dtype_name(dtype)}: {error}. "
            "Make new tensors in the dtype of an argument, as torch.zeros_like(h) does."
        ) from error


def _check_law(law: Law, cell: Cell, engine: str, dtype: torch.dtype) -> None:
    rnn = Recurrent(cell, bidirectional=law.bidirectional)
    with use_engine(engine):
        warm_up = torch.randn(3, BATCH, rnn.input_size, dtype=dtype)
        state = tuple(part.detach() for part in rnn(warm_up)[1])
        x = torch.randn(TIME, BATCH, rnn.input_size, dtype=dtype)
        loss_weights = [torch.randn(TIME, BATCH, rnn.output_size, dtype=dtype), *(torch.randn_like(s) for s in state)]
        try:
            one = measure(law.one, rnn, x, state, loss_weights)
            other = measure(law.other, rnn, x, state, loss_weights)
        except (IndexError, RuntimeError, ValueError) as error:
            raise CellError(
                f"{type(cell).__name__} breaks the law '{law.says}' ({engine} engine, {dtype_name(dtype)}): its step "
                f"raises {type(error).__name__}: {error}. {law.hint}"
            ) from error
    scale = max(1.0, *(value.abs().max().item() for value in other.values() if value.numel()))
    allowed = TOLERANCES[dtype] * scale
    differences = {name: _difference(one[name], value) for name, value in other.items()}
    worst = max(differences, key=lambda name: differences[name])
    if not differences[worst] <= allowed:
        raise CellError(
            f"{type(cell).__name__} breaks the law '{law.says}' ({engine} engine, {dtype_name(dtype)}): {worst} differ "
            f"by up to {differences[worst]:.3g}, allowed are {allowed:.1g}. {law.hint}"
        )


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

        def slope(step: float, name: str = name, value: Tensor = value, direction: Tensor = direction) -> float:
            ahead, behind = (loss(inputs | {name: value + by * direction}).item() for by in (step, -step))
            return (ahead - behind) / (2 * step)

        expected = slope(STEP)
        found = (gradient.conj() * direction).sum().real.item()
        if not _agree(found, expected):
            # Where the step curves much, two slopes tell together what neither does.
            expected = (4 * expected - slope(2 * STEP)) / 3
        if not _agree(found, expected):
            raise CellError(
                f"{type(cell).__name__} breaks the law 'gradients equal finite differences': along a random direction, "
                f"the gradient of {name} is {found:.9g} and the finite difference {expected:.9g}. "
                "Look at operations whose backward pass was written by hand, and at detach and no_grad."
            )


def _agree(found: float, expected: float) -> bool:
    return abs(found - expected) <= GRADIENT_TOLERANCE * max(1.0, abs(expected))
