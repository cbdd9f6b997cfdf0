"""A stream on the reference engine: any cell."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from steploom.engine import reference
from steploom.engine.stream import Rows, States, Stream, StreamPlan, still_copy
from steploom.errors import OptionError

__all__ = ["ReferenceStream"]

# The native core says the same.
TWO_THREADS = "Two threads use one stream at the same time. Open one for each thread: rnn.stream(batch)."


class ReferenceStream(Stream):
    """Calls the cells, copied when it is made."""

    engine = "reference"

    def __init__(self, plan: StreamPlan, reason: str) -> None:
        super().__init__(plan)
        self.reason = reason
        self._turn = threading.Lock()
        self._load()
        self._states = self._tensors(self._initial)

    def _load(self) -> None:
        self._cells = [still_copy(cell) for cell in self._plan.cells()]
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
