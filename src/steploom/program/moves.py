"""Operators that only move features: they are run on the features' numbers, which tells where each comes from."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from torch import Tensor

from steploom.program.codes import columns, gather
from steploom.program.nested import mapped
from steploom.program.operators import Forms, Handler, as_rows, numbered, rows_of
from steploom.program.traced import Rows, Traced

if TYPE_CHECKING:
    from steploom.program.tracer import Called

__all__ = ["HANDLERS", "MOVES"]

MOVES = [
    "view", "_unsafe_view", "reshape", "permute", "transpose", "t", "unsqueeze", "squeeze", "expand", "slice", "select",
    "split", "split_with_sizes", "unbind", "narrow", "index_select", "index", "flip", "roll", "repeat", "cat", "stack",
    "alias", "diagonal", "unfold", "chunk", "constant_pad_nd",
    "unsafe_chunk", "unsafe_split", "unsafe_split_with_sizes",  # of torch.nn.LSTMCell and GRUCell
    "tril", "triu", "diag_embed", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle",
    "replication_pad1d", "replication_pad2d", "reflection_pad1d", "reflection_pad2d",
    "upsample_nearest1d", "upsample_nearest2d",
]  # fmt: skip

FOR_FLOATS_ALONE = ("upsample_nearest1d", "upsample_nearest2d")

ZEROS_ELSEWHERE = ("tril", "triu", "diag_embed")

BY_INDICES = ("index", "index_select")


def _move(called: Called) -> Forms:
    tracer = called.tracer
    tensors: list[Traced] = []

    def taken(traced: Traced) -> Traced:
        tensors.append(as_rows(tracer, traced))
        return traced

    given = called.args
    if called.name == "cat":  # parts of no feature, as h[:, :0], count for nothing
        given = ([part for part in given[0] if part.numel()], *given[1:])
    args = [
        mapped(argument, Traced, attrgetter("sample") if place and called.name in BY_INDICES else taken)
        for place, argument in enumerate(given)
    ]
    kwargs = dict(called.kwargs)
    padding = float(args[2]) if called.name == "constant_pad_nd" and len(args) > 2 else 0.0
    if called.name == "constant_pad_nd":
        args = [args[0], args[1], -1]
    codes, total = numbered(tracer, tensors)
    first = 1 if called.name in ZEROS_ELSEWHERE else 0  # so that what becomes 0 is below all numbers
    found = iter(numbers + first for numbers in codes)
    if called.name in FOR_FLOATS_ALONE:
        found = iter(numbers.double() for numbers in codes)
    moved = called.function(*mapped(args, Traced, lambda _: next(found)), **kwargs)
    if called.name in FOR_FLOATS_ALONE:
        moved = moved.long()
    elif first:
        moved = moved - first
    sources = [rows_of(traced).value for traced in tensors]

    def form_of(numbers: Tensor) -> Rows:
        wanted, before = columns(numbers, tracer.batch, total)
        return Rows(gather(tracer.build, sources, wanted, padding), before)

    return form_of(moved) if isinstance(moved, Tensor) else [form_of(part) for part in moved]


HANDLERS: dict[str, Handler] = dict.fromkeys(MOVES, _move)
