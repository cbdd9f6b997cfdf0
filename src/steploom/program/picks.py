"""The order of features and features by an index, along the last axis of traced tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from steploom.errors import UnsupportedOperation
from steploom.program.codes import columns, gather
from steploom.program.operators import numbered, rows_of
from steploom.program.program import Value
from steploom.program.traced import Rows, Traced

if TYPE_CHECKING:
    from steploom.program.tracer import Tracer

__all__ = ["argsort", "as_index", "is_index", "put", "take"]


def as_index(numbers: Tensor, count: int) -> Tensor:
    """Whole numbers from 0 to `count` - 1 as an index, without being rounded."""
    if not isinstance(numbers, Traced) or not isinstance(numbers.form, Rows):
        return numbers.to(torch.int64)
    numbers.recorder.below[numbers.form.value] = count
    return numbers.recorder.wrap(numbers.sample.to(torch.int64), numbers.form)


def is_index(numbers: Tensor, count: int) -> bool:
    """Whether numbers are known to be an index of one of `count`."""
    if not isinstance(numbers, Traced) or not isinstance(numbers.form, Rows):
        return False
    return numbers.recorder.below.get(numbers.form.value, count + 1) <= count


def argsort(x: Tensor, descending: bool) -> Tensor:
    """The indices that sort the last axis."""
    tracer, value, before = _by_last_axis(x)
    n = x.shape[-1]
    order = tracer.build.rows("argsort", value, groups=value.width // n, descending=int(descending))
    return as_index(tracer.wrap(torch.zeros(x.shape, dtype=x.dtype, device=x.device), Rows(order, before)), n)


def take(x: Tensor, index: Tensor) -> Tensor:
    """(..., n) by (..., m): the features that the index names; not a number where it names none."""
    (tracer, value, before), (_, places, _) = _by_last_axis(x), _by_last_axis(index)
    taken = tracer.build.rows("take_along", value, places, groups=value.width // x.shape[-1])
    return tracer.wrap(torch.zeros(index.shape, dtype=x.dtype, device=x.device), Rows(taken, before))


def put(index: Tensor, values: Tensor, n: int, last: bool = False) -> Tensor:
    """(..., m): the values in (..., n), each where the index names it, added up, or the last of them; 0 elsewhere."""
    (tracer, places, before), (_, value, _) = _by_last_axis(index), _by_last_axis(values)
    groups = value.width // values.shape[-1]
    found = tracer.build.rows("put_along", places, value, groups=groups, n=n, last=int(last))
    return tracer.wrap(
        torch.zeros(*values.shape[:-1], n, dtype=values.dtype, device=values.device), Rows(found, before)
    )


def _by_last_axis(x: Tensor) -> tuple[Tracer, Value, int]:
    """The features in the order of the tensor, in which those of its last axis are neighbours, and how many stand
    before the batch."""
    if not isinstance(x, Traced):
        raise UnsupportedOperation("it takes what is the same for all rows where it must take what differs")
    tracer = cast("Tracer", x.recorder)
    value = rows_of(x).value
    (codes,), total = numbered(tracer, [x])
    wanted, before = columns(codes, tracer.batch, total)
    if len(wanted) // before % x.shape[-1]:
        raise UnsupportedOperation("it mixes the rows of the batch")
    return tracer, gather(tracer.build, [value], wanted), before
