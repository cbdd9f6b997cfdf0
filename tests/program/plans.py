"""Compares a plan, run as it is arranged, with the reference engine."""

from __future__ import annotations

import torch
from torch import Tensor

from steploom.cells.cell import Cell
from steploom.engine.reference import run
from steploom.program.check import check, check_plan
from steploom.program.plan import Plan, make_plan
from steploom.program.prologue import gather_leaves
from steploom.program.run_plan import run_plan, run_plan_backward

__all__ = ["compare"]


def compare(cell: Cell, *, steps: int = 4, batch: int = 3, needs_dx: bool = True) -> Plan:
    """Values and gradients of the plan of a cell against those of the reference engine, in float64."""
    cell = cell.double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    plan = make_plan(cell, needs_dx)
    check(plan.program)
    check_plan(plan)
    x = torch.randn(steps, batch, cell.input_size, dtype=torch.float64, requires_grad=True)
    states = tuple(torch.randn(batch, n, dtype=torch.float64, requires_grad=True) for n in cell.states.values())
    y, finals = run(cell, x, states)
    dy, *dfinals = (torch.randn_like(part) for part in (y, *finals))
    leaves = gather_leaves(plan.program, cell)
    detached = [leaf.detach() for leaf in leaves]
    forward = run_plan(plan, detached, x.detach(), [state.detach() for state in states])
    _close("y", forward.y, y)
    for name, one, other in zip(cell.states, forward.finals, finals, strict=True):
        _close(f"the final {name}", one, other)
    loss = torch.stack([(p * d).sum() for p, d in zip((y, *finals), (dy, *dfinals), strict=True)]).sum()
    parameters = dict(cell.named_parameters())
    subjects = {"x": x, **dict(zip(cell.states, states, strict=True)), **parameters}
    expected = dict(
        zip(subjects, torch.autograd.grad(loss, list(subjects.values()), materialize_grads=True), strict=True)
    )
    found = run_plan_backward(plan, detached, forward, dy, dfinals)
    assert (found.dx is None) <= (not needs_dx or bool((expected["x"] == 0).all()))
    if found.dx is not None:
        _close("dx", found.dx, expected["x"])
    for name, one in zip(cell.states, found.dstates, strict=True):
        _close(f"d{name}", one, expected[name])
    for name, one in _through_leaves(leaves, found.leaves, parameters).items():
        _close(f"d {name}", one, expected[name])
    return plan


def _through_leaves(leaves: list[Tensor], grads: list[Tensor], parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    """The gradients of the parameters from those of the leaves, which the prologue may compute."""
    moving = [(leaf, grad) for leaf, grad in zip(leaves, grads, strict=True) if leaf.requires_grad]
    if not moving:
        return {}
    found = torch.autograd.grad(
        [leaf for leaf, _ in moving], list(parameters.values()), [grad for _, grad in moving], materialize_grads=True
    )
    return dict(zip(parameters, found, strict=True))


def _close(name: str, found: Tensor, expected: Tensor) -> None:
    scale = max(1.0, expected.abs().max().item())
    difference = (found - expected).abs().max().item()
    assert found.shape == expected.shape and difference <= 1e-12 * scale, f"{name} differs by {difference:.3g}"
