"""The table of PyTorch's operators that a step may call, by name."""

from __future__ import annotations

from steploom.program import moves, norms, operators, products, reductions
from steploom.program.operators import Handler

__all__ = ["OPERATORS"]

OPERATORS: dict[str, Handler] = (
    operators.HANDLERS | moves.HANDLERS | products.HANDLERS | reductions.HANDLERS | norms.HANDLERS
)
