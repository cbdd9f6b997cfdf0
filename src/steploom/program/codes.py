"""Operators that only move numbers, understood by what they do to a tensor of numbered elements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from steploom.errors import UnsupportedOperation
from steploom.program.builder import Builder
from steploom.program.program import Value
from steploom.program.traced import Rows

__all__ = ["Layout", "code", "columns", "gather", "layout"]

MOST_SLICES = 8  # of one value; more of them are taken by one instruction


@dataclass(frozen=True)
class Layout:
    """Where the batch stands in a shape.

    Attributes:
        axis: the axis that holds it.
        outer, inner: number of features in that axis outside and inside of it.
        before: number of features before it in all, those in its axis included.
    """

    axis: int
    outer: int
    inner: int
    before: int

    def refined(self, shape: Sequence[int], batch: int) -> tuple[int, ...]:
        """The shape with the axis taken apart into (outer, batch, inner)."""
        return (*shape[: self.axis], self.outer, batch, self.inner, *shape[self.axis + 1 :])


def layout(shape: Sequence[int], before: int, batch: int) -> Layout | None:
    """Where the batch stands in a shape whose elements are (before, batch, rest) in order; None where it does not."""
    left = 1
    for axis, size in enumerate(shape):
        if size % batch == 0 and before % left == 0 and (size // batch) % (before // left) == 0:
            outer = before // left
            return Layout(axis, outer, size // batch // outer, before)
        left *= size
    return None


def code(form: Rows, shape: Sequence[int], batch: int, first: int, total: int) -> Tensor:
    """Each element's number: `row * total + first + column`."""
    width = form.value.width
    numbers = torch.arange(width).view(form.before, 1, -1) + total * torch.arange(batch).view(1, batch, 1) + first
    return numbers.reshape(tuple(shape))


def columns(moved: Tensor, batch: int, total: int) -> tuple[list[int], int]:
    """From the moved numbers, the columns in the new order and the number of them before the batch.

    Columns of -1 are those of numbers below 0: padding.

    Raises:
        UnsupportedOperation: the rows of the batch are mixed, or left out.
    """
    for axis, size in enumerate(moved.shape):
        if size % batch:
            continue
        rows = size // batch
        for outer in [n for n in range(1, rows + 1) if rows % n == 0]:
            left = prod(moved.shape[:axis]) * outer
            seen = moved.reshape(left, batch, -1).transpose(0, 1).reshape(batch, -1)
            expected = seen[0] + total * torch.arange(batch).view(-1, 1)
            if bool(((seen == expected) | ((seen < 0) & (seen[0] < 0))).all()) and bool((seen[0] < total).all()):
                return [max(number, -1) for number in seen[0].tolist()], left
    raise UnsupportedOperation("rows of the batch are mixed")


def gather(build: Builder, sources: Sequence[Value], wanted: list[int], padding: float = 0.0) -> Value:
    """The columns `wanted` of the sources side by side, `padding` where they are -1.

    A few slices stay slices, of which products and sums with others know more than of columns in any order.
    """
    starts = [0]
    for source in sources:
        starts.append(starts[-1] + source.width)
    owner = [number for number, source in enumerate(sources) for _ in range(source.width)]
    runs: list[list[int]] = []
    for column in wanted:
        last = runs[-1][-1] if runs else None
        padded = column == -1 and last == -1
        if last is not None and (padded or (0 <= last == column - 1 and owner[column] == owner[last])):
            runs[-1].append(column)
        else:
            runs.append([column])
    expansion = _expansion(wanted) if len(runs) > 1 else None
    if expansion is not None:
        return build.rows("expand", gather(build, sources, expansion, padding), width=len(wanted))
    used = sorted({owner[run[0]] for run in runs if run[0] >= 0})
    if len(runs) > len(used) + MOST_SLICES:
        return _reordered(build, {starts[number]: sources[number] for number in used}, wanted, padding)
    parts: list[Value] = []
    made: dict[tuple[int, int], Value] = {}
    for run in runs:
        key = (run[0], len(run))
        if key not in made:
            if run[0] == -1:
                made[key] = build.write("fill", width=len(run), value=padding)
            else:
                source, start = sources[owner[run[0]]], run[0] - starts[owner[run[0]]]
                made[key] = build.rows("slice", source, start=start, stop=start + len(run))
        parts.append(made[key])
    return build.concat(parts)


def _reordered(build: Builder, sources: dict[int, Value], wanted: list[int], padding: float) -> Value:
    """The same by one instruction on all sources together, each with the number of its first column."""
    places: dict[int, int] = {}
    for start, source in sources.items():
        places |= {start + column: len(places) + column for column in range(source.width)}
    parts = list(sources.values())
    if padding and -1 in wanted:
        places[-1] = len(places)
        parts.append(build.write("fill", width=1, value=padding))
    return build.rows("gather", build.concat(parts), order=tuple(places.get(column, -1) for column in wanted))


def _expansion(wanted: list[int]) -> list[int] | None:
    """The columns of which each stands there equally often in a row; None where they do not."""
    times = next((n for n, column in enumerate(wanted) if column != wanted[0]), len(wanted))
    if times == 1 or len(wanted) % times:
        return None
    bases = wanted[::times]
    return bases if wanted == [base for base in bases for _ in range(times)] else None
