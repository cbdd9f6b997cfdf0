"""Small linear systems, one a row of the batch, in arithmetic: the gain of a Kalman filter, the density of a Gaussian.

A matrix that has no inverse, for which PyTorch raises an error, gives what is not a number: a step that runs
natively cannot raise. Each unknown takes some ten instructions; more than `MOST` are refused.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from steploom.errors import UnsupportedOperation
from steploom.program.indexing import hits
from steploom.program.operators import is_rows
from steploom.program.ordering import argmax

__all__ = ["cholesky", "cholesky_solve", "det", "inv", "logdet", "slogdet", "solve", "solve_triangular"]

MOST = 16  # unknowns
LAPLACE = 4  # rows, up to which a determinant is expanded by Laplace's rule, which has all its derivatives


def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """As `torch.linalg.solve`: X of A X = B, or of X A = B."""
    if B.dim() == 1 or B.shape == A.shape[:-1]:
        return solve(A, B.unsqueeze(-1)).squeeze(-1)
    if not is_rows(A):
        inverse: Tensor = torch.linalg.inv(A)
        return _by_fixed(inverse, B) if left else B @ inverse
    if not left:
        return solve(A.mT, B.mT).mT
    found = _eliminated(torch.cat([_square(A), B.expand(*A.shape[:-2], *B.shape[-2:])], -1))
    solvable = (found.pivots != 0).all(-1)[..., None, None]
    return torch.where(solvable, found.rest, torch.nan)


def inv(A: Tensor) -> Tensor:
    """As `torch.linalg.inv`."""
    return solve(_square(A), torch.zeros_like(A) + torch.eye(A.shape[-1], dtype=A.dtype))


def det(A: Tensor) -> Tensor:
    """As `torch.linalg.det`; of matrices larger than `LAPLACE` without a gradient where it is 0."""
    n = _square(A).shape[-1]
    if n == 1:
        return A[..., 0, 0]
    if n <= LAPLACE:
        minors = [A[..., 1:, [k for k in range(n) if k != j]] for j in range(n)]
        signed = [(-1) ** j * A[..., 0, j] * det(minor) for j, minor in enumerate(minors)]
        return torch.stack(signed, -1).sum(-1)
    found = _eliminated(A)
    return found.sign * found.pivots.prod(-1)


def slogdet(A: Tensor) -> tuple[Tensor, Tensor]:
    """As `torch.linalg.slogdet`: the sign of the determinant and the logarithm of its size."""
    found = _eliminated(_square(A))
    return found.sign * found.pivots.sign().prod(-1), found.pivots.abs().log().sum(-1)


def logdet(A: Tensor) -> Tensor:
    """As `torch.logdet`: not a number where the determinant is below 0."""
    sign, logarithm = slogdet(A)
    return torch.where(sign < 0, torch.nan, logarithm)


def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """As `torch.linalg.cholesky`: L of A = L Lᵀ, from the lower half of A; its gradient goes to both halves."""
    n = _square(A).shape[-1]
    lower = A.mT if upper else A
    halves = 0.5 * (A + A.mT)
    rest = halves + (lower.tril() + lower.tril(-1).mT - halves).detach()
    found = []
    for k in range(n):
        column = rest[..., :1] / rest[..., :1, :1].sqrt()
        found.append(F.pad(column, (0, 0, k, 0)))
        if k < n - 1:
            rest = rest[..., 1:, 1:] - column[..., 1:, :] * column[..., 1:, :].mT
    factor = torch.cat(found, -1)
    return factor.mT if upper else factor


def solve_triangular(A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Tensor:
    """As `torch.linalg.solve_triangular`: X of A X = B, or of X A = B, where one half of A counts."""
    if not is_rows(A):
        ones = torch.eye(A.shape[-1], dtype=A.dtype)
        inverse: Tensor = torch.linalg.solve_triangular(A, ones, upper=upper, unitriangular=unitriangular)
        return _by_fixed(inverse, B) if left else B @ inverse
    if not left:
        return solve_triangular(A.mT, B.mT, upper=not upper, unitriangular=unitriangular).mT
    n = _square(A).shape[-1]
    rest = B.expand(*A.shape[:-2], *B.shape[-2:])
    found: list[Tensor] = []
    for k in reversed(range(n)) if upper else range(n):
        row = rest[..., -1:, :] if upper else rest[..., :1, :]
        row = row if unitriangular else row / A[..., k : k + 1, k : k + 1]
        found.append(row)
        if len(found) < n:
            rest = rest[..., :-1, :] if upper else rest[..., 1:, :]
            rest = rest - (A[..., :k, k : k + 1] if upper else A[..., k + 1 :, k : k + 1]) * row
    return torch.cat(found[::-1] if upper else found, -2)


def cholesky_solve(B: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """As `torch.cholesky_solve`: X of L Lᵀ X = B."""
    lower = L.mT if upper else L
    return solve_triangular(lower.mT, solve_triangular(lower, B, upper=False), upper=True)


class _Eliminated(NamedTuple):
    """What elimination leaves.

    Attributes:
        rest: the columns (..., n, m) beside the matrix, multiplied with its inverse.
        pivots: what was divided by (..., n).
        sign: of the order in which the rows were taken, (...).
    """

    rest: Tensor
    pivots: Tensor
    sign: Tensor


def _eliminated(rows: Tensor) -> _Eliminated:
    """Gauss's and Jordan's elimination of (..., n, n + m), by the row with the largest number in a column each time."""
    n = rows.shape[-2]
    pivots, sign = [], torch.ones_like(rows[..., 0, 0])
    for k in range(n):
        candidates = rows[..., k:, :]
        place = argmax(candidates[..., k].abs(), -1)
        is_place = hits(place, n - k).unsqueeze(-1)
        pivot = torch.where(is_place, candidates, 0.0).sum(-2, keepdim=True)
        pivots.append(pivot[..., 0, k])
        sign = torch.where(place == 0, sign, -sign)
        divisor = pivot[..., k : k + 1]
        # Where that is 0, there is nothing in the column to be cleared.
        pivot = pivot / torch.where(divisor == 0, 1.0, divisor)
        others = torch.where(is_place, candidates[..., :1, :], candidates)
        above = [rows[..., :k, :]] if k else []
        below = [others[..., 1:, :]] if k < n - 1 else []
        cleared = [part - part[..., k : k + 1] * pivot for part in (*above, *below)]
        rows = torch.cat([*cleared[: len(above)], pivot, *cleared[len(above) :]], -2)
    return _Eliminated(rows[..., n:] if rows.shape[-1] > n else rows, torch.stack(pivots, -1), sign)


def _square(A: Tensor) -> Tensor:
    n = A.shape[-1]
    if A.dim() < 2 or A.shape[-2] != n:
        raise ValueError(f"a square matrix is wanted, found the shape {tuple(A.shape)}")
    if n > MOST:
        raise UnsupportedOperation(f"it has {n} unknowns, more than {MOST}")
    return A


def _by_fixed(matrix: Tensor, right: Tensor) -> Tensor:
    """matrix @ right, where the matrix is the same for all rows."""
    if right.dim() == 2:
        return matrix @ right
    turned = right.mT
    return (turned.reshape(-1, matrix.shape[-1]) @ matrix.mT).reshape(turned.shape).mT
