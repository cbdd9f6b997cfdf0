"""Discrete Fourier transforms, as products with the matrix of their roots of unity.

Over some hundred features this is about as quick as a fast transform; more than `MOST` are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, tau
from typing import Any

import torch

from steploom.errors import UnsupportedOperation
from steploom.program.pairs import Pair, pair_of

__all__ = ["complex_to_complex", "complex_to_real", "real_to_complex"]

MOST = 1024  # features of an axis


def real_to_complex(x: Any, dims: Sequence[int], normalization: int, onesided: bool) -> Pair:
    """`torch.fft.rfft` and its like; the last axis keeps frequencies from 0 to the half where it is one-sided."""
    found = _transformed(pair_of(x), dims[-1], half=onesided)
    for dim in dims[:-1]:
        found = _transformed(found, dim)
    return _scaled(found, [x.shape[dim] for dim in dims], normalization)


def complex_to_complex(z: Any, dims: Sequence[int], normalization: int, forward: bool) -> Pair:
    """`torch.fft.fft` and, backward, `ifft`, before they are scaled."""
    found = pair_of(z)
    for dim in dims:
        found = _transformed(found, dim, forward)
    return _scaled(found, [z.shape[dim] for dim in dims], normalization)


def complex_to_real(z: Any, dims: Sequence[int], normalization: int, last_size: int) -> Any:
    """`torch.fft.irfft`: the frequencies above the half are the conjugates of those below it."""
    found = pair_of(z)
    for dim in dims[:-1]:
        found = _transformed(found, dim, forward=False)
    count = last_size // 2 + 1
    cosines, sines = _roots(last_size, count, found.real.dtype)
    twice = torch.tensor([1.0 if 2 * k % last_size == 0 else 2.0 for k in range(count)]).unsqueeze(-1)
    real, imaginary = (part.narrow(dims[-1], 0, count).movedim(dims[-1], -1) for part in found.whole)
    summed = real @ (twice * cosines.T).to(real.dtype) - imaginary @ (twice * sines.T).to(real.dtype)
    sizes = [*(z.shape[dim] for dim in dims[:-1]), last_size]
    return _scaled(Pair(summed.movedim(-1, dims[-1])), sizes, normalization).real


def _transformed(z: Pair, dim: int, forward: bool = True, half: bool = False) -> Pair:
    """The sums of z_t e^(-+ 2πi tk / n) over the n numbers of an axis, for all k or those up to the half."""
    n = z.real.shape[dim]
    cosines, sines = _roots(n, n // 2 + 1 if half else n, z.real.dtype)
    moved = Pair(z.real.movedim(dim, -1), None if z.imaginary is None else z.imaginary.movedim(dim, -1))
    real, imaginary = moved.product(Pair(cosines, -sines if forward else sines), torch.matmul).whole
    return Pair(real.movedim(-1, dim), imaginary.movedim(-1, dim))


def _roots(n: int, count: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of the angles 2π tk / n, for n numbers t and the first `count` k."""
    if n > MOST:
        raise UnsupportedOperation(f"it transforms {n} features, more than {MOST}")
    turns = torch.outer(torch.arange(n), torch.arange(count)) % n
    angles = turns.double() * (tau / n)
    # What is 0 shall be 0.
    sines = torch.where(2 * turns % n == 0, 0.0, angles.sin())
    cosines = torch.where((4 * turns) % (2 * n) == n, 0.0, angles.cos())
    return cosines.to(dtype), sines.to(dtype)


def _scaled(z: Pair, sizes: Sequence[int], normalization: int) -> Pair:
    count = prod(sizes)
    return z * Pair((1.0, count**-0.5, 1.0 / count)[normalization])
