"""Which gradients of weights a backward pass writes whole, so that their memory need not be cleared before."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from steploom.program.plan import Plan
from steploom.program.program import MatrixView, VectorView

__all__ = ["written_whole"]


def written_whole(plan: Plan) -> frozenset[int]:
    """The leaves of which each element gets its gradient from one sum alone."""
    parts: dict[int, list[tuple[range, range]]] = {}
    weights = [weight.matrix.view for weight in plan.weight_gradients]
    for view in [*weights, *(vector.vector.view for vector in plan.vector_gradients)]:
        if isinstance(view, MatrixView):
            part = range(view.row0, view.row1), range(view.col0, view.col1)
        else:
            assert isinstance(view, VectorView)
            part = range(view.start, view.stop), range(1)
        parts.setdefault(view.leaf, []).append(part)
    return frozenset(leaf for leaf, areas in parts.items() if _tiles(areas, plan.program.leaves[leaf].shape))


def _tiles(areas: Sequence[tuple[range, range]], shape: tuple[int, ...]) -> bool:
    """Whether areas of a tensor cover it without meeting."""
    if sum(len(rows) * len(columns) for rows, columns in areas) != prod(shape):
        return False
    ordered = sorted(areas, key=lambda area: area[0].start)
    for number, (rows, columns) in enumerate(ordered, 1):
        for later in range(number, len(ordered)):
            other_rows, other = ordered[later]
            if other_rows.start >= rows.stop:
                break
            if other.start < columns.stop and columns.start < other.stop:
                return False
    return True
