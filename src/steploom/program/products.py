"""PyTorch's products of matrices in primitives."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from steploom.errors import UnsupportedOperation
from steploom.program.codes import columns, gather
from steploom.program.gathers import is_stretch
from steploom.program.operators import Forms, Handler, is_rows, match, numbered, rows_of
from steploom.program.program import Value
from steploom.program.prologue import Reference
from steploom.program.traced import Fixed, Rows, Traced

if TYPE_CHECKING:
    from steploom.program.tracer import Called, Tracer

__all__ = ["HANDLERS"]

MOST_PRODUCTS = 256
MOST_OF_A_CONVOLUTION = 1 << 16  # numbers in its matrix, most of them 0: beyond that the product is the slower way


def _mm(called: Called) -> Forms:
    return _product(called.tracer, called.args[0], called.args[1], called.result)


def _addmm(called: Called) -> Forms:
    bias, left, right = called.args
    tracer, build = called.tracer, called.tracer.build
    if is_rows(left) or is_rows(right):
        form = _product(tracer, left, right, called.result)
    else:
        raise UnsupportedOperation("its product has no batch")
    product = build.rows("mul", form.value, float(called.kwargs.get("alpha", 1)))
    multiplied = tracer.wrap(called.result, Rows(product, form.before))
    (added, other), before = match(tracer, [multiplied, bias], called.result.shape)
    beta = float(called.kwargs.get("beta", 1))
    value = tracer.emit("add", added, tracer.emit("mul", other, beta))
    assert isinstance(value, Value)
    return Rows(value, before)


def _mv(called: Called) -> Forms:
    left, right = called.args
    tracer = called.tracer
    if isinstance(right.form, Fixed):
        length = right.sample.shape[0]
        reference, sample = tracer.leaves.reshaped(right.form, [length], [length, 1])
        return _product(tracer, left, tracer.wrap(sample, Fixed(reference)), called.result.unsqueeze(-1))
    raise UnsupportedOperation("it multiplies a parameter with a vector over the batch")


def _convolution(called: Called) -> Forms:
    """Every output of a convolution is a weighted sum of a row's features: the product with one large matrix, which is
    what the convolution makes of the features one by one."""
    traced, weight, bias, *options = called.args
    tracer, form = called.tracer, rows_of(traced)
    inner, outer = traced.sample.shape[1:], called.result.shape[1:]
    width, n = prod(inner), prod(outer)
    if is_rows(weight) or traced.sample.shape[0] != tracer.batch or form.before != 1:
        raise UnsupportedOperation("its weight differs from row to row, or its input is not (batch, channels, ...)")
    if width * n > MOST_OF_A_CONVOLUTION:
        raise UnsupportedOperation(f"as a product it has a matrix of {n} x {width}")
    aten, leaves = torch.ops.aten, tracer.leaves
    each = torch.eye(width, dtype=traced.sample.dtype).view(width, *inner)
    arguments = (tracer.wrap(each, leaves.constant(each)), weight, None, *options)
    images = called.function(each, weight.sample, None, *options)
    (images_form,) = leaves.call(called.function, arguments, {}, images)
    flat, sample = leaves.reshaped(images_form, images.shape, [width, n])
    (turned,) = leaves.call(aten.t.default, (tracer.wrap(sample, Fixed(flat)),), {}, sample.t())
    value = tracer.build.rows("product", form.value, leaves.matrix(turned.node, sample.t()))
    if bias is None:
        return Rows(value)
    shape = [len(bias.sample), *[1] * (len(outer) - 1)]
    reference, channels = leaves.reshaped(bias.form, bias.sample.shape, shape)
    product = tracer.wrap(called.result, Rows(value))
    (value, added), _ = match(tracer, [product, tracer.wrap(channels, Fixed(reference))], called.result.shape)
    return Rows(tracer.build.rows("add", value, added))


def _product(tracer: Tracer, left: Traced, right: Traced, result: Tensor) -> Rows:
    """The product of (g, m, k) and (g, k, n), or of (m, k) and (k, n), one side of which is a parameter."""
    if is_rows(left) and is_rows(right):
        return _of_rows(tracer, left, right, result)
    swapped = is_rows(right)
    rows, fixed = (right, left) if swapped else (left, right)
    numbers, total = numbered(tracer, [rows])
    # (g, m, k) with the batch among the m, and the matrices (g, n, k)
    codes = numbers[0].mT if swapped else numbers[0]
    matrices = fixed.sample if swapped else fixed.sample.mT
    if codes.dim() == 2:
        codes, matrices = codes.unsqueeze(0), matrices.unsqueeze(0)
    groups, m, k = codes.shape
    n = matrices.shape[1]
    if m % tracer.batch:
        raise UnsupportedOperation("it sums over the batch")
    wanted, before = columns(codes, tracer.batch, total)
    if before % groups or (m // tracer.batch) % (before // groups):
        raise UnsupportedOperation("rows of the batch are mixed")
    each = m // tracer.batch
    if groups * each > MOST_PRODUCTS:
        raise UnsupportedOperation(f"it is {groups * each} small products")
    value = rows_of(rows).value
    parts = []
    for group in range(groups):
        matrix = _matrix(tracer, fixed, group if groups > 1 or fixed.sample.dim() == 3 else None, swapped)
        for inner in range(each):
            start = (group * each + inner) * k
            taken = gather(tracer.build, [value], wanted[start : start + k])
            parts.append(tracer.build.rows("product", taken, matrix))
    joined = tracer.build.concat(parts)
    if not swapped:
        return Rows(joined, before)
    # The columns are those of (g, each, n), the result is (g, n, m).
    outer = before // groups
    order = [(g * each + i) * n + c for g in range(groups) for c in range(n) for i in range(each)]
    joined = joined if each == 1 else gather(tracer.build, [joined], order)
    return Rows(joined, groups * n * outer)


def _matrix(tracer: Tracer, fixed: Traced, group: int | None, swapped: bool) -> Value:
    form, sample = fixed.form, fixed.sample
    assert isinstance(form, Fixed)
    if group is not None:
        part = sample.select(0, group)
        (form,) = tracer.leaves.call(torch.ops.aten.select.int, (fixed, 0, group), {}, part)
        sample = part
    if swapped:
        return tracer.leaves.matrix(form.node, sample)
    turned = sample.t()
    (form,) = tracer.leaves.call(torch.ops.aten.t.default, (tracer.wrap(sample, form),), {}, turned)
    return tracer.leaves.matrix(form.node, turned)


def _of_spread(tracer: Tracer, left: Traced, right: Traced, flat: Reference) -> Rows:
    """A product a row of the batch where the right side is a parameter repeated for every row."""
    numbers, total = numbered(tracer, [left])
    wanted, before = columns(numbers[0], tracer.batch, total)
    (codes,), of_right = numbered(tracer, [right])
    order, _ = columns(codes, tracer.batch, of_right)
    k, n = right.sample.shape[1:]
    m = left.sample.shape[1]
    count = len(wanted) // (m * k)
    if codes.shape[0] % tracer.batch or count * m > MOST_PRODUCTS:
        raise UnsupportedOperation("it is many small products")
    parts = []
    for group in range(count):
        chosen = order[group * k * n : (group + 1) * k * n]
        if chosen != list(range(chosen[0], chosen[0] + k * n)):
            raise UnsupportedOperation("its matrices are not stored one after the other")
        matrix = tracer.leaves.matrix_of(flat, chosen[0], k, n)
        for row in range(m):
            start = (group * m + row) * k
            taken = gather(tracer.build, [rows_of(left).value], wanted[start : start + k])
            parts.append(tracer.build.rows("product", taken, matrix))
    return Rows(tracer.build.concat(parts), before)


def _of_rows(tracer: Tracer, left: Traced, right: Traced, result: Tensor) -> Rows:
    """A product a row of the batch: (g, n, k) and (g, k, m), with the batch among the g."""
    matrices = tracer.spread.get(rows_of(right).value)
    if matrices is not None and left.sample.dim() == 3:
        return _of_spread(tracer, left, right, matrices)
    if left.sample.dim() != 3:
        raise UnsupportedOperation("it mixes the rows of the batch")
    (groups, n, k), m = left.sample.shape, right.sample.shape[2]
    a, a_turned, before = _matrices(tracer, left)
    b, b_turned, other = _matrices(tracer, right)
    if groups % tracer.batch or before != other:
        raise UnsupportedOperation("it mixes the rows of the batch")
    if a_turned and b_turned:
        b, b_turned, _ = _matrices(tracer, right, as_it_is=True)
    sizes = {"groups": groups // tracer.batch, "n": n, "k": k, "m": m}
    lies = {"left_transposed": a_turned, "right_transposed": b_turned}
    return Rows(tracer.build.rows("matmul", a, b, **sizes, **lies), before)


def _matrices(tracer: Tracer, traced: Traced, as_it_is: bool = False) -> tuple[Value, int, int]:
    """The matrices (g, rows, columns) that a value holds, whether they lie there transposed, and the number of them
    before the batch; moved there, if they lie in another way."""
    (codes,), total = numbered(tracer, [traced])
    wanted, before = columns(codes, tracer.batch, total)
    turned, _ = columns(codes.mT, tracer.batch, total)
    value = rows_of(traced).value
    transposed = not as_it_is and not is_stretch(wanted) and is_stretch(turned)
    taken = gather(tracer.build, [value], turned if transposed else wanted)
    return taken, int(transposed), before


HANDLERS: dict[str, Handler] = {
    "mm": _mm,
    "bmm": _mm,
    "addmm": _addmm,
    "baddbmm": _addmm,
    "mv": _mv,
    "convolution": _convolution,
}
