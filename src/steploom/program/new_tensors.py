"""New tensors that a step makes of one number, with a row for each of the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from steploom.errors import UnsupportedOperation
from steploom.program.traced import Complex, Rows, Traced

if TYPE_CHECKING:
    from steploom.program.tracer import Tracer

__all__ = ["filled_rows"]


def filled_rows(tracer: Tracer, tensor: Tensor) -> Rows | Complex | None:
    """What a tensor such as `torch.zeros(h.shape[0], 8)` stands for; None where it has no row for each of the batch.

    Raises:
        UnsupportedOperation: its rows differ, or hold several numbers.
    """
    if tensor.dim() == 0 or all(size % tracer.batch for size in tensor.shape):
        return None
    if tensor.shape[0] != tracer.batch or not _same(tensor, tensor[:1]):
        raise UnsupportedOperation("it works on a new tensor that differs from row to row")
    row = tensor[0].reshape(-1)
    if not _same(row, row[:1]):
        raise UnsupportedOperation("it works on a new tensor that holds more than one number")

    def of(part: Tensor) -> Rows:
        return Rows(tracer.build.write("fill", width=row.numel(), value=float(part.flatten()[0])))

    if not tensor.is_complex():
        return of(tensor)
    real, imaginary = tensor.real.contiguous(), tensor.imag.contiguous()
    return Complex(Traced(real, of(real), tracer), Traced(imaginary, of(imaginary), tracer))


def _same(numbers: Tensor, one: Tensor) -> bool:
    return bool(((numbers == one) | (numbers.isnan() & one.isnan())).all())
