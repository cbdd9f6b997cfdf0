"""From a cell to the program of its step.

The step is run twice on tensors without numbers, which take note of every operator: with two batches of unusual size,
and in float64 and in the dtype of the cell, so that what depends on either shows. The program is then compared with the
cell, values and gradients.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from steploom.cells.cell import Cell, check_declaration, real_weight
from steploom.errors import CellError, UnsupportedOperation
from steploom.program.casts import dtype_name, own_dtype
from steploom.program.naming import name_values
from steploom.program.passes.order import simplify
from steploom.program.program import Program, Value
from steploom.program.prologue import Constant
from steploom.program.replica import replica
from steploom.program.step_functions import StepFunctions
from steploom.program.structure import structure
from steploom.program.traced import Complex, Recording, Rows, Traced
from steploom.program.tracer import Tracer
from steploom.program.verify import verify

__all__ = ["scripted_part", "trace", "trace_unchecked"]

PRIMES = (7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97)
LARGE_PRIMES = (101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167, 173, 179, 181, 191, 193, 197, 199)


def trace(cell: Cell) -> Program:
    """The program of a cell's step, in canonical form and compared with the cell.

    Args:
        cell: in the mode (training or not) in which it will run. It is left as it is.

    Raises:
        UnsupportedOperation: the step cannot be said exactly by a program; names the operation and its line.
        CellError: the cell breaks its declaration.
    """
    check_declaration(cell)
    if (scripted := scripted_part(cell)) is not None:
        raise scripted
    try:
        return _traced(cell, *_batches(cell, (*PRIMES, *LARGE_PRIMES)))
    except UnsupportedOperation as refused:
        # A size that the step makes itself, such as that of a slice, can be a multiple of a small batch.
        try:
            return _traced(cell, *_batches(cell, LARGE_PRIMES))
        except UnsupportedOperation:
            raise refused from refused.__cause__


def _traced(cell: Cell, one: int, other: int) -> Program:
    """The program of a cell's step, from traces with two batches of unusual size."""
    first = running = _trace_in_best_dtype(cell, one)
    in_own = trace_unchecked(cell, other, None) if own_dtype(cell) is not None else None
    # Where the two are alike, neither the batch nor the dtype makes a difference; else it is asked which of them does.
    if in_own is None or structure(first) != structure(in_own):
        if structure(first) != structure(_trace_in_best_dtype(cell, other)):
            raise UnsupportedOperation(
                f"the step of {type(cell).__name__} differs from call to call, or with the number of rows in the batch"
            )
        if in_own is not None:
            running = _in_the_dtype_that_runs(first, in_own)
    try:
        program = simplify(first)
        verify(program, cell)
        if running is not first:
            program = simplify(running)
    except (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
        # The reference engine must run what a pass stumbles over.
        raise UnsupportedOperation(
            f"the program of {type(cell).__name__} cannot be brought into its canonical form: {error!r}",
            hint="This is a fault of Steploom: please report it.",
        ) from error
    return program


def scripted_part(cell: nn.Module) -> UnsupportedOperation | None:
    """Why the step cannot be traced where the cell holds a module of torch.jit, which is no Python to be followed."""
    for name, module in cell.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            return UnsupportedOperation(f"the step of {type(cell).__name__} runs '{name}', a module of torch.jit")
    return None


def _in_the_dtype_that_runs(first: Program, in_own: Program) -> Program:
    """Of two traces of a step, in float64, where constants are exact, and in the dtype of the cell, the first, if they
    differ in rounding alone. The other has a number of its dtype, such as torch.finfo(x.dtype).eps."""
    if structure(first, _without_numbers) != structure(in_own, _without_numbers):
        raise UnsupportedOperation(f"the step of {first.name} does something else in another dtype")
    return first if _alike(structure(first, _numbers), structure(in_own, _numbers)) else in_own


def _without_numbers(part: Any) -> Any:
    """What of a program does not depend on the dtype that it runs in."""
    if isinstance(part, float):
        return float
    return part.tensor.shape if isinstance(part, Constant) else repr(part)


def _numbers(part: Any) -> Any:
    """What of a program `_alike` compares as numbers, as such."""
    if isinstance(part, (int, float)):
        return float(part)
    return part.tensor if isinstance(part, Constant) else repr(part)


def _alike(one: object, other: object) -> bool:
    """Whether two structures are the same but for what float32 cannot tell apart."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return one == other or math.isclose(one, other, rel_tol=1e-5)
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        # However small a number is, it may be all that stands under a logarithm.
        one, other = (torch.view_as_real(part) if part.is_complex() else part for part in (one, other))
        return one.shape == other.shape and torch.allclose(one.double(), other.double(), 1e-5, atol=0.0, equal_nan=True)
    return one == other


def _trace_in_best_dtype(cell: Cell, batch: int) -> Program:
    """Constants are exact in float64, but some cells make tensors of the default dtype."""
    try:
        return trace_unchecked(cell, batch, torch.float64)
    except UnsupportedOperation as error:
        if not isinstance(error.__cause__, RuntimeError):
            raise
        return trace_unchecked(cell, batch, None)


def trace_unchecked(
    cell: Cell, batch: int, dtype: torch.dtype | None = torch.float64, divides: bool = False
) -> Program:
    """The instructions that one call of the step makes, as they come.

    Args:
        cell: the cell.
        batch: number of rows of the samples.
        dtype: of the samples; None for the cell's own.
        divides: whether numbers are divided by; found out where it is not said.
    """
    parameter = real_weight(cell)
    tracer = Tracer(batch, divides)
    functions = StepFunctions(tracer, casts=dtype == torch.float64 and own_dtype(cell) == torch.float32)
    device = parameter.device
    x = Value("x", cell.input_size)
    states = tuple(Value(name, size) for name, size in cell.states.items())
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
        leaves = {
            path: tracer.wrap(*tracer.leaves.add(path, tensor, dtype))
            for path, tensor in [*cell.named_parameters(), *cell.named_buffers(), *_attributes(cell)]
        }
        inputs = [
            tracer.enter(torch.rand(batch, value.width, dtype=dtype or parameter.dtype, device=device), value)
            for value in (x, *states)
        ]
        with replica(cell, leaves) as stand_in:
            try:
                with functions, Recording(tracer):
                    returned = stand_in(*inputs)
            except CellError:
                raise
            except Exception as error:
                raise UnsupportedOperation(
                    f"the step of {type(cell).__name__} cannot be traced: {type(error).__name__}: {error}",
                    source=tracer.build.source,
                ) from error
        outputs = _outputs(tracer, cell, returned)
    if not divides and tracer.quotients.reach_a_jump(tracer.build.instructions):
        return trace_unchecked(cell, batch, dtype, divides=True)
    for value, name in zip(outputs, cell.states, strict=True):
        tracer.names[value] = f"{name}'"
    program = Program(
        type(cell).__name__,
        x,
        states,
        tuple(tracer.leaves.leaves),
        tracer.leaves.prologue(),
        tuple(tracer.build.instructions),
        outputs,
    )
    return name_values(program, tracer.names)


def _batches(cell: Cell, primes: Sequence[int]) -> list[int]:
    """Two of the primes that divide no size of the cell, so that they are seen to be the batch wherever they occur;
    those that divide the fewest, if there are none."""
    sizes = {cell.input_size, *cell.states.values()}
    for tensor in [*cell.parameters(), *cell.buffers()]:
        sizes |= set(tensor.shape)
    sizes |= {one + other for one in sizes for other in sizes}
    return sorted(primes, key=lambda prime: sum(size % prime == 0 for size in sizes))[:2]


def _outputs(tracer: Tracer, cell: Cell, returned: Any) -> tuple[Value, ...]:
    names = ", ".join(cell.states)
    if not isinstance(returned, tuple) or len(returned) != len(cell.states):
        raise CellError(f"{type(cell).__name__} must return a tuple of its states: ({names},).")
    outputs = []
    for (name, size), tensor in zip(cell.states.items(), returned, strict=True):
        if isinstance(tensor, Traced) and isinstance(tensor.form, Complex):
            raise UnsupportedOperation(
                f"the new state `{name}` is complex", hint="Return torch.view_as_real(h).flatten(1), of twice the size."
            )
        if not isinstance(tensor, Traced) or not isinstance(tensor.form, Rows):
            raise UnsupportedOperation(f"the new state `{name}` does not depend on the input or the states")
        if tuple(tensor.sample.shape) != (tracer.batch, size) or tensor.form.before != 1:
            raise CellError(
                f"{type(cell).__name__} returns state `{name}` with the shape {tuple(tensor.sample.shape)}."
            )
        if not tensor.sample.is_floating_point():
            raise UnsupportedOperation(
                f"the new state `{name}` is of type {dtype_name(tensor.sample.dtype)}", hint="Write .to(h.dtype)."
            )
        outputs.append(tensor.form.value)
    return tuple(outputs)


def _attributes(cell: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Tensors that are plain attributes of the cell or its parts."""
    for prefix, module in cell.named_modules():
        for name, item in vars(module).items():
            if isinstance(item, Tensor):
                yield f"{prefix}.{name}" if prefix else name, item
