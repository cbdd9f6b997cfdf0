"""Whether the native engine agrees with the reference engine on a cell, in both dtypes and with all builds."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from steploom.cells.cell import Cell
from steploom.engine.choice import use_engine
from steploom.engine.compiled import Compiled, compiled_cell
from steploom.engine.kernels import use_kernels
from steploom.errors import CellError
from steploom.layers.recurrent import Recurrent
from steploom.native import core

__all__ = ["check_native"]

TIME, BATCH, HEAD = 6, 4, 2
LENGTHS = (4, 1, 0, 3)

# The largest distance allowed between the native engine and the reference engine in float64, as a share of the size of
# what is compared, both measured as Euclidean norms.
ALLOWED = {torch.float64: 1e-10, torch.float32: 1e-5}

# Where the reference engine itself cannot do better in this dtype, the native engine need not either.
AS_GOOD_AS_REFERENCE = 4

Values = dict[str, Tensor]


def check_native(cell: Cell) -> None:
    """Compare outputs, final states and all gradients on a run in both directions that goes on from another one, with
    lengths and resets; in float32 and float64, but for a dtype in which the step is no program.

    Args:
        cell: one that the native engine can run, in float64.

    Raises:
        CellError: they differ; names the value, the dtype and the build of the kernels.
    """
    for dtype, allowed in ALLOWED.items():
        subject = copy.deepcopy(cell).to(dtype)
        if not isinstance(compiled_cell(subject), Compiled):
            # Its step does something else in this dtype.
            continue
        rnn = Recurrent(subject, bidirectional=True)
        exact = copy.deepcopy(rnn).double()
        x = torch.randn(TIME, BATCH, rnn.input_size, dtype=dtype)
        with torch.no_grad():
            state = rnn(torch.randn(3, BATCH, rnn.input_size, dtype=dtype))[1]
        resets = torch.rand(TIME, BATCH) < 0.3
        weights = [torch.randn(TIME, BATCH, rnn.output_size), *(torch.randn(part.shape) for part in state)]
        with use_engine("reference"):
            expected = _measure(exact, x, state, resets, weights)
            rounded = _distances(_measure(rnn, x, state, resets, weights), expected)
        for isa in core().kernels():
            # Data ask for no gradient, and another backward pass runs.
            for x_is_data in (False, True):
                with use_engine("native"), use_kernels(isa):
                    found = _distances(_measure(rnn, x, state, resets, weights, x_is_data), expected)
                for name, distance in found.items():
                    limit = max(allowed, AS_GOOD_AS_REFERENCE * rounded[name])
                    if not distance <= limit:
                        raise CellError(
                            f"{type(cell).__name__} breaks the law 'all engines give the same' (native engine, "
                            f"{str(dtype).removeprefix('torch.')}, {isa} kernels, inputs that ask for "
                            f"{'no' if x_is_data else 'a'} gradient): {name} differ by {distance:.3g} of their size, "
                            f"allowed are {limit:.1g}. This is a fault of the engine and not of the cell: please "
                            "report it."
                        )


def _measure(
    rnn: Recurrent,
    x: Tensor,
    state: tuple[Tensor, ...],
    resets: Tensor,
    weights: list[Tensor],
    x_is_data: bool = False,
) -> Values:
    """Outputs, final states, and the gradients of a random mixture of them, in the dtype of `rnn`; with `x_is_data` all
    but that of the inputs."""
    dtype = next((parameter.dtype for parameter in rnn.parameters()), x.dtype)
    x, *entering = (part.to(dtype).clone().requires_grad_() for part in (x, *state))
    if x_is_data:
        x = x.detach()
    parameters = {name: parameter for name, parameter in rnn.named_parameters() if parameter.requires_grad}
    beginning, between = rnn(x[:HEAD], tuple(entering), resets=resets[:HEAD])
    y, final = rnn(x[HEAD:], between, torch.tensor(LENGTHS), resets[HEAD:])
    values = {"outputs": torch.cat([beginning, y])}
    values |= {f"final states `{name}`": part for name, part in zip(rnn.cell.states, final, strict=True)}
    loss = torch.stack([(value * w.to(dtype)).sum() for w, value in zip(weights, values.values(), strict=True)]).sum()
    leaves = {} if x_is_data else {"the inputs": x}
    leaves |= dict(zip((f"the initial states `{n}`" for n in rnn.cell.states), entering, strict=True))
    leaves |= {f"`{name}`": parameter for name, parameter in parameters.items()}
    gradients = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
    values |= {f"gradients of {name}": gradient for name, gradient in zip(leaves, gradients, strict=True)}
    return {name: value.detach().double() for name, value in values.items()}


def _distances(found: Values, expected: Values) -> dict[str, float]:
    """The distance of each value from what it should be, as a share of its size.

    A gradient that vanishes is what rounding left of larger ones, so no size counts as less than a millionth of the
    largest.
    """
    least = max(1e-6 * max(float(value.norm()) for value in expected.values()), torch.finfo(torch.float32).tiny)
    return {
        name: float((value - expected[name]).norm() / expected[name].norm().clamp_min(least))
        for name, value in found.items()
    }
