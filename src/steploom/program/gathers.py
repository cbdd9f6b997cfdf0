"""The primitive that puts features in another order, such as the transpose of a matrix that is kept in a state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial, reduce
from itertools import chain

import torch
from torch import Tensor

from steploom.program.program import Argument, Instruction, Order
from steploom.program.rules import Emitter, Gradients

__all__ = ["gather_columns", "gather_gradient", "is_stretch", "stretches", "sum_of_parts"]


def gather_columns(a: Tensor, *, order: Order) -> Tensor:
    """The columns of `a` in the order given, 0 where that is -1."""
    columns = torch.tensor(order, device=a.device)
    return torch.where(columns >= 0, a[..., columns], 0.0)


def gather_gradient(e: Emitter, i: Instruction, g: Argument) -> Gradients:
    """y = the columns of a in another order: the gradient of a column of a is the sum of those where it stands."""
    a, order = i.args[0], i.attrs["order"]
    assert not isinstance(a, float)
    block = _block(order)
    if len(set(block)) == len(block) and -1 not in block:
        return [e("gather", sum_of_parts(e, g, len(order), len(order) // len(block)), order=_inverse(block, a.width))]
    places: dict[int, list[int]] = defaultdict(list)
    for place, column in enumerate(order):
        if column >= 0:
            places[column].append(place)
    if not places:
        return [None]
    alike: dict[int, list[int]] = defaultdict(list)  # those that stand in equally many places
    for column in sorted(places):
        alike[len(places[column])].append(column)
    sums = []
    for columns in alike.values():
        together = e("gather", g, order=tuple(chain.from_iterable(places[column] for column in columns)))
        sums.append(e("sum", together, groups=len(columns)))
    joined = e("concat", *sums) if len(sums) > 1 else sums[0]
    return [e("gather", joined, order=_inverse(list(chain.from_iterable(alike.values())), a.width))]


def sum_of_parts(e: Emitter, whole: Argument, width: int, count: int) -> Argument:
    """The sum of `count` parts of equal width that lie side by side in `whole`: one half is added to the other."""
    each = width // count
    left_over: list[Argument] = []
    while count > 1:
        half = count // 2 * each
        if count % 2:
            left_over.append(e("slice", whole, start=2 * half, stop=2 * half + each))
        whole = e("add", e("slice", whole, start=0, stop=half), e("slice", whole, start=half, stop=2 * half))
        count //= 2
    return reduce(partial(e, "add"), left_over, whole)


def is_stretch(order: Sequence[int]) -> bool:
    """Whether the columns are neighbours in the value they are taken of."""
    return order[0] >= 0 and all(column == order[0] + place for place, column in enumerate(order))


def stretches(order: Sequence[int]) -> list[tuple[int, int, int]]:
    """An order as the first column, the number and the step of stretches of it; -1, their number and 0 for zeros."""
    found: list[tuple[int, int, int]] = []
    for column in order:
        first, count, step = found[-1] if found else (-1, 0, 0)
        if count and first == column == -1:
            found[-1] = (-1, count + 1, 0)
        elif count and min(first, column) >= 0 and (count == 1 or column == first + count * step):
            found[-1] = (first, count + 1, column - first if count == 1 else step)
        else:
            found.append((column, 1, 0))
    return found


def _block(order: Order) -> Order:
    """The columns that an order repeats as a whole; the order itself where it does not."""
    size = order.index(order[0], 1) if order[0] in order[1:] else len(order)
    return order[:size] if order == order[:size] * (len(order) // size) else order


def _inverse(columns: Sequence[int], width: int) -> Order:
    """For each of `width` columns where it stands among `columns`, or -1."""
    place = {column: number for number, column in enumerate(columns)}
    return tuple(place.get(column, -1) for column in range(width))
