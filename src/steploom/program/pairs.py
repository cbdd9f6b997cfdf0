"""Complex numbers as pairs of real ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from steploom.program.prologue import Reference
from steploom.program.traced import Complex, Fixed, Rows, Traced

if TYPE_CHECKING:
    from steploom.program.tracer import Tracer

__all__ = ["Pair", "is_complex", "joined", "pair_of"]


@dataclass(frozen=True)
class Pair:
    """A tensor of complex numbers, or one such number.

    Attributes:
        real: a traced tensor or a number.
        imaginary: the same; None where it is 0.
    """

    real: Any
    imaginary: Any = None

    @property
    def whole(self) -> tuple[Any, Any]:
        """Both parts, the imaginary one even where it is 0."""
        if self.imaginary is not None:
            return self.real, self.imaginary
        return self.real, torch.zeros_like(self.real) if isinstance(self.real, Tensor) else 0.0

    @property
    def conjugate(self) -> Pair:
        real, imaginary = self.whole
        return Pair(real, -imaginary)  # of 0 too, which becomes -0

    @property
    def square_of_size(self) -> Any:
        if self.imaginary is None:
            return self.real * self.real
        return self.real * self.real + self.imaginary * self.imaginary

    @property
    def scaled(self) -> tuple[Pair, Any]:
        """The number divided by the larger of its parts, and that, without a gradient: squares of the former neither
        overflow nor vanish."""
        if self.imaginary is None:
            larger = abs(self.real)
        else:
            larger = torch.maximum(self.real.abs(), self.imaginary.abs())
        larger = larger.detach()
        larger = torch.where((larger > 0) & (larger < torch.inf), larger, 1.0)
        return self / Pair(larger), larger

    def __neg__(self) -> Pair:
        real, imaginary = self.whole
        return Pair(-real, -imaginary)

    def __add__(self, other: Pair) -> Pair:
        imaginary = [part for part in (self.imaginary, other.imaginary) if part is not None]
        return Pair(self.real + other.real, sum(imaginary[1:], imaginary[0]) if imaginary else None)

    def __sub__(self, other: Pair) -> Pair:
        imaginary = None if other.imaginary is None else -other.imaginary
        return self + Pair(-other.real, imaginary)

    def __mul__(self, other: Pair) -> Pair:
        return self.product(other, lambda a, b: a * b)

    def __truediv__(self, other: Pair) -> Pair:
        if other.imaginary is not None:
            if not isinstance(other.real, Tensor) and not isinstance(other.imaginary, Tensor):
                return self * pair_of(1 / complex(other.real, other.imaginary))
            divisor, size = other.scaled
            return self * divisor.conjugate / Pair(divisor.square_of_size) / Pair(size)
        return Pair(self.real / other.real, None if self.imaginary is None else self.imaginary / other.real)

    def product(self, other: Pair, multiply: Callable[[Any, Any], Any]) -> Pair:
        """The product, given that of real numbers or matrices."""
        real = multiply(self.real, other.real)
        if self.imaginary is None:
            return Pair(real, None if other.imaginary is None else multiply(self.real, other.imaginary))
        if other.imaginary is None:
            return Pair(real, multiply(self.imaginary, other.real))
        crossed = multiply(self.real, other.imaginary) + multiply(self.imaginary, other.real)
        return Pair(real - multiply(self.imaginary, other.imaginary), crossed)


def is_complex(item: object) -> bool:
    """Whether an argument is a complex number, or a tensor or the dtype of such."""
    if isinstance(item, torch.dtype):
        return item.is_complex
    return item.is_complex() if isinstance(item, Tensor) else isinstance(item, complex)


def pair_of(item: Any) -> Pair:
    """The parts of a traced tensor or of a number, of real ones too."""
    if isinstance(item, complex):
        return Pair(item.real, item.imag or None)
    if not isinstance(item, Traced) or not item.is_complex():
        return Pair(item)
    if isinstance(item.form, Complex):
        return Pair(item.form.real, item.form.imaginary)
    assert isinstance(item.form, Fixed)
    if item.form.number is not None and item.dim() == 0:
        return pair_of(complex(item.form.number))
    known: dict[Reference, Pair] = item.recorder.halves
    if item.form.node not in known:
        # In memory of their own, one half after the other: a view of a complex parameter is none of real numbers.
        with torch.enable_grad():  # others may ask for them whose gradients count
            halves = torch.view_as_real(item).movedim(-1, 0).clone(memory_format=torch.contiguous_format)
            known[item.form.node] = Pair(*halves.unbind())
    return known[item.form.node]


def joined(tracer: Tracer, sample: Tensor, pair: Pair) -> Traced:
    """The complex tensor of these parts, which are broadcast to the shape of `sample`, a tensor of such numbers."""
    rows = [part for part in (pair.real, pair.imaginary) if isinstance(getattr(part, "form", None), Rows)]
    if not rows:  # new numbers, of a size without the batch
        return tracer.wrap(sample, tracer.leaves.constant(sample))

    def part_of(part: Any) -> Traced:
        if not isinstance(getattr(part, "form", None), Rows):
            part = torch.zeros_like(rows[0]) + part
        if part.shape != sample.shape:
            part = part.expand(sample.shape)
        # With a sample of its own, since nobody who writes into the tensor that a part was taken from writes into it.
        return Traced(part.sample.clone(memory_format=torch.contiguous_format), part.form, tracer)

    imaginary = None if pair.imaginary is None else part_of(pair.imaginary)
    return tracer.wrap(sample, Complex(part_of(pair.real), imaginary))
