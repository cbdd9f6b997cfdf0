"""Products with weights outside the engines: by the fastest library at hand, and for many steps of a loop together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

__all__ = ["SharedProducts", "linear", "padded_rows"]

# PyTorch multiplies float32 matrices with MKL, which on processors of other makers uses half their vector width.
# oneDNN, which is in the same builds, uses all of it: measured 2 to 4 times as fast on an AMD EPYC (Zen 5).
_HAS_ONEDNN = (
    torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    and torch.backends.cpu.get_cpu_capability().startswith("AVX")
    # It is no public operator: where a version of PyTorch lacks it, MKL it is.
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)

# oneDNN keeps memory for every shape it has met, up to 20 MB each: rows are filled up to a multiple of this, and the
# longer sums of the gradients to a multiple of that.
_ROWS = 16
_TOGETHER = 64


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x @ weight.T + bias, as `torch.nn.functional.linear`, but without a gradient.

    Args:
        x: (rows, size).
        weight: (features, size).
        bias: (features,) or None.
    """
    rows = len(x)
    fits = _HAS_ONEDNN and x.dtype == weight.dtype == torch.float32 and x.device.type == "cpu" and x.shape[1] > 0
    if not fits or rows < _ROWS // 2:
        return F.linear(x, weight, bias)
    x = F.pad(x, (0, 0, 0, -rows % _ROWS)) if rows % _ROWS else _plain(x)
    return torch.ops.mkldnn._linear_pointwise.default(x, _plain(weight), bias, "none", [], "")[:rows]  # type: ignore[no-any-return]


def padded_rows(rows: int) -> int:
    """How many rows a product over so many should have: rows of 0 that are added keep the number of shapes small."""
    return -(-rows // _TOGETHER) * _TOGETHER


def _plain(matrix: Tensor) -> Tensor:
    """The matrix in a layout that oneDNN has a fast path for: rows or columns without gaps, no stride of 0."""
    return matrix if matrix.is_contiguous() or matrix.t().is_contiguous() else matrix.contiguous()


class SharedProducts(TorchFunctionMode):
    """Within it, `torch.nn.functional.linear` is the fastest one at hand, and the gradients of the weights it
    multiplies with are computed once at the end of the backward pass, over all calls together, not call by call.

    It is for loops over time outside the engines: adding up a gradient as large as the weight at every step costs about
    as much as the product. Under autocast the products run in its type. Only weights that are parameters are treated
    so, and what they give can be differentiated once.
    """

    def __init__(self) -> None:
        super().__init__()
        self._weights: dict[tuple[int, int], _Weight] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Calls `func`, or takes its place."""
        if func is F.linear and not kwargs:
            return self._linear(*args)
        return func(*args, **(kwargs or {}))

    def _linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        autocast = torch.is_autocast_enabled(x.device.type)
        if x.dim() < 2 or weight.dim() != 2 or (x.dtype != weight.dtype and not autocast):
            # All that PyTorch allows, and its errors where it does not.
            return F.linear(x, weight, bias)
        if x.dim() > 2:
            return self._linear(x.flatten(0, -2), weight, bias).view(*x.shape[:-1], len(weight))
        if not torch.is_grad_enabled() and not autocast:
            return linear(x, weight, bias)
        if not isinstance(weight, nn.Parameter) or not weight.requires_grad or not torch.is_grad_enabled():
            return F.linear(x, weight, bias)
        key = id(weight), id(bias)
        if key not in self._weights:
            self._weights[key] = _Weight(weight, bias)
        shared = self._weights[key]
        return _Product.apply(shared, x.to(shared.kind), shared.token)  # type: ignore[no-untyped-call, no-any-return]


class _Weight:
    """A weight, and what the calls of one backward pass left for its gradient."""

    def __init__(self, weight: nn.Parameter, bias: Tensor | None) -> None:
        device = weight.device.type
        self.kind = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        self.result = weight.dtype
        self.weight = weight.detach().to(self.kind)
        self.bias = None if bias is None else bias.detach().to(self.kind)
        self._task = -1
        self._left: list[tuple[Tensor, Tensor]] = []
        # It stands in the graph between the weight and all calls, so its backward runs when theirs are done.
        self.token: Tensor = _Gather.apply(self, weight, bias)  # type: ignore[no-untyped-call]

    def leave(self, x: Tensor, grad: Tensor) -> None:
        """Keeps the two sides of a product for the end."""
        task = torch._C._current_graph_task_id()
        if task != self._task:
            # An earlier pass may have ended without asking for this weight's gradient.
            self._task, self._left = task, []
        self._left.append((x, grad))

    def gradients(self) -> tuple[Tensor | None, Tensor | None]:
        """Those of weight and bias."""
        if not self._left or self._task != torch._C._current_graph_task_id():
            return None, None
        rows = sum(len(x) for x, _ in self._left)
        x, grad = (_together(parts, padded_rows(rows) - rows) for parts in zip(*self._left, strict=True))
        self._left = []
        bias = None if self.bias is None else grad.sum(0, dtype=self.result)
        return linear(grad.t(), x.t()).to(self.result), bias


def _together(parts: tuple[Tensor, ...], more: int) -> Tensor:
    """All rows, and `more` of 0."""
    return torch.cat((*parts, parts[0].new_zeros(more, parts[0].shape[1])))


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, shared: _Weight, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.shared = shared
        ctx.set_materialize_grads(False)
        return weight.new_empty(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor | None) -> tuple[Tensor | None, ...]:
        return (None, *ctx.shared.gradients())


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, shared: _Weight, x: Tensor, token: Tensor) -> Tensor:
        ctx.shared = shared
        ctx.save_for_backward(x)
        return linear(x, shared.weight, shared.bias).to(shared.result)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        shared = ctx.shared
        grad = grad.to(shared.kind)
        shared.leave(*ctx.saved_tensors, grad)
        return None, linear(grad, shared.weight.t()) if ctx.needs_input_grad[1] else None, None
