"""Streaming: one step at a time, on states and packed weights that are kept."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from steploom.cells.cell import Cell, real_weight
from steploom.errors import OptionError
from steploom.program.casts import dtype_name

__all__ = ["Array", "Convert", "Rows", "States", "Stream", "StreamPlan", "still_copy"]

Array = npt.NDArray[Any]
States = tuple[Array, ...]
Rows = TypeVar("Rows", bound=Array | Tensor)


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
        weight = real_weight(cells[0])
        self.dtype, self._device = weight.dtype, weight.device
        self._names = tuple(cells[0].states)
        self._shapes = tuple((len(cells), plan.batch, size) for size in cells[0].states.values())
        self._array_dtype = torch.empty(0, dtype=self.dtype).numpy().dtype
        self._convert = Convert(self.batch, self.input_size, self.dtype)

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
        return f"Stream({sizes}, dtype={dtype_name(self.dtype)}, engine={self.engine!r})"


@dataclass(frozen=True)
class Convert:
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
        found = x.dtype if isinstance(x, Tensor) else x.dtype.newbyteorder("=")
        if dtype_name(found) != dtype_name(self.dtype):
            how = (
                f"x.to(torch.{dtype_name(self.dtype)})"
                if isinstance(x, Tensor)
                else f'x.astype("{dtype_name(self.dtype)}")'
            )
            raise OptionError(
                f"x is {dtype_name(found)} but the weights are {dtype_name(self.dtype)}. Convert it: {how}."
            )
        array = x.detach().numpy() if isinstance(x, Tensor) else np.asarray(x)
        return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


@torch.no_grad()
def still_copy(cell: Cell) -> Cell:
    """The cell as a stream runs it: copied, in evaluation and without gradients."""
    # What a hook computed, as those of torch.nn.utils.prune do, is part of a graph, and PyTorch copies no such tensor.
    found = [item for module in cell.modules() for item in vars(module).values() if isinstance(item, Tensor)]
    computed = {id(tensor): tensor.detach().clone() for tensor in found if not tensor.is_leaf}
    return copy.deepcopy(cell, computed).requires_grad_(False).eval()
