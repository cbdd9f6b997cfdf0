"""Which engine runs a cell."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

import torch

from steploom.cells.cell import Cell, real_weight
from steploom.engine import aten
from steploom.engine.graphs import same_in_a_graph
from steploom.engine.watch import HOOKED
from steploom.errors import CellError, OptionError, UnsupportedOperation, nearest
from steploom.program.casts import dtype_name

if TYPE_CHECKING:
    from steploom.engine.compiled import Compiled

__all__ = [
    "ANY_STEP",
    "ENGINES",
    "Choice",
    "check_engine",
    "choose",
    "engine_asked_for",
    "engine_wanted",
    "native_obstacle",
    "use_engine",
    "warn_once",
]

ENGINES = ("auto", "native", "aten", "reference")

ANY_STEP = "it runs any step that is a program of primitives"
"""Why the native engine was taken."""

# A context variable, not a global: threads and asynchronous tasks choose for themselves.
_wanted: ContextVar[str] = ContextVar("steploom_engine", default="auto")
# What `use_engine` asks for here, without a function of Python.
engine_wanted = _wanted.get

_warned: set[str] = set()


class Choice(NamedTuple):
    """An engine for a cell.

    Attributes:
        engine: "native", "aten" or "reference".
        reason: why, in words.
        compiled: the plan of the cell where the native engine runs it.
        unsupported: what the native engine cannot run, if that is why another engine does.
    """

    engine: str
    reason: str
    compiled: Compiled | None = None
    unsupported: UnsupportedOperation | None = None


@contextmanager
def use_engine(name: str) -> Iterator[None]:
    """Run every layer that does not fix its engine itself on the engine `name` while the block lasts.

        with steploom.use_engine("reference"):
            y, state = rnn(x)

    Args:
        name: "reference" (a PyTorch loop over the cell), "aten" (PyTorch's own kernels), "native" (the compiled core,
            for any cell on the CPU), or "auto" (native where it can run the cell, else PyTorch's kernel, else the
            reference).

    Raises:
        OptionError: no engine has that name.
    """
    token = _wanted.set(check_engine(name))
    try:
        yield
    finally:
        _wanted.reset(token)


def check_engine(name: str) -> str:
    """`name`, if an engine is called so.

    Raises:
        OptionError: no engine has that name.
    """
    if name not in ENGINES:
        hint = nearest(str(name), ENGINES) or f" Choose one of {', '.join(ENGINES)}."
        raise OptionError(f"No engine is called '{name}'.{hint}")
    return name


@same_in_a_graph
def engine_asked_for(engine: str = "auto") -> str:
    """The engine asked for: `engine`, or where that is "auto", what `use_engine` asks for."""
    return engine if engine != "auto" else _wanted.get()


def choose(
    cell: Cell,
    engine: str,
    needs_reference: str | None = None,
    dtype: torch.dtype | None = None,
    device: str | None = None,
    not_native: str | None = None,
) -> Choice:
    """The engine that runs a cell and why.

    Args:
        cell: the cell to run.
        engine: what the layer asks for; where it is "auto", what `use_engine` asks for counts.
        needs_reference: why this run needs the reference engine, if it does.
        dtype, device: of the input; where they are not given, those of the cell's weights.
        not_native: why the native engine cannot do this run, if it cannot.

    Raises:
        OptionError: the engine that was asked for by name cannot do this run.
    """
    name = engine_asked_for(engine)
    if name == "reference":
        return Choice("reference", "it was asked for")
    if needs_reference is not None:
        _refuse(name, needs_reference)
        return Choice("reference", needs_reference)
    if name == "aten":
        if (obstacle := aten.why_not(cell)) is not None:
            _refuse(name, obstacle)
        return Choice("aten", "it was asked for")
    native = _native(cell, name, dtype, device) if not_native is None else Choice("reference", not_native)
    if native.engine == "native":
        return native
    if name == "native":
        _refuse(name, native.reason)
    return native if aten.why_not(cell) is not None else Choice("aten", "PyTorch has a kernel for this cell")


def warn_once(choice: Choice) -> None:
    """Say that a cell runs slowly because of what it does, the first time that this is so."""
    if choice.unsupported is None or choice.reason in _warned:
        return
    _warned.add(choice.reason)
    warnings.warn(
        f"The reference engine, a slow loop, runs this layer: {choice.reason} "
        "Ask for engine='reference' to have it so without this warning.",
        stacklevel=2,
    )


def _refuse(name: str, obstacle: str) -> None:
    if name != "auto":
        raise OptionError(
            f"The engine '{name}' cannot run this layer: {obstacle.rstrip('.')}. Use engine='auto' or 'reference'."
        )


def native_obstacle(dtype: torch.dtype, device: str) -> str | None:
    """Why the native engine runs no cell in this dtype on this type of device, or None where it does."""
    if device != "cpu":
        return f"the native engine runs on the CPU and not on {device}"
    if dtype is not torch.float32 and dtype is not torch.float64:
        return f"the native engine runs in float32 and float64 and not in {dtype_name(dtype)}"
    return None


def _native(cell: Cell, name: str, dtype: torch.dtype | None, device: str | None) -> Choice:
    if dtype is None or device is None:
        weight = real_weight(cell)
        dtype, device = weight.dtype, weight.device.type
    obstacle = native_obstacle(dtype, device)
    if obstacle is not None:
        return Choice("reference", obstacle)
    from steploom.engine.compiled import compiled_cell

    found = compiled_cell(cell)
    if found is None:
        return Choice("reference", HOOKED)
    if isinstance(found, CellError):
        return Choice("reference", str(found), unsupported=found if isinstance(found, UnsupportedOperation) else None)
    reason = "it was asked for" if name == "native" else ANY_STEP
    return Choice("native", reason, found)
