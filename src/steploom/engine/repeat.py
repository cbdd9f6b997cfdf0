"""Calls like one before: what was found out then is not found out again.

A step of training of a small layer takes a few milliseconds of the core. What lies between the layer and the core would
take a tenth of that, since each function of Python is slow whose memory the numbers have pushed out of the caches.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

import torch
from torch import Tensor

from steploom.cells.cell import Cell
from steploom.engine.choice import engine_wanted
from steploom.engine.compiled import Compiled, known_of
from steploom.engine.kernels import kernels_wanted, of_environment
from steploom.engine.native import gather, without_lengths
from steploom.engine.passes import Sequences
from steploom.engine.seen import is_looked_at

__all__ = ["MOST_SHAPES", "Repeat", "key_of", "remember", "repeat_of"]

# Batches of so many shapes are remembered; with more of them it begins anew.
MOST_SHAPES = 64


class Repeat(NamedTuple):
    """What a call of the native engine found out.

    Attributes:
        compiled: the plan of the cell.
        leaves: the tensors that the program reads from the cell.
        sequences: direction and threads.
    """

    compiled: Compiled
    leaves: list[Tensor]
    sequences: Sequences


def key_of(engine: str, x: Tensor, *how: Hashable) -> Hashable | None:
    """What calls without lengths and resets that find out the same have in common; None for one that must find out all.

    Args:
        engine: what the layer asks for.
        x: the input, as the caller gives it.
        how: whatever else tells such calls apart.
    """
    # Under autocast the dtypes differ; modes, tracers and the transforms of torch.func have to be told, or to refuse.
    if torch.is_autocast_enabled("cpu") or torch._C._len_torch_function_stack() or is_looked_at():
        return None
    if torch._C._are_functorch_transforms_active():
        return None
    asked = engine, engine_wanted(), kernels_wanted() or of_environment(), torch.get_num_threads()
    return (*asked, type(x), x.shape, x.dtype, x.device, *how)


def repeat_of(cell: Cell, key: Hashable | None) -> Repeat | None:
    """What the last call of that key found out; None where anything about the cell is different."""
    known = known_of(cell)
    found: Repeat | None = known[0].repeats.get(key) if known and key is not None else None
    if found is None or not known[0].watch.unchanged(cell):  # type: ignore[index] # known, as something was found
        return None
    return found if all(map(Tensor.is_contiguous, found.leaves)) else None


def remember(
    cell: Cell,
    key: Hashable | None,
    x: Tensor,
    compiled: Compiled,
    backwards: bool,
    batch_first: bool,
    checkpoint_every: int,
) -> None:
    """Note what a call of the native engine found out, if the next one may rely on it: if the weights are read as they
    are, and nothing is computed of them first.

    Args:
        cell: the step.
        key: what `key_of` gave for the call.
        x: inputs (time, batch, input_size).
        compiled: the plan that ran.
        backwards, batch_first, checkpoint_every: see `native.run`.
    """
    known = known_of(cell)
    if key is None or not known or compiled is not known[0].found or compiled.program.prologue is not None:
        return
    leaves = gather(compiled.program, cell, x)
    if known[0].watch.has(leaves):
        sequences = without_lengths(compiled, x, backwards, batch_first, checkpoint_every)
        repeats = known[0].repeats
        if len(repeats) >= MOST_SHAPES:
            repeats.clear()
        repeats[key] = Repeat(compiled, leaves, sequences)
