"""What a program cannot say exactly is refused, and the message names the operation and the line."""

import inspect
import random
import re

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from steploom.cells.cell import Cell
from steploom.errors import CellError, UnsupportedOperation
from steploom.program.trace import trace
from tests.program.step import Step, step_cell

OUTSIDE = torch.ones(8, dtype=torch.float64)


class Straight(torch.autograd.Function):
    """A derivative written by hand."""

    @staticmethod
    def forward(ctx, a):
        return a.sign()

    @staticmethod
    def backward(ctx, g):
        return g


def writes_an_attribute(s: Step, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    s.last = h
    return h, c


def grows_a_list(s: Step, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    s.__dict__.setdefault("seen", []).append(1)
    return h, c


def grows_a_list_within(s: Step, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    s.notes["gates"][0].append(h)  # type: ignore[index]
    return h, c


def writes_a_part(s: Step, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    part = h[:, :2]
    part.zero_()
    return h, c


def changes_its_argument(s: Step, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    return h.mul_(2), c


def changes_a_buffer(s: Step, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    s.mask.logical_not_()
    return h, c


REFUSED = {
    "dropout": (lambda s, x, h, c: (s.dropout(h), c), "'bernoulli_' .* draws random numbers"),
    "random numbers": (lambda s, x, h, c: (h + torch.randn_like(h), c), "'randn_like' .* draws random numbers"),
    "new random numbers": (lambda s, x, h, c: (h + torch.rand(h.shape[0], 8), c), "'rand' draws random numbers"),
    "Python's random": (lambda s, x, h, c: (h * random.random(), c), "differs from call to call"),
    "if": (lambda s, x, h, c: (h if s.vector[0] > 0 else c, c), "reads a number out of a tensor"),
    "if on a state": (lambda s, x, h, c: (h if h[0, 0] > 0 else c, c), "rows of the batch are mixed"),
    "if on a buffer": (lambda s, x, h, c: (h if s.mask.tolist()[0] else c, c), "reads a number out of a tensor"),
    "float": (lambda s, x, h, c: (h * float(s.scalar), c), "reads a number out of a tensor"),
    "list": (lambda s, x, h, c: (h * h.tolist()[0][0], c), "reads a number out of a tensor"),
    "NumPy": (lambda s, x, h, c: (h * h.detach().numpy().sum(), c), "reads a number out of a tensor"),
    "mean over the batch": (lambda s, x, h, c: (h - h.mean(0), c), "'mean' .* mixes the rows of the batch"),
    "batch norm": (lambda s, x, h, c: (F.batch_norm(h, None, None, training=True), c), "batch_norm"),
    "product over the batch": (lambda s, x, h, c: (h @ h.T @ c, c), "'mm' .* mixes the rows"),
    "flip of the batch": (lambda s, x, h, c: (h.flip(0), c), "'flip' .* rows of the batch are mixed"),
    "sum along the batch": (lambda s, x, h, c: (h.cumsum(0), c), "'cumsum' .* rows of the batch are mixed"),
    "size of the batch": (lambda s, x, h, c: (h * h.shape[0], c), "with the number of rows in the batch"),
    "sort of the batch": (lambda s, x, h, c: (h.sort(0).values, c), "'sort' .* mixes the rows of the batch"),
    "largest of all": (lambda s, x, h, c: (h * h.argmax().to(h.dtype), c), "'argmax' .* mixes the rows of the batch"),
    "features by an index of parameters": (
        lambda s, x, h, c: (h[:, s.vector.argsort()], c),
        "'index' .* its index is computed from parameters, which may change",
    ),
    "added by an index of parameters": (
        lambda s, x, h, c: (h.index_add(1, s.vector.argsort(), c), c),
        "'index_add' .* its index is computed from parameters",
    ),
    "a foreign tensor a row at a time": (
        lambda s, x, h, c: (torch.vmap(lambda u: u * OUTSIDE * s.scalar)(h), c),
        "'mul' reads a tensor that is neither",
    ),
    "eigenvalues": (lambda s, x, h, c: (torch.linalg.eigvalsh(h.view(-1, 2, 2, 2)).flatten(1), c), "in the table"),
    "vmap": (
        lambda s, x, h, c: (torch.vmap(lambda u: u + torch.linalg.eigvalsh(u.view(2, 2, 2)).flatten().repeat(2))(h), c),
        "runs within torch.vmap .* not in the table .* Write it for the whole",
    ),
    "features by an index of the row": (lambda s, x, h, c: (h[:, h.argmax(-1)], c), "'index' .* use torch.gather"),
    "scattered sums": (
        lambda s, x, h, c: (h.scatter(-1, h.argsort(-1), c, reduce="add"), c),
        "'scatter' .* reduce='add'",
    ),
    "scattered over another size": (
        lambda s, x, h, c: (h.view(-1, 4, 2).scatter(2, c.view(-1, 4, 2)[:, :3].argsort(2), 1.0).flatten(1), c),
        "'scatter' .* other sizes",
    ),
    "sparse gradients": (
        lambda s, x, h, c: (F.embedding(h.argmax(-1), s.square.weight, sparse=True), c),
        "'embedding' .* sparse",
    ),
    "columns of a table": (
        lambda s, x, h, c: (s.square.weight.index_select(1, h.argmax(-1)).T, c),
        "'index_select' .* of a parameter take rows",
    ),
    "an index as a state": (lambda s, x, h, c: (h.argsort(-1), c), "state `h` is of type int64.*Write .to"),
    "windows that reach out": (
        lambda s, x, h, c: (F.max_pool1d(h[:, None], 3, 2, ceil_mode=True)[:, 0].repeat(1, 2), c),
        "different sizes or gaps",
    ),
    "windows without what pads them": (
        lambda s, x, h, c: (F.avg_pool1d(h[:, None], 3, 1, 1, count_include_pad=False)[:, 0], c),
        "'avg_pool2d' .* different sizes",
    ),
    "a new tensor that is the same for all": (
        lambda s, x, h, c: (h * torch.zeros(8).expand(len(h), 8).clone().add_(h), c),
        "'add_' .* a new tensor that has no row for each",
    ),
    "a new tensor with the batch within": (
        lambda s, x, h, c: (h * torch.zeros(2, len(h), 8).copy_(h)[0], c),
        "'copy_' .* a new tensor that has no row for each",
    ),
    "features written by an index of the row": (
        lambda s, x, h, c: (s.recurrent(h)[:, :8].clone().index_put_((0 * c.long(),), h.new_zeros(())), c),
        "which of the features it writes differs from row to row",
    ),
    "bits": (lambda s, x, h, c: (h * (h.argmax(-1, keepdim=True) & 1).to(h.dtype), c), "'bitwise_and' .* the bits"),
    "powers of whole numbers": (
        lambda s, x, h, c: (h * (3 ** h.argmax(-1, keepdim=True)).to(h.dtype), c),
        "'pow' .* whole numbers",
    ),
    "classes that nobody knows": (lambda s, x, h, c: (F.one_hot(h.argmax(-1)) * h, c), "give it num_classes"),
    "a large table": (lambda s, x, h, c: (F.embedding(h.argmax(-1), s.vector.expand(2000, 8)), c), "a table of 2000"),
    "convolution along the batch": (
        lambda s, x, h, c: (F.conv1d(h.T[None], s.square.weight[..., None])[0].T, c),
        "'convolution' .* its input is not",
    ),
    "convolution with states": (
        lambda s, x, h, c: (F.conv1d(h.view(1, -1, 8), c.view(-1, 1, 8), groups=len(h)).view(-1, 1) * h, c),
        "'convolution' .* its weight differs from row to row",
    ),
    "derivative by hand": (lambda s, x, h, c: (Straight.apply(h), c), "the gradients .* differ"),
    "no derivative": (lambda s, x, h, c: (h // 0.7, c), "has no gradients: derivative for aten::floor_divide"),
    "lower precision": (lambda s, x, h, c: (h.float().double(), c), "the (values|gradients) .* differ"),
    "a tensor from outside": (lambda s, x, h, c: (h * OUTSIDE, c), "neither an argument nor a parameter or buffer"),
    "attribute": (writes_an_attribute, "writes the attribute 'last'"),
    "list that grows": (grows_a_list, "writes the attribute 'seen'"),
    "list within a dictionary that grows": (grows_a_list_within, "writes the attribute 'notes'"),
    "part in place": (writes_a_part, "writes into a tensor that others see"),
    "argument in place": (changes_its_argument, "writes into a tensor that others see"),
    "buffer in place": (changes_a_buffer, "'logical_not_' .* changes a parameter or a buffer"),
    "gates by shuffled features": (lambda s, x, h, c: (s.recurrent(h)[:, torch.randperm(32)][:, :8], c), "rand"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_program_cannot_say_is_refused(name: str) -> None:
    equations, message = REFUSED[name]
    cell = step_cell(equations)
    cell.notes = {"gates": ([],)}  # type: ignore[assignment]
    before = dict(vars(cell)), cell.mask.clone()
    with pytest.raises(UnsupportedOperation, match=re.compile(message, re.DOTALL)):
        trace(cell)
    assert vars(cell).keys() == before[0].keys()
    assert cell.notes == {"gates": ([],)}
    assert torch.equal(cell.mask, before[1])


def test_the_line_of_the_cell_is_named() -> None:
    line = inspect.getsourcelines(writes_a_part)[1] + 2
    with pytest.raises(UnsupportedOperation) as caught:
        trace(step_cell(writes_a_part))
    assert caught.value.source == f"{'test_unsupported.py'}:{line}"
    assert f"test_unsupported.py:{line}" in str(caught.value)


def test_an_error_of_the_cell_itself_is_reported() -> None:
    def faulty(s: Step, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        return h @ x, c

    with pytest.raises(UnsupportedOperation, match="cannot be traced: RuntimeError"):
        trace(step_cell(faulty))


class WrongSize(Cell):
    def __init__(self) -> None:
        super().__init__()
        self.input_size, self.states = 3, {"h": 4}

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        return (h[:, :2],)


def test_a_cell_that_breaks_its_declaration_is_reported() -> None:
    with pytest.raises(CellError, match="returns state `h` with"):
        trace(WrongSize())


def test_dropout_that_is_switched_off_is_no_hindrance() -> None:
    cell = step_cell(REFUSED["dropout"][0])
    trace(cell.eval())
