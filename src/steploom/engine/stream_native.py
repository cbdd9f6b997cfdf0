"""A stream on the native engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from steploom.cells.cell import Cell, real_weight
from steploom.engine.call_check import check_leaves
from steploom.engine.choice import ANY_STEP, native_obstacle
from steploom.engine.kernels import kernels
from steploom.engine.lowering import Lowered, lower_forward
from steploom.engine.native import gather
from steploom.engine.stream import Rows, States, Stream, StreamPlan, still_copy
from steploom.engine.threads import decide_stream
from steploom.engine.watch import HOOKED, has_hooks
from steploom.errors import CellError, OptionError
from steploom.native import core
from steploom.program.casts import dtype_name
from steploom.program.plan import make_plan
from steploom.program.program import MatrixView

__all__ = ["NativeLayer", "NativeStream", "lowered_layers"]


class NativeStream(Stream):
    """Pushes into the native core, which has the states and the packed weights."""

    engine = "native"
    reason = ANY_STEP

    def __init__(self, plan: StreamPlan, layers: Sequence[NativeLayer]) -> None:
        super().__init__(plan)
        self._load(layers)
        self._write(self._initial, None)

    def _load(self, layers: Sequence[NativeLayer]) -> None:
        self._read_initial([layer.cell for layer in layers])
        weight_bytes = max(layer.weights for layer in layers) * self.dtype.itemsize
        work = sum(layer.lowered.work for layer in layers) * self.batch
        threads, lets_others_run = decide_stream(work, weight_bytes)
        self._core = core().Stream(
            [layer.arguments(self._plan.residual) for layer in layers],
            self.dtype == torch.float64,
            kernels(),
            self.batch,
            self.input_size,
            threads,
            lets_others_run,
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
        layers = lowered_layers(self._plan)
        if isinstance(layers, str):
            raise OptionError(f"The native engine can no longer stream this layer: {layers} Open a new stream.")
        state = self.state()
        self._load(layers)
        self._write(state, None)

    def _write(self, state: States, rows: npt.NDArray[np.bool_] | None) -> None:
        for number, array in enumerate(state):
            for layer, part in enumerate(array):
                self._core.write_state(layer, number, part.ctypes.data, 0 if rows is None else rows.ctypes.data)


@dataclass(frozen=True)
class NativeLayer:
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


def lowered_layers(plan: StreamPlan) -> list[NativeLayer] | str:
    """The layers in the form of the native core; or why that engine cannot run them."""
    if any(plan.zoneout):
        return "zoneout mixes the states at every step."
    layers = []
    for cell in plan.cells():
        weight = real_weight(cell)
        if native_obstacle(weight.dtype, weight.device.type) is not None:
            return f"the weights are {dtype_name(weight.dtype)} on {weight.device}."
        if has_hooks(cell):
            return f"{HOOKED}."
        still = still_copy(cell)
        try:
            step = make_plan(still, needs_dx=False)
        except CellError as error:
            return str(error)
        leaves = [leaf.detach() for leaf in gather(step.program, still)]
        check_leaves(step.program, leaves, weight)
        layers.append(NativeLayer(still, lower_forward(step, training=False), leaves))
    return layers


def _matrix(view: MatrixView, leaf: Tensor) -> tuple[int, int, int]:
    row, column = leaf.stride()
    data = leaf[view.row0 :, view.col0 :].data_ptr()
    return (data, column, row) if view.transposed else (data, row, column)
