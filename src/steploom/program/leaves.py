"""What a step reads besides its arguments: parameters in place, and the prologue that computes the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from steploom.errors import UnsupportedOperation
from steploom.program.casts import is_inexact
from steploom.program.nested import flat, mapped
from steploom.program.primitives import PRIMITIVES
from steploom.program.program import Argument, Leaf, MatrixView, Value, VectorView
from steploom.program.prologue import Call, Constant, Prologue, Reference
from steploom.program.traced import Fixed, Traced

__all__ = ["Leaves", "view_name"]


class Leaves:
    """Parameters, buffers and constants, the calls on them, and the views of them that products and arithmetic read."""

    def __init__(self) -> None:
        self.nodes: list[str | Constant | Call] = []
        self.leaves: list[Leaf] = []
        self.outputs: list[Reference] = []
        self._by_id: dict[int, tuple[Tensor, Fixed]] = {}
        self._samples: dict[Reference, Tensor] = {}
        self._roots: dict[Reference, Reference] = {}
        self._leaf_numbers: dict[tuple[Reference, str], int] = {}
        self._values: dict[MatrixView | VectorView, Value] = {}
        self._references: dict[Value, Reference] = {}

    def add(self, path: str, tensor: Tensor, dtype: torch.dtype | None = None) -> tuple[Tensor, Fixed]:
        """Make a parameter or buffer of the cell known; its sample, in a dtype, and its form."""
        sample = tensor.detach().resolve_conj().contiguous()
        if dtype is not None and is_inexact(sample):
            sample = sample.to(dtype.to_complex() if sample.is_complex() else dtype)
        reference = self._node(path, sample)
        self._by_id[id(tensor)] = (self._samples[reference], Fixed(reference))
        return self._by_id[id(tensor)]

    def find(self, tensor: Tensor) -> tuple[Tensor, Fixed] | None:
        """The sample and form of a parameter or buffer."""
        return self._by_id.get(id(tensor))

    def is_parameter(self, fixed: Fixed) -> bool:
        """Whether the tensor is a parameter or buffer, or a view of one."""
        return isinstance(self.nodes[self._roots[fixed.node].node], str)

    def is_of_numbers(self, fixed: Fixed) -> bool:
        """Whether the tensor is computed from real or complex numbers of the cell, which may change."""
        waiting, seen = [fixed.node], set()
        while waiting:
            reference = waiting.pop()
            node = self.nodes[reference.node]
            if isinstance(node, str) and is_inexact(self._samples[Reference(reference.node)]):
                return True
            if isinstance(node, Call) and reference.node not in seen:
                seen.add(reference.node)
                waiting += [item for item in flat([node.args, node.kwargs]) if isinstance(item, Reference)]
        return False

    def constant(self, tensor: Tensor) -> Fixed:
        """A tensor of numbers that the step has made."""
        number = _only(tensor)
        return Fixed(self._node(Constant(tensor.cpu()), tensor), number)

    def call(self, function: Any, args: Any, kwargs: Any, result: Any, detached: bool = False) -> list[Fixed]:
        """Take note of an operator on tensors that are the same for all rows; the forms of its results."""
        given = [item for item in flat([args, kwargs]) if isinstance(item, Traced)]
        # What is detached shares memory with a parameter, but no gradient goes through it.
        shares = not detached and function is not torch.ops.aten.detach.default
        node = len(self.nodes)
        self.nodes.append(Call(function, mapped(args, Traced, _node_of), mapped(kwargs, Traced, _node_of)))
        results = [result] if isinstance(result, Tensor) else list(result)
        forms = []
        for item, tensor in enumerate(results):
            reference = Reference(node, None if isinstance(result, Tensor) else item)
            if detached:
                reference = self._node(Call(torch.ops.aten.detach.default, (reference,), {}), tensor)
            self._samples[reference] = tensor
            alike = [t for t in given if t.is_complex() == tensor.is_complex() and _same_storage(t.sample, tensor)]
            same = [t.form for t in alike if isinstance(t.form, Fixed)]
            self._roots[reference] = self._roots[same[0].node] if same and shares else reference
            number = _number(given, tensor)
            forms.append(Fixed(reference, number))
        return forms

    def arithmetic(self, op: str, args: Sequence[Argument], attrs: dict[str, int | float]) -> Value:
        """The result of a primitive on vectors and numbers, as a vector."""
        samples = [self._samples[self._references[a]] if isinstance(a, Value) else a for a in args]
        given = tuple(self._references[a] if isinstance(a, Value) else a for a in args)
        result = PRIMITIVES[op].meaning(*samples, **attrs)
        reference = self._node(Call(PRIMITIVES[op].meaning, given, dict(attrs), op), result)
        return self.vector(reference, result)

    def reshaped(self, fixed: Fixed, expanded: Sequence[int], shape: Sequence[int]) -> tuple[Reference, Tensor]:
        """The tensor expanded to a shape and then seen in another."""
        reference, sample = fixed.node, self._samples[fixed.node]
        aten = torch.ops.aten
        if tuple(sample.shape) != tuple(expanded):
            aligned = (*([1] * (len(expanded) - sample.dim())), *sample.shape)
            reference = self._view(aten.expand.default, reference, sample.reshape(aligned).expand(*expanded), expanded)
        if tuple(expanded) != tuple(shape):
            reshaped = self._samples[reference].reshape(tuple(shape))
            reference = self._view(aten.reshape.default, reference, reshaped, shape)
        return reference, self._samples[reference]

    def matrix(self, reference: Reference, sample: Tensor) -> Value:
        """The value that stands for a tensor (width, rows), a view of a leaf where it can be."""
        view = self._matrix_view(reference, sample)
        if view is None:
            view = MatrixView(self._leaf(reference, sample, "matrix"), 0, sample.shape[0], 0, sample.shape[1])
        return self._value(view, sample, reference)

    def matrix_of(self, flat: Reference, start: int, rows: int, width: int) -> Value:
        """The matrix (width, rows) whose transpose is stored in a tensor from an element on."""
        aten, sample = torch.ops.aten, self._samples[flat]
        part = sample[start : start + rows * width]
        cut = self._node(Call(aten.slice.Tensor, (flat, 0, start, start + rows * width), {}), part)
        if _same_storage(part, sample):
            self._roots[cut] = self._roots[flat]
        shaped = self._view(aten.reshape.default, cut, part.reshape(rows, width), [rows, width])
        turned = self._samples[shaped].t()
        last = self._node(Call(aten.t.default, (shaped,), {}), turned)
        self._roots[last] = self._roots[shaped]
        return self.matrix(last, turned)

    def vector(self, reference: Reference, sample: Tensor) -> Value:
        """The value that stands for a tensor (width,)."""
        root = self._roots[reference]
        length = sample.shape[0]
        if self._samples[root].is_contiguous() and (length == 1 or sample.stride(0) == 1):
            start = int(sample.storage_offset() - self._samples[root].storage_offset())
            view = VectorView(self._leaf(root, self._samples[root], "vector"), start, start + length)
        else:
            view = VectorView(self._leaf(reference, sample, "vector"), 0, length)
        return self._value(view, sample, reference)

    def prologue(self) -> Prologue | None:
        """What computes the leaves that are no parameters; None where there are none."""
        return Prologue(tuple(self.nodes), tuple(self.outputs)).pruned() if self.outputs else None

    def _node(self, node: str | Constant | Call, sample: Tensor) -> Reference:
        reference = Reference(len(self.nodes))
        self.nodes.append(node)
        self._samples[reference], self._roots[reference] = sample, reference
        return reference

    def _view(self, function: Any, of: Reference, sample: Tensor, shape: Sequence[int]) -> Reference:
        reference = self._node(Call(function, (of, list(shape)), {}), sample)
        if _same_storage(sample, self._samples[of]):
            self._roots[reference] = self._roots[of]
        return reference

    def _matrix_view(self, reference: Reference, sample: Tensor) -> MatrixView | None:
        root_reference = self._roots[reference]
        root = self._samples[root_reference]
        if root.dim() < 2 or not root.is_contiguous():
            return None
        long = root.shape[-1]
        (n, k), (step_n, step_k) = sample.shape, sample.stride()
        row, column = divmod(int(sample.storage_offset() - root.storage_offset()), long)
        if (n == 1 or step_n == long) and (k == 1 or step_k == 1) and column + k <= long:
            return MatrixView(self._leaf(root_reference, root, "matrix"), row, row + n, column, column + k)
        if (n == 1 or step_n == 1) and (k == 1 or step_k == long) and column + n <= long:
            return MatrixView(self._leaf(root_reference, root, "matrix"), row, row + k, column, column + n, True)
        return None

    def _leaf(self, reference: Reference, sample: Tensor, kind: str) -> int:
        key = (reference, kind)
        if key not in self._leaf_numbers:
            shape = (sample.numel(),) if kind == "vector" else (-1, sample.shape[-1])
            size = tuple(sample.reshape(shape).shape)
            node = self.nodes[reference.node]
            if isinstance(node, str):
                leaf = Leaf(node, size, path=node)
            else:
                leaf = Leaf(f"w{len(self.outputs) + 1}", size, output=len(self.outputs))
                self.outputs.append(reference)
            self._leaf_numbers[key] = len(self.leaves)
            self.leaves.append(leaf)
        return self._leaf_numbers[key]

    def _value(self, view: MatrixView | VectorView, sample: Tensor, reference: Reference) -> Value:
        if view not in self._values:
            name = view_name(view, self.leaves)
            if isinstance(view, VectorView):
                value = Value(name, sample.shape[0], "vector", view=view)
            else:
                value = Value(name, sample.shape[0], "matrix", sample.shape[1], view)
            self._values[view] = value
            self._references[value] = reference
        return self._values[view]


def view_name(view: MatrixView | VectorView, leaves: Sequence[Leaf]) -> str:
    """How a view is called: "input.weight", "input.weight[0:8]", "input.weight[:, 2:6]ᵀ"."""
    leaf = leaves[view.leaf]
    if isinstance(view, VectorView):
        return leaf.name if (view.start, view.stop) == (0, leaf.shape[0]) else f"{leaf.name}[{view.start}:{view.stop}]"
    rows = "" if (view.row0, view.row1) == (0, leaf.shape[0]) else f"{view.row0}:{view.row1}"
    cols = "" if (view.col0, view.col1) == (0, leaf.shape[1]) else f"{view.col0}:{view.col1}"
    part = f"[{rows or ':'}, {cols}]" if cols else f"[{rows}]" if rows else ""
    return f"{leaf.name}{part}{'ᵀ' if view.transposed else ''}"


def _node_of(traced: Traced) -> Reference:
    if not isinstance(traced.form, Fixed):
        raise UnsupportedOperation("it depends on the batch")
    return traced.form.node


def _same_storage(one: Tensor, other: Tensor) -> bool:
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def _only(tensor: Tensor) -> complex | None:
    """The only number of a tensor."""
    if tensor.numel() != 1:
        return None
    return complex(tensor) if tensor.is_complex() else float(tensor)


def _number(given: Sequence[Traced], result: Tensor) -> complex | None:
    """The number that a result is, if it is computed from known numbers alone."""
    known = all(isinstance(traced.form, Fixed) and traced.form.number is not None for traced in given)
    return _only(result) if known else None
