"""Streaming: one step at a time, on states and packed weights that are kept."""

from __future__ import annotations

import copy
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from steploom.cells.cell import Cell
from steploom.engine import reference
from steploom.engine.choice import wanted
from steploom.engine.lowering import Lowered, lower_forward
from steploom.engine.native import gather, kernels
from steploom.engine.watch import has_hooks
from steploom.errors import CellError, OptionError
from steploom.native import core
from steploom.program.plan import make_plan
from steploom.program.program import MatrixView

__all__ = ["Stream", "StreamPlan", "open_stream"]

Array = npt.NDArray[Any]
States = tuple[Array, ...]
Rows = TypeVar("Rows", bound=Array | Tensor)

# Where the system does not tell it.
SECOND_LEVEL_CACHE = 1 << 20
# Threads share a step where a layer's weights are more than twice the second-level cache, or the multiplications and
# additions more than this. With less, they gain a few microseconds on an idle machine and lose far more on a busy one.
SMALL_WORK = 4_000_000
# Above so many multiplications and additions, about five microseconds, other Python threads run during a step.
LONG_WORK = 500_000

# The native core says the same.
TWO_THREADS = "Two threads use one stream at the same time. Open one for each thread: rnn.stream(batch)."


@dataclass(frozen=True)
class StreamPlan:
    """What a stream runs.

    Attributes:
        cells: the cell of each layer.
        batch: sequences that are streamed side by side.
        residual: whether a layer's input is added to its output where the two have the same size.
        zoneout: share of each state's units that keep their old value, in expectation; empty for none.
        engine: what the layer asks for.
    """

    cells: Callable[[], Sequence[Cell]]
    batch: int
    residual: bool = False
    zoneout: tuple[float, ...] = ()
    engine: str = "auto"


def open_stream(plan: StreamPlan) -> Stream:
    """A stream on the native engine where it can run every layer, else on the reference engine.

    Raises:
        OptionError: engine="native" was asked for and cannot run the cell, engine="aten" was asked for, or the weights
            differ in dtype.
    """
    name = wanted(plan.engine)
    if name == "reference":
        return _ReferenceStream(plan, "it was asked for")
    if name == "aten":
        raise OptionError("The engine 'aten' cannot stream: it runs whole sequences. Use engine='auto' or 'reference'.")
    layers = _lower(plan)
    if not isinstance(layers, str):
        return _NativeStream(plan, layers)
    if name == "native":
        raise OptionError(f"The engine 'native' cannot stream this layer: {layers} Use engine='auto' or 'reference'.")
    return _ReferenceStream(plan, layers)


class Stream(ABC):
    """A network that is given one step at a time and keeps its states in between.

    The weights are copied when the stream is made: what is done to the parameters later is not seen until `reload`. A
    stream runs as in evaluation, without dropout, and gives no gradients. It is used by one thread at a time; two
    streams of one layer share nothing.

    Attributes:
        batch: sequences that are streamed side by side.
        input_size: features of a step.
        output_size: features of an output.
        dtype: of inputs, outputs and states, float32 or float64 on the native engine.
        engine: "native" or "reference".
        reason: why that engine runs it.
    """

    engine: str
    reason: str

    def __init__(self, plan: StreamPlan) -> None:
        self._plan = plan
        cells = plan.cells()
        self.batch = plan.batch
        self.input_size = cells[0].input_size
        self.output_size = cells[-1].hidden_size
        weight = next(cells[0].parameters(), torch.empty(0))
        self.dtype, self._device = weight.dtype, weight.device
        self._names = tuple(cells[0].states)
        self._shapes = tuple((len(cells), plan.batch, size) for size in cells[0].states.values())
        self._array_dtype = torch.empty(0, dtype=self.dtype).numpy().dtype
        self._convert = _Convert(self.batch, self.input_size, self.dtype)

    @abstractmethod
    def push(self, x: Rows) -> Rows:
        """Make one step.

        Args:
            x: (batch, input_size), a NumPy array or a tensor on the CPU, of the stream's dtype.

        Returns:
            The output (batch, output_size) of the last layer, a NumPy array for a NumPy array and a tensor for a
            tensor. It is the caller's: later steps do not write to it.

        Raises:
            OptionError: x has another shape or dtype, or two threads use the stream at the same time.
        """

    @abstractmethod
    def state(self) -> States:
        """The present states: for each state of the cell one array (num_layers, batch, size), copied."""

    @abstractmethod
    def _write(self, state: States, rows: npt.NDArray[np.bool_] | None) -> None:
        """Write checked states to the rows of the mask, or to all."""

    @abstractmethod
    def reload(self) -> None:
        """Take the weights that the layer has now. The states stay."""

    def load_state(self, state: Sequence[Array]) -> None:
        """Go on from a state.

        Args:
            state: as `state()` gave it: for each state of the cell one array (num_layers, batch, size).

        Raises:
            OptionError: there is another number of them, or one has another shape or dtype.
        """
        if not isinstance(state, tuple | list) or len(state) != len(self._names):
            found = f"{len(state)}" if isinstance(state, tuple | list) else type(state).__name__
            raise OptionError(f"state must hold one array for each of {', '.join(self._names)}, found {found}.")
        for name, shape, array in zip(self._names, self._shapes, state, strict=True):
            if not isinstance(array, np.ndarray):
                raise OptionError(f"state `{name}` must be a NumPy array, found {type(array).__name__}.")
            if array.dtype != self._array_dtype:
                raise OptionError(f"state `{name}` must be {self._array_dtype}, found {array.dtype}.")
            if array.shape != shape:
                raise OptionError(f"state `{name}` must be (num_layers, batch, size) = {shape}, found {array.shape}.")
        self._write(tuple(np.ascontiguousarray(array) for array in state), None)

    def reset(self, rows: npt.NDArray[np.bool_] | None = None) -> None:
        """Go back to the initial state.

        Args:
            rows: bool (batch,), the sequences that begin anew; all without it.

        Raises:
            OptionError: rows has another shape or dtype.
        """
        if rows is not None:
            rows = np.asarray(rows)
            if rows.dtype != np.bool_ or rows.shape != (self.batch,):
                raise OptionError(f"rows must be bool (batch,) = ({self.batch},), found {rows.dtype} {rows.shape}.")
            rows = np.ascontiguousarray(rows)
        self._write(self._initial, rows)

    def _read_initial(self, cells: Sequence[Cell]) -> None:
        with torch.no_grad():
            parts = [cell.initial_state(self.batch, dtype=self.dtype, device=self._device) for cell in cells]
            states = zip(*parts, strict=True)
            self._initial = tuple(np.ascontiguousarray(torch.stack(state).cpu().numpy()) for state in states)

    def __repr__(self) -> str:
        sizes = f"batch={self.batch}, input_size={self.input_size}, output_size={self.output_size}"
        return f"Stream({sizes}, dtype={_name(self.dtype)}, engine={self.engine!r})"


class _NativeStream(Stream):
    engine = "native"
    reason = "it runs any step that is a program of primitives"

    def __init__(self, plan: StreamPlan, layers: Sequence[_Layer]) -> None:
        super().__init__(plan)
        self._load(layers)
        self._write(self._initial, None)

    def _load(self, layers: Sequence[_Layer]) -> None:
        self._read_initial([layer.cell for layer in layers])
        weight_bytes = max(layer.weights for layer in layers) * self.dtype.itemsize
        work = sum(layer.lowered.work for layer in layers) * self.batch
        shared = weight_bytes > 2 * _second_level_cache() or work > SMALL_WORK
        self._core = core().Stream(
            [layer.arguments(self._plan.residual) for layer in layers],
            self.dtype == torch.float64,
            kernels(),
            self.batch,
            self.input_size,
            torch.get_num_threads() if shared else 1,
            shared or work > LONG_WORK,
            np.zeros((self.batch, self.output_size), self._array_dtype),
            self._convert,
            Tensor,
            torch.from_numpy,
            OptionError,
        )
        # No Python stands between the caller and the core: a step of a small network takes less time than a call.
        self.push = self._core.push  # type: ignore[method-assign]

    def push(self, x: Rows) -> Rows:
        return cast(Rows, self._core.push(x))

    push.__doc__ = Stream.push.__doc__

    def state(self) -> States:
        arrays = tuple(np.empty(shape, self._array_dtype) for shape in self._shapes)
        for number, array in enumerate(arrays):
            for layer, part in enumerate(array):
                self._core.read_state(layer, number, part.ctypes.data)
        return arrays

    def reload(self) -> None:
        layers = _lower(self._plan)
        if isinstance(layers, str):
            raise OptionError(f"The native engine can no longer stream this layer: {layers} Open a new stream.")
        state = self.state()
        self._load(layers)
        self._write(state, None)

    def _write(self, state: States, rows: npt.NDArray[np.bool_] | None) -> None:
        for number, array in enumerate(state):
            for layer, part in enumerate(array):
                self._core.write_state(layer, number, part.ctypes.data, 0 if rows is None else rows.ctypes.data)


class _ReferenceStream(Stream):
    engine = "reference"

    def __init__(self, plan: StreamPlan, reason: str) -> None:
        super().__init__(plan)
        self.reason = reason
        self._turn = threading.Lock()
        self._load()
        self._states = self._tensors(self._initial)

    def _load(self) -> None:
        self._cells = [copy.deepcopy(cell).requires_grad_(False).eval() for cell in self._plan.cells()]
        self._read_initial(self._cells)

    def push(self, x: Rows) -> Rows:
        with self._alone():
            return self._push(x)

    push.__doc__ = Stream.push.__doc__

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._turn.acquire(blocking=False):
            raise OptionError(TWO_THREADS)
        try:
            yield
        finally:
            self._turn.release()

    @torch.no_grad()
    def _push(self, x: Rows) -> Rows:
        given = x if isinstance(x, np.ndarray) else self._convert(x)
        if given.dtype != self._array_dtype or given.shape != (self.batch, self.input_size):
            given = self._convert(given)
        step = torch.tensor(given, device=self._device)
        states = []
        for layer, cell in enumerate(self._cells):
            entering = tuple(state[layer] for state in self._states)
            ys, new = reference.run(cell, step.unsqueeze(0), entering, zoneout=self._plan.zoneout or None)
            step = ys[0] + step if self._plan.residual and ys[0].shape == step.shape else ys[0]
            states.append(new)
        self._states = tuple(torch.stack(parts) for parts in zip(*states, strict=True))
        y = step.cpu()
        return cast(Rows, y if isinstance(x, Tensor) else y.numpy())

    def state(self) -> States:
        with self._alone():
            return tuple(state.cpu().numpy().copy() for state in self._states)

    def reload(self) -> None:
        with self._alone():
            self._load()

    def _tensors(self, state: States) -> tuple[Tensor, ...]:
        return tuple(torch.tensor(array, device=self._device) for array in state)

    def _write(self, state: States, rows: npt.NDArray[np.bool_] | None) -> None:
        new = self._tensors(state)
        with self._alone():
            if rows is not None:
                mask = torch.tensor(rows, device=self._device).unsqueeze(-1)
                new = tuple(torch.where(mask, a, b) for a, b in zip(new, self._states, strict=True))
            self._states = new


@dataclass(frozen=True)
class _Convert:
    """What cannot be used as it stands becomes an array that fits, or an error."""

    batch: int
    input_size: int
    dtype: torch.dtype

    def __call__(self, x: object) -> Array:
        if not isinstance(x, np.ndarray | Tensor):
            raise OptionError(f"x must be a NumPy array or a tensor, found {type(x).__name__}.")
        if isinstance(x, Tensor) and x.device.type != "cpu":
            raise OptionError(f"x is on {x.device}, but a stream takes steps from the CPU: x.cpu().")
        if tuple(x.shape) != (self.batch, self.input_size):
            raise OptionError(
                f"x must be (batch, input_size) = ({self.batch}, {self.input_size}), found {tuple(x.shape)}."
            )
        if _name(x.dtype) != _name(self.dtype):
            how = f"x.to(torch.{_name(self.dtype)})" if isinstance(x, Tensor) else f'x.astype("{_name(self.dtype)}")'
            raise OptionError(f"x is {_name(x.dtype)} but the weights are {_name(self.dtype)}. Convert it: {how}.")
        array = x.detach().numpy() if isinstance(x, Tensor) else np.asarray(x)
        return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


@dataclass(frozen=True)
class _Layer:
    """A layer in the form of the native core, and the contiguous weights it reads."""

    cell: Cell
    lowered: Lowered
    leaves: Sequence[Tensor]

    @property
    def weights(self) -> int:
        """Elements of all matrices."""
        return sum((view.row1 - view.row0) * (view.col1 - view.col0) for view in self.lowered.matrices)

    def arguments(self, residual: bool) -> tuple[Any, ...]:
        """What the core makes the layer from."""
        matrices = [_matrix(view, self.leaves[view.leaf]) for view in self.lowered.matrices]
        vectors = [self.leaves[view.leaf][view.start :].data_ptr() for view in self.lowered.vectors]
        return self.lowered.schedule, matrices, vectors, residual and self.cell.input_size == self.cell.hidden_size


def _lower(plan: StreamPlan) -> list[_Layer] | str:
    """The layers in the form of the native core; or why that engine cannot run them."""
    if any(plan.zoneout):
        return "zoneout mixes the states at every step."
    layers = []
    for cell in plan.cells():
        weight = next(cell.parameters(), torch.empty(0))
        if weight.device.type != "cpu" or weight.dtype not in (torch.float32, torch.float64):
            return f"the weights are {_name(weight.dtype)} on {weight.device}."
        if has_hooks(cell):
            return "hooks on the cell must see every step."
        still = copy.deepcopy(cell).requires_grad_(False).eval()
        try:
            step = make_plan(still, needs_dx=False)
        except CellError as error:
            return str(error)
        leaves = [leaf.detach() for leaf in gather(step.program, still, weight)]
        layers.append(_Layer(still, lower_forward(step, training=False), leaves))
    return layers


def _matrix(view: MatrixView, leaf: Tensor) -> tuple[int, int, int]:
    row, column = leaf.stride()
    data = leaf[view.row0 :, view.col0 :].data_ptr()
    return (data, column, row) if view.transposed else (data, row, column)


def _second_level_cache() -> int:
    """Bytes of a core's own cache."""
    try:
        return os.sysconf("SC_LEVEL2_CACHE_SIZE") or SECOND_LEVEL_CACHE
    except (AttributeError, ValueError, OSError):
        return SECOND_LEVEL_CACHE


def _name(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")
