"""Whether what went wrong stands in a cell of the user's own."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

__all__ = ["fault_of_a_cell"]

_PACKAGE = str(Path(__file__).parents[1])


def fault_of_a_cell(error: BaseException) -> str | None:
    """Names the innermost line of a user's cell that `error` passed; None where no such cell was running."""
    module = sys.modules.get("steploom.cells.cell")
    if module is None:
        return None
    place = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        cell, file = frame.f_locals.get("self"), frame.f_code.co_filename
        if isinstance(cell, module.Cell) and not file.startswith(_PACKAGE):
            kinds = [kind for kind in type(cell).__mro__ if issubclass(kind, module.Cell)]
            if any(getattr(sys.modules.get(kind.__module__), "__file__", None) == file for kind in kinds):
                place = f"the cell {type(cell).__qualname__} failed in {file}, line {line}"
    first, *_ = str(error).splitlines() or [""]
    return f"{place}: {type(error).__name__}: {first}" if place else None
