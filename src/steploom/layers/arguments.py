"""What a recurrent layer refuses to run over, and why."""

from __future__ import annotations

import torch
from torch import Tensor

from steploom.cells.cell import Cell, real_weight
from steploom.errors import OptionError

__all__ = ["autocasts", "check_dtype", "check_input", "check_state", "checked_lengths", "checked_resets"]

# Those that PyTorch finds the smallest of; it hardly knows the other whole numbers.
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def autocasts(x: Tensor) -> bool:
    """Whether autocast chooses dtypes on the device of `x`. The device of shapes without numbers does not know it."""
    return x.device.type != "meta" and torch.is_autocast_enabled(x.device.type)


def check_input(cell: Cell, x: object, batch_first: bool) -> None:
    """Checks the sequences.

    Args:
        cell: what runs over them.
        x: what the caller gave.
        batch_first: whether it should be (batch, time, input_size).

    Raises:
        OptionError: the shape is wrong.
    """
    layout = "(batch, time, input_size)" if batch_first else "(time, batch, input_size)"
    if not isinstance(x, Tensor):
        raise OptionError(f"x must be a tensor {layout}, found {_kind(x)}.")
    if x.dim() != 3 or x.shape[-1] != cell.input_size:
        raise OptionError(f"x must be {layout} with input_size {cell.input_size}, found {tuple(x.shape)}.")
    if x.shape[1 if batch_first else 0] == 0:
        raise OptionError(f"x must hold at least one step, found {tuple(x.shape)} as {layout}.")


def check_dtype(cell: Cell, x: Tensor) -> None:
    """Checks that the sequences have the dtype of the weights.

    Raises:
        OptionError: they have not.
    """
    dtype = real_weight(cell, x).dtype
    if x.dtype != dtype and not autocasts(x):
        raise OptionError(f"x is {x.dtype} but the weights are {dtype}. Convert one: x.to({dtype}).")


def check_state(cell: Cell, state: object, x: Tensor, places: tuple[int, int]) -> None:
    """Checks the states that sequences go on from.

    Args:
        cell: whose states they are.
        state: what the caller gave.
        x: the sequences.
        places: (num_layers * num_directions, batch).

    Raises:
        OptionError: there are too many or too few, or one has the wrong shape, dtype or device.
    """
    names = ", ".join(cell.states)
    if not isinstance(state, tuple) or len(state) != len(cell.states):
        found = f"a tuple of {len(state)}" if isinstance(state, tuple) else _kind(state)
        raise OptionError(f"state must be a tuple with one tensor for each state of the cell ({names}), found {found}.")
    for (name, size), part in zip(cell.states.items(), state, strict=True):
        if not isinstance(part, Tensor):
            raise OptionError(f"state `{name}` must be a tensor, found {_kind(part)}.")
        if (part.dtype, part.device) != (x.dtype, x.device) and not autocasts(x):
            raise OptionError(
                f"state `{name}` is {part.dtype} on {part.device}, but x is {x.dtype} on {x.device}. Convert one."
            )
        if part.shape != (expected := (*places, size)):
            raise OptionError(
                f"state `{name}` must be (num_layers * directions, batch, size) = {expected}, "
                f"found {tuple(part.shape)}."
            )


def checked_lengths(lengths: object, time: int, batch: int) -> Tensor:
    """The lengths as int64.

    Raises:
        OptionError: they are no integers (batch,) from 0 to `time`.
    """
    if not isinstance(lengths, Tensor):
        raise OptionError(
            f"lengths must be a tensor of integers (batch,) = ({batch},), found {_kind(lengths)}. "
            "torch.tensor(lengths) makes one."
        )
    if lengths.shape != (batch,) or lengths.dtype not in INTEGERS:
        raise OptionError(
            f"lengths must be integers (batch,) = ({batch},), such as torch.int64, "
            f"found {lengths.dtype} {tuple(lengths.shape)}."
        )
    # In a graph of PyTorch the operator looks at the numbers, when they are there.
    if batch and not torch.compiler.is_compiling() and (int(lengths.min()) < 0 or int(lengths.max()) > time):
        raise OptionError(
            f"lengths must lie between 0 and the {time} steps of x, found {int(lengths.min())} to {int(lengths.max())}."
        )
    return lengths.long()


def checked_resets(resets: object, time: int, batch: int) -> Tensor:
    """The resets.

    Raises:
        OptionError: they are no bools (time, batch).
    """
    if not isinstance(resets, Tensor):
        raise OptionError(f"resets must be a tensor of bool, found {_kind(resets)}. torch.tensor(resets) makes one.")
    if resets.shape != (time, batch) or resets.dtype != torch.bool:
        raise OptionError(
            f"resets must be bool with a value for each of {time} steps of {batch} sequences, "
            f"found {resets.dtype} {tuple(resets.shape)}."
        )
    return resets


def _kind(value: object) -> str:
    return type(value).__name__
