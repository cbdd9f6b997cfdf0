"""Writes in place, as `a.add_(b)` or `a[:, :4] = b`: all that see what is written stand for new values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from steploom.errors import UnsupportedOperation
from steploom.program.codes import columns, gather
from steploom.program.operators import is_rows, numbered, rows_of
from steploom.program.pairs import Pair
from steploom.program.traced import Complex, Form, Rows, Traced

if TYPE_CHECKING:
    from steploom.program.tracer import Tracer

__all__ = ["SHARED", "functional", "sharing", "written"]

SHARED = "it writes into a tensor that others see a part of"


def functional(name: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The operator that gives what `function` writes.

    Raises:
        UnsupportedOperation: there is none.
    """
    if args and isinstance(args[0], Traced) and name.endswith("_") and not name.endswith("__") and "out" not in kwargs:
        packet, overload = getattr(torch.ops.aten, name[:-1], None), function._overloadname
        if name == "pow_":  # of which the names without the underscore tell both arguments
            overload = f"Tensor_{overload}"
        if packet is not None and overload in packet.overloads():
            return getattr(packet, overload)
    raise UnsupportedOperation("it writes into a tensor that exists already")


def sharing(target: Traced, live: Iterable[Traced]) -> list[Traced]:
    """The other tensors that share the memory of `target`.

    Raises:
        UnsupportedOperation: what is written into it cannot be followed into one of them.
    """
    others = [other for other in live if other is not target and _storage(other) == _storage(target)]
    # What sees the same memory as other numbers: the parts of complex ones, or their conjugates.
    kinds = {(traced.dtype, traced.sample.is_conj()) for traced in [target, *others]}
    if others and (len(kinds) > 1 or not all(map(is_rows, [target, *others]))):
        raise UnsupportedOperation(SHARED)
    return others


def _storage(traced: Traced) -> int:
    return traced.sample.untyped_storage().data_ptr()


def written(tracer: Tracer, target: Traced, changed: Traced, others: list[Traced]) -> Traced:
    """`target`, after what `changed` holds was written into it.

    Args:
        tracer: who takes note.
        target: the tensor that is written into.
        changed: what it holds then.
        others: all tensors besides that share its memory.
    """
    if changed.sample.dtype != target.sample.dtype or changed.sample.shape != target.sample.shape:
        raise UnsupportedOperation("it changes the type of a tensor in place")
    if others:
        now = tracer.wrap(target.sample, changed.form)
        seen = _places(target.sample)
        for other in others:
            other.form = _past(tracer, other.form, _merged(tracer, other, now, seen))
    else:
        # The strides that PyTorch sees are those of the tensor as it was made.
        target.sample = torch.empty_strided(
            target.shape, target.stride(), dtype=target.dtype, device=target.device
        ).copy_(changed.sample)
    target.form = _past(tracer, target.form, changed.form)
    return target


def _past(tracer: Tracer, old: Form, new: Form) -> Form:
    """`new`; without a gradient, it goes on to the tensor as it was, past the change."""
    if new is old or torch.is_grad_enabled():
        return new
    if isinstance(new, Complex) and isinstance(old, Complex):
        halves = zip(_halves(tracer, old), _halves(tracer, new), strict=True)
        return _complex(tracer, new, [_past(tracer, before, after) for before, after in halves])
    if not (isinstance(old, Rows) and isinstance(new, Rows)):
        return new
    away = tracer.build.rows("detach", tracer.build.rows("sub", new.value, old.value))
    return Rows(tracer.build.rows("add", old.value, away), new.before)


def _merged(tracer: Tracer, other: Traced, now: Traced, seen: Tensor) -> Form:
    """What a tensor stands for that shares memory with `now`, which was written at the places `seen`."""
    if isinstance(other.form, Complex) and isinstance(now.form, Complex):
        halves = zip(_halves(tracer, other.form), _halves(tracer, now.form), strict=True)
        # Each as if it lay in memory as the whole does.
        merged = [
            _merged(tracer, Traced(other.sample, one, tracer), Traced(now.sample, written, tracer), seen)
            for one, written in halves
        ]
        return _complex(tracer, other.form, merged)
    places = _places(other.sample)
    number_there = torch.full((int(max(places.max(), seen.max())) + 1,), -1)
    number_there[seen.flatten()] = torch.arange(seen.numel())
    overwritten = number_there[places]
    if not bool((overwritten >= 0).any()):
        return other.form
    (old, new), total = numbered(tracer, [other, now])
    codes = torch.where(overwritten >= 0, new.flatten()[overwritten], old)
    wanted, before = columns(codes, tracer.batch, total)
    return Rows(gather(tracer.build, [rows_of(other).value, rows_of(now).value], wanted), before)


def _halves(tracer: Tracer, form: Complex) -> list[Form]:
    """What the real and the imaginary part stand for."""
    parts = tracer.composed(lambda: Pair(form.real, form.imaginary).whole)
    return [part.form for part in parts]


def _complex(tracer: Tracer, like: Complex, halves: list[Form]) -> Complex:
    return Complex(*(Traced(like.real.sample, half, tracer) for half in halves))


def _places(sample: Tensor) -> Tensor:
    """Where in its memory each element of a tensor lies."""
    size = sample.untyped_storage().nbytes() // sample.element_size()
    return torch.arange(size).as_strided(sample.size(), sample.stride(), sample.storage_offset())
