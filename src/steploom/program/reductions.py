"""PyTorch's sums, means, maxima, variances and lengths over features, in primitives."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from steploom.errors import UnsupportedOperation
from steploom.program.codes import columns, gather
from steploom.program.gathers import sum_of_parts
from steploom.program.operators import Forms, Handler, match, numbered, rows_of
from steploom.program.ordering import argmax, axis_of
from steploom.program.program import Value
from steploom.program.traced import Rows, Traced

if TYPE_CHECKING:
    from torch import Tensor

    from steploom.program.tracer import Called, Tracer

__all__ = ["HANDLERS", "centred", "grouped", "spread_over", "sum_of_squares", "with_value"]


def _reduced(tracer: Tracer, traced: Traced, dims: Any, op: str, **attrs: int) -> tuple[Rows, int]:
    """The sum or max over some axes, which then have size 1, and how many numbers make one of the result."""
    value = rows_of(traced).value
    found = grouped(tracer, traced, dims)
    before, groups = found.before, found.groups
    count = value.width // groups
    if found.in_order:
        return Rows(tracer.build.rows(op, value, groups=groups, **attrs), min(before, groups)), count
    first, _ = columns(found.across, tracer.batch, value.width)
    if op == "sum" and first == list(range(value.width)):
        # The parts to be added lie side by side, as heads do.
        result = sum_of_parts(tracer.build, value, value.width, count)
        assert isinstance(result, Value)
        return Rows(result, before), count
    return Rows(
        tracer.build.rows(op, gather(tracer.build, [value], found.wanted), groups=groups, **attrs), before
    ), count


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


def grouped(tracer: Tracer, traced: Traced, dims: Any) -> _Grouped:
    """How the features of a tensor lie that are reduced over some axes."""
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
    return _reduced(called.tracer, called.args[0], _dims(called), "sum")[0]


def _mean(called: Called) -> Forms:
    return _mean_over(called.tracer, called.args[0], _dims(called))


def _mean_over(tracer: Tracer, traced: Traced, dims: Any) -> Rows:
    total, count = _reduced(tracer, traced, dims, "sum")
    return Rows(tracer.build.rows("mul", total.value, 1 / count), total.before)


def _amax(called: Called) -> Forms:
    return _reduced(called.tracer, called.args[0], _dims(called), "max")[0]


def _amin(called: Called) -> Forms:
    form = _amax(_negated(called))
    assert isinstance(form, Rows)
    return Rows(called.tracer.build.rows("neg", form.value), form.before)


def _any(called: Called) -> Forms:
    traced = called.args[0]
    true = called.tracer.build.rows("ne", rows_of(traced).value, 0.0)
    return _reduced(called.tracer, with_value(called.tracer, traced, true), _dims(called), "max")[0]


def _all(called: Called) -> Forms:
    traced, build = called.args[0], called.tracer.build
    false = with_value(called.tracer, traced, build.rows("eq", rows_of(traced).value, 0.0))
    form, _ = _reduced(called.tracer, false, _dims(called), "max")
    return Rows(build.rows("eq", form.value, 0.0), form.before)


def _negated(called: Called) -> Called:
    traced = called.args[0]
    negative = called.tracer.build.rows("neg", rows_of(traced).value)
    return replace(called, args=(with_value(called.tracer, traced, negative), *called.args[1:]))


def spread_over(tracer: Tracer, form: Rows, traced: Traced, dims: Any) -> Value:
    """A reduced value broadcast back to the shape it was reduced from."""
    sample = traced.sample.sum(dims, keepdim=True)
    (value,), _ = match(tracer, [tracer.wrap(sample, form)], traced.sample.shape)
    assert isinstance(value, Value)
    return value


def with_value(tracer: Tracer, traced: Traced, value: Value) -> Traced:
    """The tensor with another value in its place, such as its squares."""
    return tracer.wrap(traced.sample, Rows(value, rows_of(traced).before))


def centred(tracer: Tracer, traced: Traced, dims: Any) -> tuple[Rows, Traced]:
    """The mean over some axes, and the tensor less that."""
    mean = _mean_over(tracer, traced, dims)
    rest = tracer.build.rows("sub", rows_of(traced).value, spread_over(tracer, mean, traced, dims))
    return mean, with_value(tracer, traced, rest)


def sum_of_squares(tracer: Tracer, traced: Traced, dims: Any) -> tuple[Rows, int]:
    """The sum of the squares over some axes, and how many numbers make one of the result."""
    squares = tracer.build.rows("square", rows_of(traced).value)
    return _reduced(tracer, with_value(tracer, traced, squares), dims, "sum")


def _powers(tracer: Tracer, traced: Traced, dims: Any) -> tuple[Rows, Value, Value, Rows]:
    """The largest over some axes, the tensor less that, the powers of e of this, and their sum over the axes."""
    build = tracer.build
    largest, _ = _reduced(tracer, traced, dims, "max")
    # The largest cancels out, so it has no part in the gradient.
    largest = Rows(build.rows("detach", largest.value), largest.before)
    shifted = build.rows("sub", rows_of(traced).value, spread_over(tracer, largest, traced, dims))
    each = build.rows("exp", shifted)
    total, _ = _reduced(tracer, with_value(tracer, traced, each), dims, "sum")
    return largest, shifted, each, total


def _softmax(called: Called) -> Forms:
    traced, dim = called.args[0], called.args[1]
    tracer, build, before = called.tracer, called.tracer.build, rows_of(traced).before
    _, shifted, each, total = _powers(tracer, traced, dim)
    if called.name == "_log_softmax":
        logarithm = Rows(build.rows("log", total.value), total.before)
        return Rows(build.rows("sub", shifted, spread_over(tracer, logarithm, traced, dim)), before)
    inverse = Rows(build.rows("reciprocal", total.value), total.before)
    return Rows(build.rows("mul", each, spread_over(tracer, inverse, traced, dim)), before)


def _logsumexp(called: Called) -> Forms:
    build = called.tracer.build
    largest, _, _, total = _powers(called.tracer, called.args[0], called.args[1])
    return Rows(build.rows("add", build.rows("log", total.value), largest.value), total.before)


def _var(called: Called) -> Forms:
    traced, dims = called.args[0], _dims(called)
    tracer, build = called.tracer, called.tracer.build
    correction = called.kwargs.get("correction", 1)
    axes = list(range(traced.sample.dim())) if dims is None else dims
    mean, rest = centred(tracer, traced, axes)
    total, count = sum_of_squares(tracer, rest, axes)
    variance = build.rows("mul", total.value, 1 / (count - (1 if correction is None else correction)))
    if called.name.startswith("std"):
        variance = build.rows("sqrt", variance)
    result = Rows(variance, total.before)
    return [result, mean] if called.name.endswith("_mean") else result


def _norm(called: Called) -> Forms:
    power = called.args[1] if len(called.args) > 1 else 2
    if power not in (None, 1, 2):
        raise UnsupportedOperation(f"a norm of order {power}")
    traced, dims = called.args[0], _dims(called, 2)
    tracer, build = called.tracer, called.tracer.build
    if power == 1:
        return _reduced(tracer, with_value(tracer, traced, build.rows("abs", rows_of(traced).value)), dims, "sum")[0]
    total, _ = sum_of_squares(tracer, traced, dims)
    return Rows(build.rows("sqrt", total.value), total.before)


def _max_along(called: Called) -> Forms:
    """The largest or smallest along an axis, of which the first has the gradient, and its index."""
    tracer, dim = called.tracer, axis_of(_dims(called))
    keepdim = called.result[0].dim() == called.args[0].sample.dim()
    smallest = called.name == "min"
    traced = (_negated(called) if smallest else called).args[0]
    form, _ = _reduced(tracer, traced, dim, "max", first=1)
    value = tracer.build.rows("neg", form.value) if smallest else form.value
    return [Rows(value, form.before), rows_of(tracer.composed(argmax, traced, dim, keepdim))]


HANDLERS: dict[str, Handler] = {
    "sum": _sum,
    "mean": _mean,
    "amax": _amax,
    "amin": _amin,
    "any": _any,
    "all": _all,
    "max": _max_along,
    "min": _max_along,
    "_softmax": _softmax,
    "_log_softmax": _softmax,
    "logsumexp": _logsumexp,
    "var": _var,
    "std": _var,
    "var_mean": _var,
    "std_mean": _var,
    "linalg_vector_norm": _norm,
    "norm": _norm,
}
