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
from steploom.engine.native import gather, threads_of
from steploom.engine.passes import Sequences
from steploom.engine.seen import is_looked_at

__all__ = ["Repeat", "remember", "repeat_of"]

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


def repeat_of(
    cell: Cell, engine: str, x: Tensor, backwards: bool, batch_first: bool, checkpoint_every: int
) -> tuple[Repeat | None, Hashable]:
    """What the last call like this one, without lengths and resets, found out; None where anything is different.

    Args:
        cell: the step.
        engine: what the layer asks for.
        x: inputs (time, batch, input_size).
        backwards, batch_first, checkpoint_every: see `native.run`.

    Returns:
        What was found out, and the key of such calls, for `remember`.
    """
    asked = engine, engine_wanted(), kernels_wanted() or of_environment(), torch.get_num_threads()
    key = (*asked, type(x), x.shape, x.dtype, x.device, backwards, batch_first, checkpoint_every)
    known = known_of(cell)
    if not known or torch.is_autocast_enabled("cpu") or torch._C._len_torch_function_stack() or is_looked_at():
        return None, key
    found: Repeat | None = known[0].repeats.get(key)
    if found is None or torch._C._are_functorch_transforms_active() or not known[0].watch.unchanged(cell):
        return None, key
    return (found if all(map(Tensor.is_contiguous, found.leaves)) else None), key


def remember(
    cell: Cell,
    key: Hashable,
    x: Tensor,
    compiled: Compiled,
    backwards: bool,
    batch_first: bool,
    checkpoint_every: int,
) -> None:
    """Note what a call of the native engine found out, if the next one may rely on it: if the weights are read as they
    are, and nothing is computed of them first.

    Args:
        cell, x, backwards, batch_first, checkpoint_every: as in `repeat_of`.
        key: what that returned.
        compiled: the plan that ran.
    """
    known = known_of(cell)
    if not known or compiled is not known[0].found or torch.is_autocast_enabled("cpu"):
        return
    if compiled.program.prologue is not None:
        return
    leaves = gather(compiled.program, cell)
    if not known[0].watch.has(leaves):
        return
    repeats = known[0].repeats
    if len(repeats) >= MOST_SHAPES:
        repeats.clear()
    sequences = Sequences(None, backwards, None, *threads_of(compiled, x), batch_first, checkpoint_every)
    repeats[key] = Repeat(compiled, leaves, sequences)
