"""The reference engine: a loop over the cell itself, which gives every other engine its meaning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from steploom.cells.cell import Cell, check_returned
from steploom.engine.lengths import padding
from steploom.errors import CellError

__all__ = ["run"]

States = tuple[Tensor, ...]


def run(
    cell: Cell,
    x: Tensor,
    state: States,
    *,
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    recurrent_mask: Tensor | None = None,
    zoneout: Sequence[float] | None = None,
) -> tuple[Tensor, States]:
    """Run a cell over a batch of sequences.

    Args:
        cell: the step.
        x: inputs (time, batch, input_size); finite in the padding.
        state: the states before the first step, one tensor (batch, size) a state.
        lengths: steps of each sequence, int64 (batch,); beyond them a state stands still and the output is 0.
        resets: bool (time, batch); where true, the cell's initial state replaces the state before that step. None may
            stand in the padding.
        recurrent_mask: (batch, hidden_size), what the inputs of the recurrent products are multiplied with at every
            step (variational dropout, Gal & Ghahramani 2016).
        zoneout: for each state the share of its units that keep their old value at a step (Krueger et al. 2017):
            drawn anew at each step in training, its expectation otherwise.

    Returns:
        The outputs (time, batch, hidden_size) and the states at each sequence's last step.

    Raises:
        CellError: the cell returns a wrong number or shape of states.
    """
    outputs = []
    padded = padding(lengths, len(x)) if lengths is not None else None
    paddings = padded.unbind(0) if padded is not None else None
    reset_steps = set(resets.any(1).nonzero().flatten().tolist()) if resets is not None else set()
    initial = cell.initial_state(x.shape[1], dtype=x.dtype, device=x.device) if reset_steps else ()
    with _masked_products(cell, recurrent_mask) as state_mask:
        for step, x_t in enumerate(x.unbind(0)):
            if resets is not None and step in reset_steps:
                fresh = resets[step].unsqueeze(-1)
                state = tuple(torch.where(fresh, start, old) for start, old in zip(initial, state, strict=True))
            new = cell(x_t, *(state if state_mask is None else (state[0] * state_mask, *state[1:])))
            if step == 0:
                check_returned(cell, state, new)
            if zoneout is not None:
                new = tuple(_zoneout(*pair, cell.training) for pair in zip(zoneout, state, new, strict=True))
            if paddings is not None:
                new = tuple(torch.where(paddings[step], old, value) for old, value in zip(state, new, strict=True))
            state = new
            outputs.append(state[0])
    y = torch.stack(outputs)
    return (y if padded is None else y.masked_fill(padded, 0)), state


@contextmanager
def _masked_products(cell: Cell, mask: Tensor | None) -> Iterator[Tensor | None]:
    """Multiply what enters the cell's recurrent products with `mask`; yield what the first state is left to be
    multiplied with.

    The products alone are masked where the cell says which they are: a mask on the whole state, scaled by 1 / (1 - p)
    at every step, would make the memory of a GRU grow without bound.
    """

    def apply_mask(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        if mask is None or inputs[0].shape != mask.shape:
            raise CellError(
                f"Variational dropout masks the state that enters a recurrent product of {type(cell).__name__}, but "
                f"{tuple(inputs[0].shape)} enters there. Set recurrent_products to the names of the submodules that "
                "the first state enters alone, or to () to have the whole state masked."
            )
        return (inputs[0] * mask,)

    products = [] if mask is None else [getattr(cell, name, None) for name in cell.recurrent_products or ()]
    handles = [product.register_forward_pre_hook(apply_mask) for product in products if isinstance(product, nn.Module)]
    try:
        yield None if handles or cell.recurrent_products is None else mask
    finally:
        for handle in handles:
            handle.remove()


def _zoneout(rate: float, old: Tensor, new: Tensor, training: bool) -> Tensor:
    if rate == 0:
        return new
    if training:
        return torch.where(torch.rand_like(new) < rate, old, new)
    # Under autocast a state may come in another type than the one that it is given back in.
    kind = torch.promote_types(old.dtype, new.dtype)
    return torch.lerp(new.to(kind), old.to(kind), rate)
