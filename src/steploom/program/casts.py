"""Conversions to float32 in the step of a float32 cell, while it is looked at in float64.

There `x.float()` does nothing, and `softmax(x, -1, dtype=torch.float32)` is a softmax: the step asks for the dtype that
it has. Taken literally in float64, they would lose digits that the cell does not lose.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["Casts", "dtype_name", "in_float64", "is_inexact", "own_dtype"]


def dtype_name(dtype: object) -> str:
    """The name of a dtype of PyTorch or NumPy, such as "float32"."""
    return str(dtype).removeprefix("torch.")


def is_inexact(tensor: Tensor) -> bool:
    """Whether a tensor holds real or complex numbers, no whole ones or truth values."""
    return tensor.is_floating_point() or tensor.is_complex()


def own_dtype(cell: nn.Module) -> torch.dtype | None:
    """The dtype of all the parameters and buffers of a cell that are no whole numbers, of complex ones that of their
    parts; None where they have several."""
    tensors = [*cell.parameters(), *cell.buffers()]
    dtypes = {tensor.dtype.to_real() for tensor in filter(is_inexact, tensors)}
    return next(iter(dtypes)) if len(dtypes) == 1 else None


DOUBLE = {torch.float32: torch.float64, torch.complex64: torch.complex128}
BY_NAME: dict[Any, Any] = {
    Tensor.float: Tensor.double,
    Tensor.cfloat: Tensor.cdouble,  # type: ignore[attr-defined] # they are there
}


def in_float64(function: Any, args: Any, kwargs: Any) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """A call with float64 in the place of float32, and with complex numbers of such."""

    def changed(item: Any) -> Any:
        return DOUBLE.get(item, item) if isinstance(item, torch.dtype) else item

    kwargs = {name: changed(item) for name, item in kwargs.items()}
    return BY_NAME.get(function, function), tuple(map(changed, args)), kwargs


class Casts(TorchFunctionMode):
    """While it is entered, float64 stands for float32: also for that in which PyTorch computes with whole numbers."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        func, args, kwargs = in_float64(func, args, kwargs or {})
        result = func(*args, **kwargs)
        if not isinstance(result, Tensor) or result.dtype != torch.float32 or not any(map(_is_whole, args)):
            return result
        return func(*(item.double() if _is_whole(item) else item for item in args), **kwargs)


def _is_whole(item: object) -> TypeGuard[Tensor]:
    return isinstance(item, Tensor) and item.dtype in (torch.int64, torch.int32)
