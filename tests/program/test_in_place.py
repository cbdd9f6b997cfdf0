"""Writes in place, seen by all that share the memory."""

import re

import pytest
import torch
from torch import Tensor

from steploom.errors import UnsupportedOperation
from steploom.program.trace import trace
from tests.program.plans import compare
from tests.program.step import Step, step_cell

States = tuple[Tensor, ...]


def gates(s: Step, x: Tensor, h: Tensor, c: Tensor) -> States:
    z = s.input(x) + s.recurrent(h)
    z[:, :16] = z[:, :16].sigmoid()
    z[:, 16:24].tanh_()
    new = z[:, :8] * c + z[:, 8:16] * z[:, 16:24]
    return z[:, 24:] * new.tanh(), new


def new_tensor_column_by_column(s: Step, x: Tensor, h: Tensor, c: Tensor) -> States:
    out = torch.zeros(x.shape[0], 8, dtype=x.dtype)
    out[:, 0] = x[:, 1]
    out[:, 1:4] = h[:, 2:5] * c[:, 1:4]
    out[:, 5:] = 1.5
    return out + 0.1 * h, (out + c).tanh()


def empty_matrix_row_by_row(s: Step, x: Tensor, h: Tensor, c: Tensor) -> States:
    matrix = torch.empty(x.shape[0], 8, 8, dtype=x.dtype)
    for row in range(8):
        matrix[:, row] = h * c[:, row : row + 1]
    matrix[:, :, 0] += c
    return matrix.sum(1).tanh(), matrix.diagonal(dim1=1, dim2=2).tanh()


def parameter_into_a_slot(s: Step, x: Tensor, h: Tensor, c: Tensor) -> States:
    slots = h.new_zeros(h.shape[0], 2, 8)
    slots[:, 0] = h.tanh()
    slots[:, 1] = s.vector
    slots[:, 1, 2:] *= c[:, 2:]
    return slots.sum(1).tanh(), 0.5 * slots[:, 1]


def by_indices(s: Step, x: Tensor, h: Tensor, c: Tensor) -> States:
    out = h * 1
    out[:, [0, 2, 5]] = x[:, [5, 0, 2]]
    out[:, [1, 3]] = 0
    return out.tanh(), c + out


def where_the_mask_is(s: Step, x: Tensor, h: Tensor, c: Tensor) -> States:
    out = h + c
    out[out > 0] = 0.25
    return out, c


def views_of_views(s: Step, x: Tensor, h: Tensor, c: Tensor) -> States:
    z = s.recurrent(h)
    slots = z.view(-1, 4, 8)
    first = slots[:, 0]
    z *= 2
    slots[:, 1] = first + c
    first += h
    return z[:, :8].tanh(), (z[:, 8:16] + slots[:, 0]).tanh()


def transposed(s: Step, x: Tensor, h: Tensor, c: Tensor) -> States:
    turned = (c * 1).t()
    turned[2] = x[:, 0]
    other = h.clone()
    other.zero_().add_(c)
    return other.tanh(), turned.t()


def without_a_gradient(s: Step, x: Tensor, h: Tensor, c: Tensor) -> States:
    out = s.square(h) * 1
    with torch.no_grad():
        out[:, :3] = c[:, :3]
    return (out + h).tanh(), 0.5 * c + out


def overlapping(s: Step, x: Tensor, h: Tensor, c: Tensor) -> States:
    out = h + s.joined(torch.cat([x, h], -1))
    out[:, 1::2] = out[:, ::2]
    out.clamp_(min=-1)
    return out, c.clone().fill_(0.25) + c


WRITES = [gates, new_tensor_column_by_column, empty_matrix_row_by_row, parameter_into_a_slot, by_indices]
WRITES += [where_the_mask_is, views_of_views, transposed, without_a_gradient, overlapping]


@pytest.mark.parametrize("equations", WRITES)
def test_a_step_that_writes_in_place_becomes_a_program(equations) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    compare(step_cell(equations), steps=3)


def adds_where_it_points(s: Step, x: Tensor, h: Tensor, c: Tensor) -> States:
    return torch.ops.aten.index_put_(h * 1, [None, torch.tensor([0, 0])], c[:, :2], True), c


def chooses_by_numbers(s: Step, x: Tensor, h: Tensor, c: Tensor) -> States:
    out = h * 1
    out[h > 0] = c[h > 0]
    return out, c


def writes_into_a_row(s: Step, x: Tensor, h: Tensor, c: Tensor) -> States:
    out = h * 1
    out[0] = 0
    return out, c


def writes_into_a_state(s: Step, x: Tensor, h: Tensor, c: Tensor) -> States:
    h[:, 0] = 0
    return h, c


REFUSED = {
    adds_where_it_points: "'index_put_' .* it adds to what is there",
    chooses_by_numbers: "'index'|'index_put_'",
    writes_into_a_row: "rows of the batch are mixed",
    writes_into_a_state: "writes into a tensor that others see",
}


@pytest.mark.parametrize("equations", REFUSED)
def test_what_cannot_be_written_is_refused(equations) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UnsupportedOperation, match=re.compile(REFUSED[equations], re.DOTALL)):
        trace(step_cell(equations))
