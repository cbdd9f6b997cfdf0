"""What a step may not do with the numbers in a tensor, and how it is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from steploom.errors import UnsupportedOperation
from steploom.program.casts import is_inexact
from steploom.program.cell_source import cell_line
from steploom.program.nested import flat
from steploom.program.traced import Fixed, Traced

if TYPE_CHECKING:
    from steploom.program.tracer import Tracer

__all__ = ["BY_INDICES", "READS_NUMBERS", "refusal_of", "refuse_changing", "refuse_reading"]

READS_NUMBERS = {"_local_scalar_dense", "is_nonzero", "equal", "item"}
BY_INDICES = {"index", "index_select", "index_put", "index_add"}


def refuse_reading(tracer: Tracer, tensor: Any) -> None:
    """Raise `UnsupportedOperation` where a step reads a number that differs from row to row."""
    constant = isinstance(tensor, Traced) and isinstance(tensor.form, Fixed) and tensor.form.number is not None
    if not constant and id(tensor) not in tracer.fresh:
        raise UnsupportedOperation(
            "the step reads a number out of a tensor, as `if`, `float` or `item` do",
            source=cell_line(),
            hint="Use torch.where, so that each row and step can differ.",
        )


def refuse_changing(tracer: Tracer, args: tuple[Any, ...]) -> None:
    """Raise `UnsupportedOperation` for an index that the parameters tell: a program holds the numbers that it was."""
    indices = [item.form for item in flat(args) if isinstance(item, Traced) and not is_inexact(item)]
    if any(isinstance(form, Fixed) and tracer.leaves.is_of_numbers(form) for form in indices):
        raise UnsupportedOperation("its index is computed from parameters, which may change")


def refusal_of(name: str, error: UnsupportedOperation, source: str | None) -> UnsupportedOperation:
    """The error of an operation that is no part of a program, with its name and the line that calls it."""
    message = f"the operation '{name}' cannot be part of a program: {error!s}".rstrip(".")
    return UnsupportedOperation(message, source=source)
