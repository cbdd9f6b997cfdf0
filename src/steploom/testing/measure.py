"""What a way of running a layer gives, gradients included, by the names that messages use."""

from __future__ import annotations

import torch
from torch import Tensor

from steploom.layers.recurrent import Recurrent
from steploom.testing.laws import States, Way

__all__ = ["Values", "measure"]

Values = dict[str, Tensor]


def measure(
    way: Way, rnn: Recurrent, x: Tensor, state: States, loss_weights: list[Tensor], *, x_is_data: bool = False
) -> Values:
    """Outputs, final states, and the gradients of a random mixture of them.

    Args:
        way: from `rnn`, `x` and `state` to outputs and final states.
        rnn: the layer.
        x: the input (time, batch, input_size).
        state: the initial states.
        loss_weights: the mixture: a weight for each number of the outputs and of each final state.
        x_is_data: whether `x` asks for no gradient; it has none then.
    """
    x, *entering = (part.clone().requires_grad_() for part in (x, *state))
    if x_is_data:
        x = x.detach()
    y, final = way(rnn, x, tuple(entering))
    names = list(rnn.cell.states)
    values = dict(zip(["outputs", *(f"final states `{name}`" for name in names)], (y, *final), strict=True))
    loss = torch.stack([(w * value).sum() for w, value in zip(loss_weights, values.values(), strict=True)]).sum()
    leaves = {} if x_is_data else {"x": x}
    leaves |= dict(zip((f"initial states `{name}`" for name in names), entering, strict=True))
    leaves |= {name: parameter for name, parameter in rnn.named_parameters() if parameter.requires_grad}
    gradients = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
    values |= {f"gradients of {name}": gradient for name, gradient in zip(leaves, gradients, strict=True)}
    return {name: _real(value.detach()) for name, value in values.items()}


def _real(value: Tensor) -> Tensor:
    """The numbers of a tensor; of complex ones, both parts."""
    return torch.view_as_real(value.resolve_conj()) if value.is_complex() else value
