"""Functions of complex numbers, said in real ones of their parts.

Derivatives come out as PyTorch has them, since both parts of a result are real functions of the parts of its arguments;
where PyTorch gives 0 for a derivative that is not there, at 0, this is seen to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from steploom.program.pairs import Pair, pair_of

__all__ = [
    "angle",
    "cos",
    "cosh",
    "direction",
    "exp",
    "log",
    "polar",
    "power",
    "sigmoid",
    "sin",
    "sinh",
    "size",
    "sqrt",
    "tanh",
]

LARGEST_POWER = 8  # that is multiplied out


def _away_from_zero(z: Pair, function: Callable[[Any], Any]) -> Any:
    """A function of |z|^2, and 0 without a gradient where that is 0."""
    square = z.square_of_size
    nothing = square == 0
    return torch.where(nothing, 0.0, function(torch.where(nothing, 1.0, square)))


def size(z: Pair) -> Any:
    """|z|"""
    return _away_from_zero(z, torch.sqrt)


def direction(z: Pair) -> Pair:
    """z / |z|"""
    return z * Pair(_away_from_zero(z, torch.rsqrt))


def angle(z: Pair) -> Any:
    """The angle, between -π and π."""
    real, imaginary = z.whole
    return torch.atan2(imaginary, real)


def polar(size: Any, angle: Any) -> Pair:
    """size · e^(i angle)"""
    return Pair(size * torch.cos(angle), size * torch.sin(angle))


def exp(z: Pair) -> Pair:
    """e^z"""
    return Pair(z.real.exp()) if z.imaginary is None else polar(z.real.exp(), z.imaginary)


def log(z: Pair) -> Pair:
    """log |z| + i angle(z)"""
    return Pair(0.5 * z.square_of_size.log(), angle(z))


def sqrt(z: Pair) -> Pair:
    """The square root whose real part is at least 0."""
    return polar(size(z).sqrt(), 0.5 * angle(z))


def power(base: Any, exponent: Any) -> Pair:
    """base^exponent, as e^(exponent · log base) where it is not a small whole number."""
    z = pair_of(base)
    if exponent in (0.5, -1):
        return sqrt(z) if exponent == 0.5 else Pair(1.0) / z
    if exponent in range(1, LARGEST_POWER + 1):
        result = z
        for _ in range(int(exponent) - 1):
            result = result * z
        return result
    return exp(log(z) * pair_of(exponent))


def sinh(z: Pair) -> Pair:
    """sinh a · cos b + i cosh a · sin b"""
    a, b = z.whole
    return Pair(torch.sinh(a) * torch.cos(b), torch.cosh(a) * torch.sin(b))


def cosh(z: Pair) -> Pair:
    """cosh a · cos b + i sinh a · sin b"""
    a, b = z.whole
    return Pair(torch.cosh(a) * torch.cos(b), torch.sinh(a) * torch.sin(b))


def sin(z: Pair) -> Pair:
    """sin a · cosh b + i cos a · sinh b"""
    a, b = z.whole
    return Pair(torch.sin(a) * torch.cosh(b), torch.cos(a) * torch.sinh(b))


def cos(z: Pair) -> Pair:
    """cos a · cosh b - i sin a · sinh b"""
    a, b = z.whole
    return Pair(torch.cos(a) * torch.cosh(b), -torch.sin(a) * torch.sinh(b))


def tanh(z: Pair) -> Pair:
    """In terms of t = tanh a, which does not overflow where e^a does."""
    a, b = z.whole
    t, across, along = torch.tanh(a), torch.cos(b), torch.sin(b)
    square = t * t
    return Pair(t, along * across * (1 - square)) / Pair(across * across + square * along * along)


def sigmoid(z: Pair) -> Pair:
    """(1 + tanh(z / 2)) / 2"""
    return (tanh(z * Pair(0.5)) + Pair(1.0)) * Pair(0.5)
