"""Which engine runs a cell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from steploom.cells.cell import Cell
from steploom.engine import aten
from steploom.errors import OptionError, nearest

__all__ = ["ENGINES", "check_engine", "choose", "use_engine", "wanted"]

ENGINES = ("auto", "aten", "reference")

# A context variable, not a global: threads and asynchronous tasks choose for themselves.
_wanted: ContextVar[str] = ContextVar("steploom_engine", default="auto")


@contextmanager
def use_engine(name: str) -> Iterator[None]:
    """Run every layer that does not fix its engine itself on the engine `name` while the block lasts.

        with steploom.use_engine("reference"):
            y, state = rnn(x)

    Args:
        name: "reference" (a PyTorch loop over the cell), "aten" (PyTorch's own kernels), or "auto" (the fastest that
            can run the cell).

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


def wanted(engine: str = "auto") -> str:
    """The engine asked for: `engine`, or where that is "auto", what `use_engine` asks for."""
    return engine if engine != "auto" else _wanted.get()


def choose(cell: Cell, engine: str, needs_reference: str | None = None) -> tuple[str, str]:
    """The engine that runs a cell and why.

    Args:
        cell: the cell to run.
        engine: what the layer asks for; where it is "auto", what `use_engine` asks for counts.
        needs_reference: why this run needs the reference engine, if it does.

    Returns:
        "aten" or "reference", and the reason in words.

    Raises:
        OptionError: the engine that was asked for by name cannot do this run.
    """
    name = wanted(engine)
    if name == "reference":
        return "reference", "it was asked for"
    obstacle = needs_reference or aten.why_not(cell)
    if obstacle is None:
        return "aten", "it was asked for" if name == "aten" else "PyTorch has a kernel for this cell"
    if name == "aten":
        raise OptionError(f"The engine 'aten' cannot run this layer: {obstacle}. Use engine='auto' or 'reference'.")
    return "reference", obstacle
