"""PyTorch's normalising layers in primitives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from steploom.errors import UnsupportedOperation
from steploom.program.operators import Forms, Handler, is_rows, match, rows_of
from steploom.program.program import Argument, Value
from steploom.program.reductions import centred, grouped, spread_over, sum_of_squares, with_value
from steploom.program.traced import Rows, Traced

if TYPE_CHECKING:
    from steploom.program.tracer import Called, Tracer

__all__ = ["HANDLERS"]


def _layer_norm(called: Called) -> Forms:
    traced, shape, weight, bias, eps = called.args
    normalised = _normalised(called.tracer, traced, list(range(-len(shape), 0)), eps)
    return [_scaled(called.tracer, normalised, weight, bias), None, None]


def _group_norm(called: Called) -> Forms:
    traced, weight, bias, batch, channels, rest, groups, eps = called.args
    tracer, form = called.tracer, rows_of(traced)
    if batch != tracer.batch or form.before != 1 or rest != 1:
        raise UnsupportedOperation("it normalises groups of something other than (batch, features)")
    sample = traced.sample.reshape(batch, groups, channels // groups)
    normalised = _normalised(tracer, tracer.wrap(sample, form), [-1], eps)
    return [_scaled(tracer, with_value(tracer, traced, rows_of(normalised).value), weight, bias), None, None]


def _batch_norm(called: Called) -> Forms:
    traced, weight, bias, mean, variance, training, _, eps = called.args
    tracer = called.tracer
    if training or traced.sample.dim() != 2 or traced.sample.shape[0] != tracer.batch:
        raise UnsupportedOperation("it takes its means from the batch, or something other than (batch, features)")
    (value, centre, spread), _ = match(tracer, [traced, mean, variance], traced.sample.shape)
    inverse = tracer.emit("rsqrt", tracer.emit("add", spread, float(eps)))
    normalised = tracer.emit("mul", tracer.emit("sub", value, centre), inverse)
    assert isinstance(normalised, Value)
    return [_scaled(tracer, with_value(tracer, traced, normalised), weight, bias), None, None]


def _rms_norm(called: Called) -> Forms:
    traced, shape, weight, eps = called.args
    eps = torch.finfo(traced.sample.dtype).eps if eps is None else eps
    normalised = _over_root_mean_square(called.tracer, traced, list(range(-len(shape), 0)), eps)
    return [_scaled(called.tracer, normalised, weight, None), None]


def _normalised(tracer: Tracer, traced: Traced, dims: Sequence[int], eps: float) -> Traced:
    found = grouped(tracer, traced, dims)
    if found.in_order:
        build, value, groups = tracer.build, rows_of(traced).value, found.groups
        moments = build.rows("moments", value, groups=groups, eps=float(eps))
        standard = build.rows("standardize", value, moments, groups=groups, eps=float(eps))
        return with_value(tracer, traced, standard)
    # Groups that do not stand together are normalised by arithmetic on repeated columns.
    _, rest = centred(tracer, traced, dims)
    return _over_root_mean_square(tracer, rest, dims, eps)


def _over_root_mean_square(tracer: Tracer, traced: Traced, dims: Sequence[int], eps: float) -> Traced:
    """A tensor divided by the root of the mean of its squares over some axes."""
    build = tracer.build
    total, count = sum_of_squares(tracer, traced, dims)
    inverse = build.rows("rsqrt", build.rows("add", build.rows("mul", total.value, 1 / count), float(eps)))
    spread = spread_over(tracer, Rows(inverse, total.before), traced, dims)
    return with_value(tracer, traced, build.rows("mul", rows_of(traced).value, spread))


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


HANDLERS: dict[str, Handler] = {
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    "native_batch_norm": _batch_norm,
    "_fused_rms_norm": _rms_norm,
}
