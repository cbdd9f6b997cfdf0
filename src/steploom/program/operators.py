"""PyTorch's operators on tensors with a batch, in primitives: one function a kind of operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from steploom.errors import UnsupportedOperation
from steploom.program.codes import code, columns, gather, layout
from steploom.program.elementwise import ELEMENTWISE, LOGICAL
from steploom.program.nested import mapped
from steploom.program.program import Argument, Value
from steploom.program.traced import Complex, Fixed, Form, Rows, Traced

if TYPE_CHECKING:
    from steploom.program.tracer import Called, Tracer

__all__ = ["HANDLERS", "Forms", "Handler", "as_rows", "is_rows", "match", "numbered", "rows_of", "spread"]

Forms = Form | list[Form | None]
Handler = Callable[["Called"], Forms]

ON_TRUTH = {"where", "mul", "clone", "detach", "gt", "ge", "lt", "le", "eq", "ne", "masked_fill", "isnan", *LOGICAL}

OF_BITS = {name for name in LOGICAL if not name.startswith("logical")}

NEW = ["zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full", "empty_like", "new_empty"]


def _elementwise(called: Called) -> Forms:
    tensors = [item for item in called.args if isinstance(item, Traced)]
    result = called.result[0] if isinstance(called.result, tuple) else called.result
    truths = all(tensor.sample.dtype == torch.bool for tensor in tensors)
    if truths and result.dtype == torch.bool and called.name not in ON_TRUTH:
        raise UnsupportedOperation("it does arithmetic on truth values; write mask.to(h.dtype)")
    if not truths and called.name in OF_BITS:
        raise UnsupportedOperation("it treats the bits of whole numbers")
    if called.name == "pow" and not (result.is_floating_point() or is_number(called.args[1])):
        raise UnsupportedOperation("a power of whole numbers would be none; make one of them a float")
    aligned, before = match(called.tracer, called.args, result.shape)
    options = {name: float(item) if is_number(item) else item for name, item in called.kwargs.items()}
    options = {name: item for name, item in options.items() if name not in ("dtype", "layout", "memory_format")}
    value = ELEMENTWISE[called.name](called.tracer.emit, *aligned, **options)
    if isinstance(value, float):
        value = called.tracer.build.write("fill", width=prod(result.shape) // called.tracer.batch, value=value)
    form = Rows(value, before)
    return [form, None] if isinstance(called.result, tuple) else form


def match(tracer: Tracer, args: Sequence[Any], shape: Sequence[int]) -> tuple[list[Any], int]:
    """The arguments of an elementwise operator as values of one width, broadcast to `shape`, and the place of the
    batch in it."""
    places = {number: _broadcast(tracer, item, shape) for number, item in enumerate(args) if is_rows(item)}
    befores = {before for _, before in places.values()}
    if len(befores) != 1:
        raise UnsupportedOperation("its arguments have the batch in different places, so its rows are mixed")
    before = befores.pop()
    aligned: list[Any] = []
    for number, item in enumerate(args):
        if number in places:
            aligned.append(places[number][0])
        elif isinstance(item, Traced):
            aligned.append(_vector(tracer, item, shape, before))
        else:
            aligned.append(float(item) if is_number(item) else item)
    return aligned, before


def _broadcast(tracer: Tracer, traced: Traced, shape: Sequence[int]) -> tuple[Value, int]:
    form = rows_of(traced)
    if tuple(traced.sample.shape) == tuple(shape):
        return form.value, form.before
    numbers, total = numbered(tracer, [traced])
    wanted, before = columns(numbers[0].expand(*shape), tracer.batch, total)
    return gather(tracer.build, [form.value], wanted), before


def _vector(tracer: Tracer, traced: Traced, shape: Sequence[int], before: int) -> Argument:
    form = traced.form
    assert isinstance(form, Fixed)
    if form.real_number is not None:
        return form.real_number
    place = layout(shape, before, tracer.batch)
    aligned = [*([1] * (len(shape) - traced.sample.dim())), *traced.sample.shape]
    if place is None or aligned[place.axis] != 1:
        raise UnsupportedOperation("a parameter is as long as the batch where it meets it")
    features = [*shape[: place.axis], place.outer, place.inner, *shape[place.axis + 1 :]]
    own = [*aligned[: place.axis], 1, 1, *aligned[place.axis + 1 :]]
    if tuple(own) != tuple(traced.sample.shape):
        form = Fixed(tracer.leaves.reshaped(form, traced.sample.shape, own)[0])
    reference, sample = tracer.leaves.reshaped(form, features, [prod(features)])
    return tracer.leaves.vector(reference, sample)


def _fill(called: Called) -> Forms:
    result = called.result
    if called.name in ("empty_like", "new_empty"):
        result = torch.full_like(result, torch.nan)
    if all(size % called.tracer.batch for size in result.shape):
        return called.tracer.leaves.constant(result)
    source = next(item for item in called.args if isinstance(item, Traced))
    like = source.sample.shape == result.shape
    before = rows_of(source).before if like else _only_place(result.shape, called.tracer.batch)
    number = float(result.reshape(-1)[0])
    return Rows(called.tracer.build.write("fill", width=result.numel() // called.tracer.batch, value=number), before)


def _write_over(called: Called) -> Forms:
    """`copy`, `fill` and `zero`: what is written in place of a tensor."""
    tracer, target = called.tracer, called.args[0]
    source = called.args[1] if len(called.args) > 1 else 0.0
    (_, value), before = match(tracer, [target, source], called.result.shape)
    width = prod(called.result.shape) // tracer.batch
    if isinstance(source, Traced):
        value = _converted(tracer, value, source.sample.dtype, called.result.dtype)
    if isinstance(value, float):
        value = tracer.build.write("fill", width=width, value=value)
    elif value.kind == "vector":
        value = tracer.build.write("add", tracer.build.write("fill", width=width, value=0.0), value)
    return Rows(value, before)


def _index_put(called: Called) -> Forms:
    tracer = called.tracer
    target, indices, source, *accumulate = called.args
    if any(accumulate) or called.kwargs.get("accumulate"):
        raise UnsupportedOperation("it adds to what is there")
    number = source.form.real_number if isinstance(source.form, Fixed) else None
    if any(map(is_rows, indices)):
        by_mask = len(indices) == 1 and indices[0].sample.dtype == torch.bool
        if not by_mask or number is None or indices[0].sample.shape != target.sample.shape:
            raise UnsupportedOperation("which of the features it writes differs from row to row")
        (mask, old), before = match(tracer, [indices[0], target], target.sample.shape)
        return Rows(tracer.build.rows("where", mask, number, old), before)
    indices = mapped(indices, Traced, attrgetter("sample"))
    tensors = [target] if number is not None else [target, as_rows(tracer, source)]
    codes, total = numbered(tracer, tensors)
    # Codes below 0 are padding.
    codes.append(torch.tensor(-1))
    wanted, before = columns(called.function(codes[0], indices, codes[1]), tracer.batch, total)
    sources = [rows_of(traced).value for traced in tensors]
    return Rows(gather(tracer.build, sources, wanted, number or 0.0), before)


def _only_place(shape: Sequence[int], batch: int) -> int:
    axes = [axis for axis, size in enumerate(shape) if size == batch]
    if len(axes) != 1:
        raise UnsupportedOperation("it is not clear where the batch stands in a new tensor")
    return prod(shape[: axes[0]])


def _to(called: Called) -> Forms:
    form = rows_of(called.args[0])
    value = _converted(called.tracer, form.value, called.args[0].sample.dtype, called.result.dtype)
    assert isinstance(value, Value)
    return Rows(value, form.before)


def _converted(tracer: Tracer, value: Argument, before: torch.dtype, after: torch.dtype) -> Argument:
    """Numbers as those of another dtype: truth values, or whole numbers."""
    if after == torch.bool and before != torch.bool:
        return tracer.emit("ne", value, 0.0)
    if before.is_floating_point and not after.is_floating_point:
        return ELEMENTWISE["trunc"](tracer.emit, value)
    return value


def _glu(called: Called) -> Forms:
    traced, tracer = called.args[0], called.tracer
    dim = called.args[1] if len(called.args) > 1 else -1
    numbers, total = numbered(tracer, [traced])
    halves = [columns(half, tracer.batch, total) for half in numbers[0].chunk(2, dim)]
    value, gate = (gather(tracer.build, [rows_of(traced).value], wanted) for wanted, _ in halves)
    return Rows(tracer.build.rows("mul", value, tracer.build.rows("sigmoid", gate)), halves[0][1])


def numbered(tracer: Tracer, tensors: Sequence[Traced]) -> tuple[list[Tensor], int]:
    """For each tensor, one that numbers its elements, and how far rows are apart in these numbers."""
    forms = [rows_of(traced) for traced in tensors]
    total = sum(form.value.width for form in forms)
    firsts = [sum(form.value.width for form in forms[:number]) for number in range(len(forms))]
    numbers = [
        code(form, traced.sample.shape, tracer.batch, first, total)
        for form, traced, first in zip(forms, tensors, firsts, strict=True)
    ]
    return numbers, total


def as_rows(tracer: Tracer, traced: Traced) -> Traced:
    """A tensor with rows of its own: what is the same for all rows is refused."""
    if isinstance(traced.form, Rows):
        return traced
    raise UnsupportedOperation(
        "it joins a parameter to what differs from row to row; expand the parameter to the batch first"
    )


def spread(tracer: Tracer, function: Any, args: Sequence[Any], result: Tensor) -> Rows | None:
    """A parameter repeated for every row of the batch; None where the operator does not do that."""
    name = function._schema.name.removeprefix("aten::")
    axes = [axis for axis, size in enumerate(result.shape) if size == tracer.batch]
    if name not in ("expand", "repeat") or len(axes) != 1:
        return None
    sizes = list(args[1])
    sizes[axes[0]] = 1
    single = function(args[0].sample, sizes)
    if single.shape[axes[0]] != 1:
        return None
    (form,) = tracer.leaves.call(function, (args[0], sizes), {}, single)
    reference, sample = tracer.leaves.reshaped(form, single.shape, [single.numel()])
    vector = tracer.leaves.vector(reference, sample)
    value = tracer.build.write("add", tracer.build.write("fill", width=vector.width, value=0.0), vector)
    tracer.spread[value] = reference
    return Rows(value, prod(result.shape[: axes[0]]))


def rows_of(traced: Traced) -> Rows:
    """The form of a tensor with a batch."""
    if isinstance(traced.form, Complex):
        raise UnsupportedOperation("it is called with complex numbers")
    if not isinstance(traced.form, Rows):
        raise UnsupportedOperation("it takes a parameter where it must take what differs from row to row")
    return traced.form


def is_rows(item: object) -> bool:
    """Whether a traced tensor has a batch."""
    return isinstance(item, Traced) and isinstance(item.form, (Rows, Complex))


def is_number(item: object) -> bool:
    """Whether an argument is a number."""
    return isinstance(item, (int, float))


HANDLERS: dict[str, Handler] = {"_to_copy": _to, "lift_fresh": _to, "glu": _glu, "index_put": _index_put}
HANDLERS |= dict.fromkeys(["copy", "fill", "zero"], _write_over)
for _names, _handler in ((ELEMENTWISE, _elementwise), (NEW, _fill)):
    HANDLERS |= dict.fromkeys(_names, _handler)
