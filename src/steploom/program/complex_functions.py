"""Functions of complex numbers, said in real ones of their parts.

Derivatives come out as PyTorch has them, since both parts of a result are real functions of the parts of its arguments;
where PyTorch gives 0 for a derivative that is not there, at 0, this is seen to.
"""

from __future__ import annotations

import cmath
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

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


def size(z: Pair) -> Any:
    """|z|; where that is 0, it has no gradient."""
    unit, scale = z.scaled
    return _but_at_zero(torch.sqrt, unit.square_of_size) * scale


def direction(z: Pair) -> Pair:
    """z / |z|, and 0 where z is 0."""
    unit, _ = z.scaled
    return unit * Pair(_but_at_zero(torch.rsqrt, unit.square_of_size))


def _but_at_zero(function: Callable[[Any], Any], square: Any) -> Any:
    nothing = square == 0
    return torch.where(nothing, 0.0, function(torch.where(nothing, 1.0, square)))


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
    unit, scale = z.scaled
    return Pair(0.5 * unit.square_of_size.log() + scale.log(), angle(z))


def sqrt(z: Pair) -> Pair:
    """The square root whose real part is at least 0."""
    a, b = z.whole
    negative, side = a < 0, torch.copysign(torch.ones_like(b), b)
    larger = (0.5 * (size(z) + torch.where(negative, -a, a))).sqrt()  # of the parts; nothing is lost by cancelling
    smaller = torch.where(larger == 0, b, b / (2 * larger))
    return Pair(torch.where(negative, side * smaller, larger), torch.where(negative, side * larger, smaller))


def power(base: Any, exponent: Any) -> Pair:
    """base^exponent, as |base|^exponent at the angle times exponent where it is not a small whole number."""
    if not isinstance(base, Tensor):
        return exp(pair_of(exponent) * pair_of(cmath.log(base)))
    z = pair_of(base)
    if not isinstance(exponent, (int, float)):
        return exp(log(z) * pair_of(exponent))
    if exponent == 0.5:
        return sqrt(z)
    if exponent in range(1, LARGEST_POWER + 1):
        result = z
        for _ in range(int(exponent) - 1):
            result = result * z
        return result
    if exponent < 0:
        return Pair(1.0) / power(base, -exponent)
    return polar(size(z) ** exponent, exponent * angle(z))


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
    """1 / (1 + e^-z), or e^z / (1 + e^z) where that would be large."""
    a, b = z.whole
    right = a >= 0
    small = polar(torch.where(right, -a, a).exp(), torch.where(right, -b, b))
    above = Pair(torch.where(right, 1.0, small.real), torch.where(right, 0.0, small.imaginary))
    return above / (Pair(1.0) + small)
