"""Functions and operators of PyTorch that no program knows by themselves, said in others.

They run on traced tensors in the place of PyTorch's own, and give what these give, gradients included.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from steploom.program import geometry, indexing, linear_systems, ordering, pooling, scans
from steploom.program.attention import attention, flash_attention
from steploom.program.bilinear import bilinear
from steploom.program.nested import flat
from steploom.program.operators import is_rows

__all__ = ["COMPOSITIONS", "FUNCTIONS"]


def _nan_to_num(
    x: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    if not x.is_floating_point():
        return x
    limits = torch.finfo(x.dtype)
    x = torch.where(x.isnan(), nan or 0.0, x)
    x = torch.where(x == torch.inf, limits.max if posinf is None else posinf, x)
    return torch.where(x == -torch.inf, limits.min if neginf is None else neginf, x)


def _of_rows(own: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """Our own where an argument differs from row to row; else the function, which is called once a sequence."""

    def chosen(*args: Any, **kwargs: Any) -> Any:
        return (own if any(map(is_rows, flat([args, kwargs]))) else function)(*args, **kwargs)

    return chosen


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    F.scaled_dot_product_attention: attention,
    F.bilinear: bilinear,
}
"""What a step calls; PyTorch's own would act on numbers that are not there."""

_OF_ROWS: tuple[tuple[Callable[..., Any], ...], ...] = (
    (linear_systems.solve, torch.linalg.solve),
    (linear_systems.solve_triangular, torch.linalg.solve_triangular),
    (linear_systems.cholesky, torch.linalg.cholesky),
    (linear_systems.cholesky_solve, torch.cholesky_solve, Tensor.cholesky_solve),
    (linear_systems.inv, torch.linalg.inv, torch.inverse, Tensor.inverse),
    (linear_systems.det, torch.linalg.det, torch.det, Tensor.det),
    (linear_systems.slogdet, torch.linalg.slogdet, torch.slogdet, Tensor.slogdet),
    (linear_systems.logdet, torch.logdet, Tensor.logdet),
    (indexing.one_hot, F.one_hot),
    (ordering.quantile, torch.quantile, Tensor.quantile),
)
for _own, *_functions in _OF_ROWS:
    FUNCTIONS |= {function: _of_rows(_own, function) for function in _functions}

COMPOSITIONS: dict[str, Callable[..., Any]] = {
    "_scaled_dot_product_flash_attention_for_cpu": flash_attention,
    "_cdist_forward": geometry.cdist,
    "_euclidean_dist": geometry.cdist,
    "linalg_cross": geometry.cross,
    "prod": scans.prod,
    "cumprod": scans.cumprod,
    "cumsum": scans.cumsum,
    "logcumsumexp": scans.logcumsumexp,
    "cummax": scans.cummax,
    "cummin": scans.cummin,
    "sort": ordering.sort,
    "topk": ordering.topk,
    "kthvalue": ordering.kthvalue,
    "median": ordering.median,
    "argmax": ordering.argmax,
    "argmin": ordering.argmin,
    "gather": indexing.gather_along,
    "scatter": indexing.scatter,
    "scatter_add": indexing.scatter_add,
    "scatter_reduce": indexing.scatter_reduce,
    "index_add": indexing.index_add,
    "bucketize": indexing.bucketize,
    "searchsorted": indexing.searchsorted,
    "isin": indexing.isin,
    "count_nonzero": indexing.count_nonzero,
    "embedding": indexing.embedding,
    "index": indexing.index,
    "index_select": indexing.index_select,
    "avg_pool2d": pooling.avg_pool2d,
    "max_pool2d_with_indices": pooling.max_pool2d,
    "_adaptive_avg_pool2d": pooling.adaptive_avg_pool2d,
    "adaptive_max_pool2d": pooling.adaptive_max_pool2d,
    "nan_to_num": _nan_to_num,
}
"""By the operator's name; one that gives NotImplemented leaves the call to the table of operators."""
