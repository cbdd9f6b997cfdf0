"""A plan run as it is arranged equals the cell, step by step, and autograd through it."""

import pytest
import torch

from steploom.cells.cell import Cell
from steploom.cells.registry import cell_names, make_cell
from steploom.engine.reference import run
from steploom.program.check import check
from steploom.program.check import check_plan as check_plan_form
from steploom.program.plan import make_plan
from steploom.program.run_plan import run_plan, run_plan_backward


def check_plan(cell: Cell, *, steps: int = 5, batch: int = 3, needs_dx: bool = True) -> None:
    """Values and gradients of the plan against those of the reference engine, in float64."""
    cell = cell.double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    plan = make_plan(cell, needs_dx)
    check(plan.program)
    check_plan_form(plan)
    x = torch.randn(steps, batch, cell.input_size, dtype=torch.float64, requires_grad=True)
    states = tuple(torch.randn(batch, n, dtype=torch.float64, requires_grad=True) for n in cell.states.values())
    y, finals = run(cell, x, states)
    dy, *dfinals = (torch.randn_like(part) for part in (y, *finals))
    leaves = plan.program.gather_leaves(cell)
    detached = [leaf.detach() for leaf in leaves]
    forward = run_plan(plan, detached, x.detach(), [state.detach() for state in states])
    close(forward.y, y)
    for one, other in zip(forward.finals, finals, strict=True):
        close(one, other)
    loss = (y * dy).sum() + torch.stack([(f * d).sum() for f, d in zip(finals, dfinals, strict=True)]).sum()
    parameters = list(cell.parameters())
    expected = torch.autograd.grad(loss, [x, *states, *parameters], materialize_grads=True)
    found = run_plan_backward(plan, detached, forward, dy, dfinals)
    moving = [(leaf, grad) for leaf, grad in zip(leaves, found.leaves, strict=True) if leaf.requires_grad]
    of_parameters = torch.autograd.grad(
        [leaf for leaf, _ in moving], parameters, [grad for _, grad in moving], materialize_grads=True
    )
    dx = torch.zeros_like(x) if found.dx is None else found.dx
    if needs_dx:
        close(dx, expected[0])
    for one, other in zip((*found.dstates, *of_parameters), expected[1:], strict=True):
        close(one, other)


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("sizes", [(3, 4), (1, 5), (6, 1)])
@pytest.mark.parametrize("name", cell_names())
def test_the_plan_equals_the_cell(name: str, sizes: tuple[int, int]) -> None:
    torch.manual_seed(0)
    check_plan(make_cell(name, *sizes))
