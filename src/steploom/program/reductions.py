"""PyTorch's sums, means, maxima and norms over features, in primitives."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from steploom.errors import UnsupportedOperation
from steploom.program.codes import columns, gather
from steploom.program.operators import Forms, Handler, is_rows, match, numbered, rows_of
from steploom.program.program import Argument, Value
from steploom.program.traced import Rows, Traced

if TYPE_CHECKING:
    from torch import Tensor

    from steploom.program.tracer import Called, Tracer

__all__ = ["HANDLERS"]


def _reduce(tracer: Tracer, traced: Traced, dims: Any, op: str) -> tuple[Rows, int]:
    """The sum or max over some axes, which then have size 1, and how many numbers make one of the result."""
    value = rows_of(traced).value
    found = _grouped(tracer, traced, dims)
    before, groups = found.before, found.groups
    count = value.width // groups
    if found.in_order:
        return Rows(tracer.build.rows(op, value, groups=groups), min(before, groups)), count
    first, _ = columns(found.across, tracer.batch, value.width)
    if op == "sum" and first == list(range(value.width)) and count <= 64:
        # The parts to be added lie side by side, as heads do.
        result = tracer.build.rows("slice", value, start=0, stop=groups)
        for number in range(1, count):
            part = tracer.build.rows("slice", value, start=number * groups, stop=(number + 1) * groups)
            result = tracer.build.rows("add", result, part)
        return Rows(result, before), count
    return Rows(tracer.build.rows(op, gather(tracer.build, [value], found.wanted), groups=groups), before), count


class _Grouped(NamedTuple):
    """Which features are reduced together.

    Attributes:
        wanted: the columns in the order in which those to be reduced are neighbours.
        before: number of groups before the batch.
        groups: number of all groups.
        across: the columns' numbers with the reduced axes first.
    """

    wanted: list[int]
    before: int
    groups: int
    across: Tensor

    @property
    def in_order(self) -> bool:
        """Whether what is to be reduced are neighbours as they stand."""
        return self.wanted == list(range(len(self.wanted)))


def _grouped(tracer: Tracer, traced: Traced, dims: Any) -> _Grouped:
    shape = traced.sample.shape
    numbers, total = numbered(tracer, [traced])
    axes = list(range(len(shape))) if dims is None or dims == [] else [dims] if isinstance(dims, int) else list(dims)
    axes = sorted({axis % len(shape) for axis in axes})
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    count = prod(shape[axis] for axis in axes)
    groups = rows_of(traced).value.width // count if count % tracer.batch else 0
    if not groups or all(shape[axis] % tracer.batch for axis in kept):
        raise UnsupportedOperation("it mixes the rows of the batch")
    wanted, before = columns(numbers[0].permute(*kept, *axes), tracer.batch, total)
    return _Grouped(wanted, before, groups, numbers[0].permute(*axes, *kept))


def _dims(called: Called, place: int = 1) -> Any:
    return called.args[place] if len(called.args) > place else called.kwargs.get("dim")


def _sum(called: Called) -> Forms:
    return _reduce(called.tracer, called.args[0], _dims(called), "sum")[0]


def _mean(called: Called) -> Forms:
    form, count = _reduce(called.tracer, called.args[0], _dims(called), "sum")
    return Rows(called.tracer.build.rows("mul", form.value, 1 / count), form.before)


def _amax(called: Called) -> Forms:
    return _reduce(called.tracer, called.args[0], _dims(called), "max")[0]


def _amin(called: Called) -> Forms:
    form = _amax(_negated(called))
    assert isinstance(form, Rows)
    return Rows(called.tracer.build.rows("neg", form.value), form.before)


def _negated(called: Called) -> Called:
    traced = called.args[0]
    negative = called.tracer.build.rows("neg", rows_of(traced).value)
    wrapped = called.tracer.wrap(traced.sample, Rows(negative, rows_of(traced).before))
    called.args = (wrapped, *called.args[1:])
    return called


def _spread(tracer: Tracer, form: Rows, traced: Traced, dims: Any) -> Value:
    """A reduced value broadcast back to the shape it was reduced from."""
    reduced = traced.sample.sum(dims, keepdim=True)
    (value,), _ = match(tracer, [tracer.wrap(reduced, form)], traced.sample.shape)
    assert isinstance(value, Value)
    return value


def _softmax(called: Called) -> Forms:
    traced, dim = called.args[0], called.args[1]
    tracer, build, form = called.tracer, called.tracer.build, rows_of(traced)
    largest, _ = _reduce(tracer, traced, dim, "max")
    # The largest cancels out, so it has no part in the gradient.
    largest = Rows(build.rows("detach", largest.value), largest.before)
    shifted = build.rows("sub", form.value, _spread(tracer, largest, traced, dim))
    powers = build.rows("exp", shifted)
    total, _ = _reduce(tracer, tracer.wrap(traced.sample, Rows(powers, form.before)), dim, "sum")
    if called.name == "_log_softmax":
        logarithm = Rows(build.rows("log", total.value), total.before)
        return Rows(build.rows("sub", shifted, _spread(tracer, logarithm, traced, dim)), form.before)
    inverse = Rows(build.rows("reciprocal", total.value), total.before)
    return Rows(build.rows("mul", powers, _spread(tracer, inverse, traced, dim)), form.before)


def _logsumexp(called: Called) -> Forms:
    traced, dims = called.args[0], called.args[1]
    tracer, build, form = called.tracer, called.tracer.build, rows_of(traced)
    largest, _ = _reduce(tracer, traced, dims, "max")
    largest = Rows(build.rows("detach", largest.value), largest.before)
    powers = build.rows("exp", build.rows("sub", form.value, _spread(tracer, largest, traced, dims)))
    total, _ = _reduce(tracer, tracer.wrap(traced.sample, Rows(powers, form.before)), dims, "sum")
    return Rows(build.rows("add", build.rows("log", total.value), largest.value), total.before)


def _var(called: Called) -> Forms:
    traced, dims = called.args[0], _dims(called)
    tracer, build, form = called.tracer, called.tracer.build, rows_of(traced)
    correction = called.kwargs.get("correction", 1)
    axes = list(range(traced.sample.dim())) if dims is None else dims
    total, count = _reduce(tracer, traced, axes, "sum")
    mean = Rows(build.rows("mul", total.value, 1 / count), total.before)
    centred = build.rows("sub", form.value, _spread(tracer, mean, traced, axes))
    squares = tracer.wrap(traced.sample, Rows(build.rows("square", centred), form.before))
    spread, _ = _reduce(tracer, squares, axes, "sum")
    variance = build.rows("mul", spread.value, 1 / (count - (1 if correction is None else correction)))
    if called.name.startswith("std"):
        variance = build.rows("sqrt", variance)
    result = Rows(variance, spread.before)
    return [result, mean] if called.name.endswith("_mean") else result


def _norm(called: Called) -> Forms:
    power = called.args[1] if len(called.args) > 1 else 2
    if power not in (None, 1, 2):
        raise UnsupportedOperation(f"a norm of order {power}")
    traced, dims = called.args[0], _dims(called, 2)
    tracer, build, form = called.tracer, called.tracer.build, rows_of(traced)
    powers = build.rows("abs" if power == 1 else "square", form.value)
    total, _ = _reduce(tracer, tracer.wrap(traced.sample, Rows(powers, form.before)), dims, "sum")
    return total if power == 1 else Rows(build.rows("sqrt", total.value), total.before)


def _layer_norm(called: Called) -> Forms:
    traced, shape, weight, bias, eps = called.args
    dims = list(range(-len(shape), 0))
    return [_normalised(called.tracer, traced, dims, eps, weight, bias), None, None]


def _group_norm(called: Called) -> Forms:
    traced, weight, bias, batch, channels, rest, groups, eps = called.args
    tracer, form = called.tracer, rows_of(traced)
    if batch != tracer.batch or form.before != 1 or rest != 1:
        raise UnsupportedOperation("it normalises groups of something other than (batch, features)")
    sample = traced.sample.reshape(batch, groups, channels // groups)
    normalised = _normalised(tracer, tracer.wrap(sample, form), [-1], eps, None, None)
    return [_scaled(tracer, tracer.wrap(traced.sample, normalised), weight, bias), None, None]


def _rms_norm(called: Called) -> Forms:
    traced, shape, weight, eps = called.args
    if eps is None:
        raise UnsupportedOperation("rms_norm without eps, which depends on the dtype; give it one, such as eps=1e-6")
    dims = list(range(-len(shape), 0))
    tracer, build, form = called.tracer, called.tracer.build, rows_of(traced)
    squares = tracer.wrap(traced.sample, Rows(build.rows("square", form.value), form.before))
    total, count = _reduce(tracer, squares, dims, "sum")
    inverse = build.rows("rsqrt", build.rows("add", build.rows("mul", total.value, 1 / count), float(eps)))
    spread = _spread(tracer, Rows(inverse, total.before), traced, dims)
    normalised = tracer.wrap(traced.sample, Rows(build.rows("mul", form.value, spread), form.before))
    return [_scaled(tracer, normalised, weight, None), None]


def _normalised(tracer: Tracer, traced: Traced, dims: Sequence[int], eps: float, weight: Any, bias: Any) -> Rows:
    build, form = tracer.build, rows_of(traced)
    found = _grouped(tracer, traced, dims)
    if found.in_order:
        groups = found.groups
        moments = build.rows("moments", form.value, groups=groups, eps=float(eps))
        standard = build.rows("standardize", form.value, moments, groups=groups, eps=float(eps))
        return _scaled(tracer, tracer.wrap(traced.sample, Rows(standard, form.before)), weight, bias)
    # Groups that do not stand together are normalised by arithmetic on repeated columns.
    total, count = _reduce(tracer, traced, dims, "sum")
    mean = Rows(build.rows("mul", total.value, 1 / count), total.before)
    centred = build.rows("sub", form.value, _spread(tracer, mean, traced, list(dims)))
    squares = tracer.wrap(traced.sample, Rows(build.rows("square", centred), form.before))
    variance, _ = _reduce(tracer, squares, dims, "sum")
    inverse = build.rows("rsqrt", build.rows("add", build.rows("mul", variance.value, 1 / count), float(eps)))
    spread = _spread(tracer, Rows(inverse, variance.before), traced, list(dims))
    result = tracer.wrap(traced.sample, Rows(build.rows("mul", centred, spread), form.before))
    return _scaled(tracer, result, weight, bias)


def _scaled(tracer: Tracer, traced: Traced, weight: Any, bias: Any) -> Rows:
    value: Argument = rows_of(traced).value
    before = rows_of(traced).before
    for op, parameter in (("mul", weight), ("add", bias)):
        if parameter is not None:
            if is_rows(parameter):
                raise UnsupportedOperation("its weight or bias differs from row to row")
            (_, other), before = match(tracer, [traced, parameter], traced.sample.shape)
            value = tracer.emit(op, value, other)
    assert isinstance(value, Value)
    return Rows(value, before)


def _max_dim(called: Called) -> Forms:
    # The place of the largest is left out: whoever reads it is told so.
    form = _amin(called) if called.name == "min" else _amax(called)
    assert isinstance(form, Rows)
    return [form, None] if isinstance(called.result, tuple) else form


def _cumsum(called: Called) -> Forms:
    import torch

    traced, dim = called.args[0], called.args[1]
    shape, tracer, form = traced.sample.shape, called.tracer, rows_of(called.args[0])
    size = shape[dim]
    if dim % len(shape) != len(shape) - 1 or size % tracer.batch == 0:
        raise UnsupportedOperation("it is not along the last axis")
    triangle = torch.ones(size, size, dtype=traced.sample.dtype).tril()
    fixed = tracer.leaves.constant(triangle)
    matrix = tracer.leaves.matrix(fixed.node, triangle)
    parts = [
        tracer.build.rows("product", tracer.build.rows("slice", form.value, start=start, stop=start + size), matrix)
        for start in range(0, form.value.width, size)
    ]
    return Rows(tracer.build.concat(parts), form.before)


HANDLERS: dict[str, Handler] = {
    "sum": _sum,
    "mean": _mean,
    "amax": _amax,
    "amin": _amin,
    "max": _max_dim,
    "min": _max_dim,
    "_softmax": _softmax,
    "_log_softmax": _softmax,
    "logsumexp": _logsumexp,
    "var": _var,
    "std": _var,
    "var_mean": _var,
    "std_mean": _var,
    "linalg_vector_norm": _norm,
    "norm": _norm,
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    "_fused_rms_norm": _rms_norm,
    "cumsum": _cumsum,
}
