"""Rectangles of matrices and stretches of vectors, each made once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from steploom.program.leaves import view_name
from steploom.program.program import Leaf, MatrixView, Value, VectorView

__all__ = ["Cuts"]


class Cuts:
    """Parts of the matrices and vectors of a program; the same part is the same value."""

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        self._leaves = leaves
        self._made: dict[MatrixView | VectorView, Value] = {}

    def matrix(self, matrix: Value, outputs: tuple[int, int], inputs: tuple[int, int]) -> Value:
        """The matrix of some features of a product, from the first to before the last, for some of what enters."""
        if (outputs, inputs) == ((0, matrix.width), (0, matrix.rows)):
            return matrix
        view = matrix.view
        assert isinstance(view, MatrixView)
        rows, columns = (inputs, outputs) if view.transposed else (outputs, inputs)
        part = MatrixView(
            view.leaf,
            view.row0 + rows[0],
            view.row0 + rows[1],
            view.col0 + columns[0],
            view.col0 + columns[1],
            view.transposed,
        )
        if part not in self._made:
            name, width = view_name(part, self._leaves), outputs[1] - outputs[0]
            self._made[part] = Value(name, width, "matrix", inputs[1] - inputs[0], part)
        return self._made[part]

    def widened(self, part: Value) -> tuple[Value, int]:
        """A matrix or vector with all the features that stand beside it in its leaf, and where it begins there."""
        view = part.view
        assert view is not None
        shape = self._leaves[view.leaf].shape
        if isinstance(view, VectorView):
            whole: MatrixView | VectorView = VectorView(view.leaf, 0, shape[0])
            start, width = view.start, shape[0]
        elif view.transposed:
            whole = replace(view, col0=0, col1=shape[1])
            start, width = view.col0, shape[1]
        else:
            whole = replace(view, row0=0, row1=shape[0])
            start, width = view.row0, shape[0]
        if whole not in self._made:
            self._made[whole] = Value(view_name(whole, self._leaves), width, part.kind, part.rows, whole)
        return self._made[whole], start

    def vector(self, vector: Value, start: int, stop: int) -> Value:
        """A stretch of a vector."""
        if (start, stop) == (0, vector.width):
            return vector
        view = vector.view
        assert isinstance(view, VectorView)
        part = VectorView(view.leaf, view.start + start, view.start + stop)
        if part not in self._made:
            self._made[part] = Value(view_name(part, self._leaves), stop - start, "vector", view=part)
        return self._made[part]
