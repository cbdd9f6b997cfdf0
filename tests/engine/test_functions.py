"""The elementary functions of the native engine against PyTorch's, near 0 and far from it."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from steploom import Cell, Recurrent
from steploom.native import core

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sin": torch.sin,
    "cos": torch.cos,
    "erf": torch.erf,
    "atan": torch.atan,
    "log": torch.log,
    "log1p": torch.log1p,
    "expm1": torch.expm1,
    "softplus": torch.nn.functional.softplus,
    "floor": torch.floor,
    "exp": torch.exp,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}
# PyTorch's own gives x itself beyond 20.
EXACT = {"softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x))}
SCALES = (1e-6, 1e-2, 1.0, 5.0, 50.0, 3e3, 1e5)
SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, -0.5, math.pi, math.nan)
HUGE = (1e30, -1e30, math.inf, -math.inf)
# Where numbers have a digit or none behind the point, in both dtypes.
COARSE = tuple(sign * (2.0**n + part) for n in (22, 23, 51, 52) for part in (0.0, 0.5, 1.0) for sign in (1.0, -1.0))


class _Function(Cell):
    """A cell whose state is a function of its input."""

    def __init__(self, function: Callable[[Tensor], Tensor], size: int) -> None:
        super().__init__()
        self.input_size = size
        self.states = {"h": size}
        self.function = function

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        return (self.function(x),)


@pytest.mark.parametrize("kernels", core().kernels())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function(kernels_of_environment, name, dtype, kernels):
    kernels_of_environment(kernels)
    function = FUNCTIONS[name]
    drawn = torch.randn(len(SCALES), 3, 37, dtype=torch.float64) * torch.tensor(SCALES).view(-1, 1, 1)
    x = drawn.to(dtype)
    x[0, 1, : len(SPECIAL)] = torch.tensor(SPECIAL, dtype=dtype)
    x[1, 1, : len(HUGE)] = torch.tensor(HUGE, dtype=dtype)
    if name == "floor":
        x[2, 1, : len(COARSE)] = torch.tensor(COARSE, dtype=dtype)
    if name in ("log", "log1p"):
        x[:, 0] = x[:, 0].abs()
    with torch.no_grad():
        y, _ = Recurrent(_Function(function, 37), engine="native")(x)
    expected = EXACT.get(name, function)(x.double()).to(dtype)
    # The engine takes what has no full mantissa for 0.
    expected = torch.where(expected.abs() < torch.finfo(dtype).tiny, torch.zeros_like(expected), expected)
    digits = {"rtol": 4e-7, "atol": 1e-8} if dtype is torch.float32 else {"rtol": 2e-15, "atol": 1e-15}
    if name == "floor":
        digits = {"rtol": 0.0, "atol": 0.0}
    if name in ("sin", "cos"):  # near their zeros far out, no more than the last bits of 1
        digits["atol"] = 10 * digits["atol"]
    torch.testing.assert_close(y, expected, equal_nan=True, **digits)
