"""From a cell to what the native core runs, made once and kept as long as the cell stays as it is."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from types import SimpleNamespace
from typing import Any, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor

from steploom.cells.cell import Cell
from steploom.engine.lowering import Lowered, lower_backward, lower_forward
from steploom.engine.seen import refuse_within_a_step
from steploom.engine.watch import Watch, has_hooks
from steploom.errors import CellError, OptionError, UnsupportedOperation
from steploom.program.plan import Plan, make_plans
from steploom.program.program import Leaf, MatrixView, Program
from steploom.program.replica import replica
from steploom.program.structure import structure
from steploom.program.trace import scripted_part, trace

__all__ = ["Compiled", "Pass", "compiled_by_key", "compiled_cell", "known_of"]

# A cell that goes back and forth between training and evaluation is not traced each time.
KEPT_STATES_OF_A_CELL = 8


class Pass:
    """One run over the sequences, forward or backward, in the form of the core.

    Attributes:
        lowered: the schedule and what its numbers mean.
        schedule: of the core.
        saved_widths: widths of the regions kept from the forward to the backward pass.
        written: for each leaf, whether the pass writes its gradient whole; otherwise it adds to it.
        inline: the same run with what reads the input alone done step by step, where there is such a thing.
    """

    def __init__(self, lowered: Lowered, leaves: tuple[Leaf, ...], inline: Pass | None = None) -> None:
        self.lowered = lowered
        self.inline = inline
        self.schedule = lowered.schedule
        self.schedule.weights(
            [_corner(view, leaves) for view in lowered.matrices],
            [(view.leaf, view.start) for view in lowered.vectors],
            list(lowered.vector_gradients),
        )
        self.saved_widths = list(lowered.saved_widths)
        self.written = [number in lowered.written for number in range(len(leaves))]
        self.weight_bytes = {size: lowered.weights * size for size in (4, 8)}
        self.work = lowered.work


class Compiled:
    """A plan in the form of the core; each pass is made when it is first needed.

    Attributes:
        plan: with the gradient of the input.
        plan_without_dx: where nobody asks for that.
        key: names the plan in graphs of PyTorch; the same in every process.
    """

    def __init__(self, plan: Plan, plan_without_dx: Plan) -> None:
        self.plan, self.plan_without_dx = plan, plan_without_dx
        self.program = plan.program
        self.widths = [state.width for state in plan.program.states]
        self.leaf_shapes = [leaf.shape for leaf in plan.program.leaves]
        self.key = _key(plan.program)
        setattr(_by_key, self.key, self)

    @cached_property
    def inference(self) -> Pass:
        """The forward pass that keeps nothing."""
        return self._forward(training=False)

    @cached_property
    def training(self) -> Pass:
        """The forward pass that keeps what the backward pass reads."""
        return self._forward(training=True)

    @cached_property
    def backward(self) -> Pass:
        """The backward pass."""
        return self._pass(lower_backward(self.plan))

    @cached_property
    def backward_without_dx(self) -> Pass:
        """The backward pass where nobody asks for the gradient of the input."""
        return self._pass(lower_backward(self.plan_without_dx))

    def _forward(self, training: bool) -> Pass:
        inline = self._pass(lower_forward(self.plan, training, inline=True)) if self.plan.hoisted else None
        return Pass(lower_forward(self.plan, training), self.program.leaves, inline)

    def _pass(self, lowered: Lowered) -> Pass:
        return Pass(lowered, self.program.leaves)


@dataclass(frozen=True)
class _Known:
    watch: Watch
    found: Compiled | CellError
    repeats: dict[Hashable, Any] = field(default_factory=dict)  # of `repeat`


# By attribute and not by item: while torch.compile follows a call, it sees new attributes, but no new items.
_by_key = SimpleNamespace()
_by_plan: dict[Plan, Compiled] = {}
_by_cell: WeakKeyDictionary[Cell, list[_Known]] = WeakKeyDictionary()
# What is known of a cell, as it is now or was last in front.
known_of = _by_cell.get
# Never held while a cell is traced: the cell's own code may wait for another thread.
_lock = threading.Lock()


def compiled_cell(cell: Cell) -> Compiled | CellError | None:
    """The plan of a cell as it is now, or why it has none; None where hooks must see every step.

    The answer is kept while nothing changes that the cell's step can see.

    Raises:
        UnsupportedOperation: the cell is part of a step that is being traced.
    """
    refuse_within_a_step()
    known = _by_cell.get(cell, [])
    for number, state in enumerate(known):
        if state.watch.holds(cell):
            if number:
                _put_first(cell, state)
            return state.found
    if has_hooks(cell):
        return None
    if (scripted := scripted_part(cell)) is not None:
        return scripted
    watch, found = Watch(cell), _compile(cell)
    if not watch.holds(cell) and isinstance(found, Compiled):
        found = UnsupportedOperation(
            f"the step of {type(cell).__name__} writes into an object that the cell holds",
            hint="What a step must remember belongs in a state that forward takes and returns.",
        )
    state = _Known(watch, found)
    _put_first(cell, state)
    return state.found


def _put_first(cell: Cell, state: _Known) -> None:
    """Have the state of a cell found first. Other threads may be reading the list, so it is replaced."""
    with _lock:
        others = [other for other in _by_cell.get(cell, []) if other is not state]
        _by_cell[cell] = [state, *others][:KEPT_STATES_OF_A_CELL]


def _compiled_plan(plan: Plan, plan_without_dx: Plan) -> Compiled:
    """The form of the core for a plan; equal plans share one."""
    found = _by_plan.get(plan)
    return found if found is not None else _by_plan.setdefault(plan, Compiled(plan, plan_without_dx))


def compiled_by_key(key: str) -> Compiled:
    """The plan that a graph of PyTorch names.

    Raises:
        OptionError: no layer of this process has it.
    """
    found = getattr(_by_key, key, None)
    if not isinstance(found, Compiled):
        raise OptionError(
            f"This graph runs the plan '{key}', which no layer of this process has made. Build the layer that the "
            "graph was made from and call its explain() before the graph."
        )
    return found


def _compile(cell: Cell) -> Compiled | CellError:
    """What the native core runs for a cell, or why there is nothing.

    A thread of its own has none of the modes that may be at work here: of inference, of autocast, of graphs, of
    torch.func.
    """
    with ThreadPoolExecutor(1, "steploom-trace") as thread:
        return thread.submit(_compile_here, cell).result()


def _compile_here(cell: Cell) -> Compiled | CellError:
    try:
        with torch.random.fork_rng(devices=[]):
            return _compiled_plan(*make_plans(_trace(cell)))
    except CellError as error:
        return error


def _trace(cell: Cell) -> Program:
    tensors = dict[str, Tensor]([*cell.named_parameters(), *cell.named_buffers()])
    if not any(_has_no_numbers(tensor) for tensor in tensors.values()):
        return trace(cell)
    # While a model is exported its weights have no numbers; the program does not depend on them.
    numbers = {path: torch.rand(tensor.shape, dtype=tensor.dtype) for path, tensor in tensors.items()}
    with replica(cell, numbers) as stand_in:
        return trace(cast(Cell, stand_in))


def _has_no_numbers(tensor: Tensor) -> bool:
    return type(tensor) not in (Tensor, nn.Parameter, nn.Buffer) or is_functorch_wrapped_tensor(tensor)


def _key(program: Program) -> str:
    digest = hashlib.sha256(repr(structure(program)).encode()).hexdigest()
    return f"{program.name}-{digest[:16]}"


def _corner(view: MatrixView, leaves: tuple[Leaf, ...]) -> tuple[int, int, int, int]:
    """A matrix among contiguous leaves: the leaf, the elements before it, and the distances of its rows and columns."""
    long = leaves[view.leaf].shape[1]
    start = view.row0 * long + view.col0
    return (view.leaf, start, 1, long) if view.transposed else (view.leaf, start, long, 1)
