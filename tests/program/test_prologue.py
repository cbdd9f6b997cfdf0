"""Leaves: parameters in place, and what is computed from them once a call."""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call

from steploom.cells.lstm import LSTMCell
from steploom.program.interpret import run_program
from steploom.program.program import MatrixView, Program
from steploom.program.prologue import gather_leaves
from steploom.program.trace import trace
from tests.program.step import Step, step_cell


def same(program: Program, cell: Step) -> None:
    x, h, c = torch.randn(3, 6).double(), torch.randn(3, 8).double(), torch.randn(3, 8).double()
    for found, expected in zip(
        run_program(program, gather_leaves(program, cell), x, (h, c)), cell(x, h, c), strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_parameters_are_handed_over_as_they_are() -> None:
    cell = LSTMCell(3, 4)
    program = trace(cell)
    assert program.prologue is None
    assert [leaf.path for leaf in program.leaves] == [
        "input.weight",
        "input.bias",
        "recurrent.weight",
        "recurrent.bias",
    ]
    for leaf, tensor in zip(program.leaves, gather_leaves(program, cell), strict=True):
        assert tensor is cell.get_parameter(leaf.path or "")


def test_transposes_and_parts_of_weights_are_views() -> None:
    program = trace(step_cell(lambda s, x, h, c: (h @ s.square.weight, x @ s.joined.weight[:, :6].T)))
    assert program.prologue is None
    views = [i.args[1].view for i in program.instructions if i.op == "product"]
    assert views == [MatrixView(0, 0, 8, 0, 8, True), MatrixView(1, 0, 8, 0, 6)]


def test_heads_are_views_of_one_leaf_that_is_seen_as_a_matrix() -> None:
    cell = step_cell(lambda s, x, h, c: (torch.einsum("bhd,hed->bhe", h.unflatten(-1, (2, 4)), s.heads).flatten(1), c))
    program = trace(cell)
    assert program.prologue is None
    assert program.leaves[0].shape == (8, 4)
    assert gather_leaves(program, cell)[0].data_ptr() == cell.heads.data_ptr()
    same(program, cell)


def test_what_is_computed_from_parameters_stands_in_the_prologue_and_moves_with_them() -> None:
    cell = step_cell(lambda s, x, h, c: (s.weight_norm(h) * s.vector.exp(), c * s.mask))
    program = trace(cell)
    assert program.prologue is not None
    same(program, cell)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(0.3)
        cell.mask.logical_not_()
    same(program, cell)
    text = str(program)
    assert "once a call:" in text
    assert "exp" in text


def test_the_prologue_is_differentiated() -> None:
    cell = step_cell(lambda s, x, h, c: (h * s.vector.exp(), c))
    (leaf,) = gather_leaves(trace(cell), cell)
    (grad,) = torch.autograd.grad(leaf.sum(), [cell.vector])
    torch.testing.assert_close(grad, cell.vector.exp())


def test_tensors_in_the_place_of_parameters_are_seen() -> None:
    cell = LSTMCell(3, 4)
    program = trace(cell)

    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = cell

        def forward(self) -> list[torch.Tensor]:
            return gather_leaves(program, self.cell)

    others = {f"cell.{name}": torch.randn_like(parameter) for name, parameter in cell.named_parameters()}
    found = functional_call(Holder(), others, ())
    assert all(one is other for one, other in zip(found, others.values(), strict=True))
    with pytest.raises(AssertionError):
        assert gather_leaves(program, cell)[0] is others["cell.input.weight"]


def test_a_program_serves_every_cell_of_its_kind() -> None:
    cell = step_cell(lambda s, x, h, c: (s.norm(s.joined(torch.cat([x, h], -1))), c.tanh() * s.vector.sigmoid()))
    program = trace(cell)
    other = copy.deepcopy(cell)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.normal_()
    same(program, other)


def test_the_cell_is_left_as_it_was() -> None:
    cell = LSTMCell(3, 4)
    before = dict(cell.named_parameters())
    trace(cell)
    assert all(parameter is before[name] for name, parameter in cell.named_parameters())
    assert all(parameter.grad is None for parameter in cell.parameters())


def test_parameters_that_do_not_lie_in_order_are_read_in_order() -> None:
    """PyTorch's weight norm and reshapes do something else, or nothing, on tensors that are not contiguous."""
    cell = LSTMCell(4, 4).double()
    torch.nn.utils.parametrizations.weight_norm(cell.recurrent, "weight")
    program = trace(cell)
    original = cell.recurrent.parametrizations.weight.original1
    original.data = original.data.t().contiguous().t()
    assert not original.is_contiguous()
    x, h, c = (torch.randn(3, 4).double() for _ in range(3))
    found = run_program(program, gather_leaves(program, cell), x, (h, c))
    torch.testing.assert_close(tuple(found), cell(x, h, c))
    found[0].sum().backward()
