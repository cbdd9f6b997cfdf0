"""Whether the native engine agrees with the reference engine on a cell, in both dtypes and with all builds."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from steploom.cells.cell import Cell, converted, real_weight
from steploom.engine.choice import use_engine
from steploom.engine.compiled import Compiled, compiled_cell
from steploom.engine.kernels import use_kernels
from steploom.errors import CellError
from steploom.layers.recurrent import Recurrent
from steploom.native import core
from steploom.program.casts import dtype_name
from steploom.testing.laws import BATCH, TIME, States, Way, same_as_reference
from steploom.testing.measure import Values, measure

__all__ = ["check_native"]

# Steps of the first of two calls, and the lengths in the second.
HEAD = 2
TAIL_LENGTHS = (4, 1, 0, 3)

# The largest distance allowed between the native engine and the reference engine in float64, as a share of the size of
# what is compared, both measured as Euclidean norms.
ALLOWED = {torch.float64: 1e-10, torch.float32: 1e-5}

# Where the reference engine itself cannot do better in this dtype, the native engine need not either.
AS_GOOD_AS_REFERENCE = 4

# On tiles a number is as exact as the largest of its row, and in a step as small as that of a check it shows where
# small ones matter: twice as much is allowed where the reference engine is inexact. Without being asked for, tiles are
# used in large products alone.
AS_GOOD_ON_TILES = 8

# What rounding may leave of a gradient that vanishes, as a share of the size of the largest value: so many times eps.
ROUNDINGS = 4


def check_native(cell: Cell) -> None:
    """Compare outputs, final states and all gradients on a run in both directions that goes on from another one, with
    lengths and resets; in float32 and float64, but for a dtype in which the step is no program.

    Args:
        cell: one that the native engine can run, in float64.

    Raises:
        CellError: they differ; names the value, the dtype and the build of the kernels.
    """
    law = same_as_reference("native")
    for dtype, allowed in ALLOWED.items():
        subject = converted(copy.deepcopy(cell), dtype)
        if not isinstance(compiled_cell(subject), Compiled):
            # Its step does something else in this dtype.
            continue
        rnn = Recurrent(subject, bidirectional=True)
        exact = converted(copy.deepcopy(rnn), torch.float64)
        x = torch.randn(TIME, BATCH, rnn.input_size, dtype=dtype)
        with torch.no_grad():
            state = rnn(torch.randn(3, BATCH, rnn.input_size, dtype=dtype))[1]
        way = _in_two_calls(torch.rand(TIME, BATCH) < 0.3)
        weights = [torch.randn(TIME, BATCH, rnn.output_size), *(torch.randn(part.shape) for part in state)]
        with use_engine("reference"):
            expected = _measure(way, exact, x, state, weights)
            least = ROUNDINGS * torch.finfo(dtype).eps / allowed
            rounded = _distances(_measure(way, rnn, x, state, weights), expected, least)
        for isa in core().kernels():
            as_good = AS_GOOD_ON_TILES if isa == "amx" and dtype is torch.float32 else AS_GOOD_AS_REFERENCE
            # Data ask for no gradient, and another backward pass runs.
            for x_is_data in (False, True):
                with use_engine("native"), use_kernels(isa):
                    found = _distances(_measure(way, rnn, x, state, weights, x_is_data), expected, least)
                for name, distance in found.items():
                    limit = max(allowed, as_good * rounded[name])
                    if not distance <= limit:
                        raise CellError(
                            f"{type(cell).__name__} breaks the law '{law.says}' (native engine, "
                            f"{dtype_name(dtype)}, {isa} kernels, inputs that ask for "
                            f"{'no' if x_is_data else 'a'} gradient): {name} differ by {distance:.3g} of their size, "
                            f"allowed are {limit:.1g}. {law.hint}"
                        )


def _in_two_calls(resets: Tensor) -> Way:
    def way(rnn: Recurrent, x: Tensor, state: States) -> tuple[Tensor, States]:
        beginning, between = rnn(x[:HEAD], state, resets=resets[:HEAD])
        y, final = rnn(x[HEAD:], between, torch.tensor(TAIL_LENGTHS), resets[HEAD:])
        return torch.cat([beginning, y]), final

    return way


def _measure(
    way: Way, rnn: Recurrent, x: Tensor, state: States, weights: list[Tensor], x_is_data: bool = False
) -> Values:
    """What a way gives in the dtype of `rnn`, as numbers of float64."""
    dtype = real_weight(rnn, x).dtype
    state, weights = tuple(part.to(dtype) for part in state), [part.to(dtype) for part in weights]
    values = measure(way, rnn, x.to(dtype), state, weights, x_is_data=x_is_data)
    return {name: value.double() for name, value in values.items()}


def _distances(found: Values, expected: Values, share: float) -> dict[str, float]:
    """The distance of each value from what it should be, as a share of its size.

    A gradient that vanishes is what rounding left of larger ones: no size counts as less than `share` of the largest.
    """
    least = max(share * max(float(value.norm()) for value in expected.values()), torch.finfo(torch.float32).tiny)
    return {
        name: float((value - expected[name]).norm() / expected[name].norm().clamp_min(least))
        for name, value in found.items()
    }
