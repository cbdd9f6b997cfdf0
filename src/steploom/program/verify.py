"""Compares a program with the cell it was traced from, values and gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor

from steploom.cells.cell import Cell
from steploom.errors import UnsupportedOperation
from steploom.program.casts import Casts, is_inexact, own_dtype
from steploom.program.interpret import run_program
from steploom.program.program import Program
from steploom.program.prologue import gather_leaves
from steploom.program.replica import replica

__all__ = ["verify"]

BATCH = 4
SPREADS = (0.5, 2.0)
MANY = 500_000  # weights, above which one draw must do
# Less than rounding to float32 on the way takes away.
TOLERANCE = 2e-8


def verify(program: Program, cell: Cell) -> None:
    """Compare outputs and gradients of the program with those of the cell, on random numbers in float64.

    Raises:
        UnsupportedOperation: they differ, as they do where the step has a derivative written by hand.
    """
    generator = torch.Generator().manual_seed(0)
    named = [*cell.named_parameters(), *cell.named_buffers()]
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast("cpu", enabled=False):
        tensors = {path: _moved(tensor, generator) for path, tensor in named}
        parameters = [t for t in tensors.values() if t.requires_grad]
        with replica(cell, tensors) as stand_in:
            large = sum(tensor.numel() for tensor in tensors.values() if tensor.is_floating_point()) > MANY
            for spread in SPREADS[: 1 if large else None]:
                x, *states = _drawn(program, spread, generator)
                try:
                    with Casts() if own_dtype(cell) == torch.float32 else nullcontext():
                        try:
                            expected = stand_in(x, *states)
                        except (IndexError, RuntimeError) as error:
                            milder = _milder(str(error))
                            if milder is None:
                                raise
                            x, *states = (milder(part.detach()).requires_grad_() for part in (x, *states))
                            expected = stand_in(x, *states)
                except (IndexError, RuntimeError) as error:
                    raise UnsupportedOperation(f"the step of {program.name} cannot run in float64: {error}") from error
                subjects = [x, *states, *parameters]
                found = run_program(program, gather_leaves(program, stand_in, x), x, states)
                weights = [torch.randn(part.shape, generator=generator, dtype=torch.float64) for part in expected]
                _compare(program, "values", expected, found)
                try:
                    gradients = _gradients(expected, weights, subjects)
                except RuntimeError as error:
                    raise UnsupportedOperation(f"the step of {program.name} has no gradients: {error}") from error
                _compare(program, "gradients", gradients, _gradients(found, weights, subjects))


def _milder(error: str) -> Callable[[Tensor], Tensor] | None:
    """What makes of random numbers such that a step takes which has raised this error on them."""
    # They are taken for an index, of which 0 is one in any case.
    if "out of range" in error or "out of bounds" in error:
        return lambda numbers: numbers.abs().clamp(max=0.9)
    if "positive-definite" in error:  # a covariance, to which something is added that is not random
        return lambda numbers: 0.03 * numbers
    if "singular" in error:  # of zeros, a matrix is made that has no inverse
        return lambda numbers: numbers + torch.linspace(0.3, 1.0, numbers.numel(), dtype=numbers.dtype).view_as(numbers)
    return None


def _drawn(program: Program, spread: float, generator: torch.Generator) -> list[Tensor]:
    """An input and states. Some are 0, with which sequences begin and where many derivatives have a rule of their own;
    nearly so where features are put in order, of which PyTorch leaves open what comes first of equal ones."""
    least = 1e-3 if any(i.op == "argsort" for i in program.instructions) else 0.0
    drawn = []
    for value in (program.x, *program.states):
        numbers = torch.randn(BATCH, value.width, generator=generator, dtype=torch.float64) * spread
        nothing = slice(1, 3) if value is program.x else slice(0, 2)
        numbers[nothing] = numbers[nothing] * least + 0.0  # and not -0
        drawn.append(numbers.requires_grad_())
    return drawn


def _moved(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """The tensor in float64; constant parameters, such as peepholes that start at 0, are moved, or they would hide
    what is done with them."""
    moved = tensor.detach().to("cpu")
    if not is_inexact(moved):
        return moved
    moved = moved.to(torch.complex128 if moved.is_complex() else torch.float64).clone()
    if isinstance(tensor, torch.nn.Parameter) and moved.numel() and bool((moved == moved.flatten()[0]).all()):
        moved += 0.1 * torch.randn(moved.shape, generator=generator, dtype=moved.dtype)
    return moved.requires_grad_(isinstance(tensor, torch.nn.Parameter) or tensor.requires_grad)


def _gradients(outputs: Sequence[Tensor], weights: Sequence[Tensor], subjects: Sequence[Tensor]) -> tuple[Tensor, ...]:
    loss = torch.stack([(output * weight).sum() for output, weight in zip(outputs, weights, strict=True)]).sum()
    if not loss.requires_grad:
        return tuple(torch.zeros_like(subject) for subject in subjects)
    return torch.autograd.grad(loss, subjects, materialize_grads=True)


def _compare(program: Program, what: str, expected: Sequence[Tensor], found: Sequence[Tensor]) -> None:
    for one, other in zip(expected, found, strict=True):
        if one.shape != other.shape or not _close(one.detach(), other.detach()):
            raise UnsupportedOperation(
                f"the {what} of the traced step of {program.name} differ from those of the cell, as they do where a "
                "derivative is written by hand or a number depends on the dtype"
            )


def _close(one: Tensor, other: Tensor) -> bool:
    if not one.numel():
        return True
    difference, scale = (one - other).abs().max().item(), max(1.0, one.abs().max().item())
    if math.isfinite(difference) and math.isfinite(scale):
        return difference <= TOLERANCE * scale
    return torch.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
