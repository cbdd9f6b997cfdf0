"""The functions that a step calls, seen before they become operators.

Here parameters and new tensors become traced ones, functions that are more than their operators say are replaced, and
what no program can say is refused by the name that the cell's author wrote.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from steploom.errors import UnsupportedOperation
from steploom.program.casts import in_float64, is_inexact
from steploom.program.cell_source import cell_line
from steploom.program.compositions import FUNCTIONS
from steploom.program.nested import flat, mapped
from steploom.program.new_tensors import filled_rows
from steploom.program.operators import is_rows
from steploom.program.pairs import is_complex
from steploom.program.refusals import refusal_of, refuse_reading
from steploom.program.traced import Traced
from steploom.program.tracer import Tracer

__all__ = ["StepFunctions"]

READS = {"tolist", "numpy", "item", "__bool__", "__float__", "__int__", "__array__", "data_ptr"}
RANDOM = ("rand", "normal", "bernoulli", "multinomial", "uniform", "exponential", "dropout", "poisson")
NEW = {"zeros", "ones", "full", "empty"}


class StepFunctions(TorchFunctionMode):
    """While it is entered, the functions of a step work on traced tensors.

    Args:
        tracer: what takes note of their operators.
        casts: whether float64 stands for float32 here, the dtype of the cell.
    """

    def __init__(self, tracer: Tracer, casts: bool = False) -> None:
        super().__init__()
        self.tracer, self.casts = tracer, casts

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # New tensors are made by functions that take none, which no traced tensor would see.
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        given = [item for item in flat([args, kwargs]) if isinstance(item, Tensor)]
        if name in READS and given:
            refuse_reading(self.tracer, given[0])
        traced = given
        if not all(isinstance(item, Traced) for item in given):
            args, kwargs = mapped(args, Tensor, self._traced_leaf), mapped(kwargs, Tensor, self._traced_leaf)
            traced = [item for item in flat([args, kwargs]) if isinstance(item, Tensor)]
        if self.tracer.transforming:
            return func(*args, **kwargs)
        plain = [item for item in traced if not isinstance(item, Traced)]
        foreign = [item for item in plain if not torch._C._functorch.is_functorch_wrapped_tensor(item)]
        if any(id(item) not in self.tracer.fresh for item in foreign):
            raise UnsupportedOperation(
                f"'{name}' reads a tensor that is neither an argument nor a parameter or buffer of the cell",
                source=cell_line(),
                hint="Register it as a buffer.",
            )
        if len(foreign) < len(plain):
            return self._transformed(func, args, kwargs)
        if self.casts and traced and all(is_inexact(item) or is_rows(item) for item in traced):
            func, args, kwargs = in_float64(func, args, kwargs)
        if name == "where":
            dtypes = [item.dtype.to_real() for item in args[1:] if isinstance(item, Tensor) and is_inexact(item)]
            args = tuple(
                self._tensor(item, *dtypes[:1]) if isinstance(item, (int, float, complex)) else item for item in args
            )
        result = self._called(name, FUNCTIONS.get(func, func), args, kwargs)
        # What is computed on a traced tensor is traced; the rest, as `torch.eye(8).to(h)`, holds numbers of its own.
        if type(result) is not Tensor or (
            name == "__get__" and any(id(item) not in self.tracer.fresh for item in given)
        ):
            return result
        return self._made(name, result)

    def _transformed(self, function: Any, args: Any, kwargs: Any) -> Any:
        """Within `torch.vmap` and its like, operators arrive with the batch in its place."""
        self.tracer.transforming = True
        try:
            return function(*args, **kwargs)
        except UnsupportedOperation as error:
            raise UnsupportedOperation(
                f"'{getattr(function, '__name__', function)}' runs within torch.vmap or another transform of "
                f"torch.func: {error}",
                source=cell_line(),
                hint="Write it for the whole batch: operations broadcast.",
            ) from error
        finally:
            self.tracer.transforming = False

    def _called(self, name: str, function: Any, args: Any, kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except UnsupportedOperation as error:
            if error.source is not None:
                raise
            raise refusal_of(name, error, cell_line()) from error

    def _made(self, name: str, tensor: Tensor) -> Tensor:
        """A new tensor; a traced one, where rows may be written into it."""
        if name.startswith(RANDOM):
            raise UnsupportedOperation(f"the operation '{name}' draws random numbers", source=cell_line())
        if name in NEW and (is_inexact(tensor) or name != "empty"):
            tensor = tensor.fill_(torch.nan) if name == "empty" else tensor
            has_rows = tensor.dim() > 0 and tensor.shape[0] == self.tracer.batch
            if has_rows and (filled := filled_rows(self.tracer, tensor)) is not None:
                return self.tracer.wrap(tensor, filled)
        self.tracer.fresh[id(tensor)] = tensor
        return tensor

    def _tensor(self, number: complex, dtype: torch.dtype | None = None) -> Tensor:
        """A number as a tensor, in the precision of what stands beside it."""
        dtype = torch.get_default_dtype() if dtype is None else dtype
        tensor = torch.full((), number, dtype=dtype.to_complex() if is_complex(number) else dtype)
        self.tracer.fresh[id(tensor)] = tensor
        return tensor

    def _traced_leaf(self, tensor: Tensor) -> Tensor:
        leaf = None if isinstance(tensor, Traced) else self.tracer.leaves.find(tensor)
        return tensor if leaf is None else self.tracer.wrap(*leaf)
