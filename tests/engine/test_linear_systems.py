"""Steps that solve small linear systems, natively and by the reference engine."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from steploom import Cell, OptionError, Recurrent
from steploom.native import core
from steploom.testing import check_cell
from tests.engine.side_by_side import compare


class KalmanFilter(Cell):
    """The mean and the covariance of a hidden state, by what is seen of it (Kalman 1960), all matrices learnt."""

    def __init__(self, size: int = 3, seen: int = 2) -> None:
        super().__init__()
        self.input_size, self.size = seen, size
        self.states = {"mean": size, "covariance": size * size}
        self.moves = nn.Parameter(0.9 * torch.eye(size) + 0.1 * torch.randn(size, size))
        self.sees = nn.Parameter(torch.randn(seen, size))
        self.log_drift, self.log_noise = nn.Parameter(torch.zeros(size)), nn.Parameter(torch.zeros(seen))

    def forward(self, x: Tensor, mean: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
        mean = mean @ self.moves.T
        p = self.moves @ covariance.unflatten(1, (self.size, self.size)) @ self.moves.T
        p = p + torch.diag(self.log_drift.exp())
        across = p @ self.sees.T
        gain = torch.linalg.solve(self.sees @ across + torch.diag(self.log_noise.exp()), across.mT).mT
        mean = mean + (gain @ (x - mean @ self.sees.T).unsqueeze(-1)).squeeze(-1)
        return mean, (p - gain @ across.mT).flatten(1)


class Whitened(Cell):
    """Numbers in the coordinates of a covariance that the step follows."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size, self.states = 3, {"h": 3, "spread": 9}

    def forward(self, x: Tensor, h: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
        spread = spread.view(-1, 3, 3)
        spread = 0.45 * (spread + spread.mT) + 0.1 * torch.einsum("bi,bj->bij", x, x)
        factor = torch.linalg.cholesky(spread + torch.eye(3, dtype=x.dtype))
        white = torch.linalg.solve_triangular(factor, x.unsqueeze(-1), upper=False).squeeze(-1)
        size = torch.slogdet(spread + torch.eye(3, dtype=x.dtype))[1].unsqueeze(-1)
        return (0.5 * h + white - 0.1 * size).tanh(), spread.flatten(1)


CELLS = [KalmanFilter, Whitened]


class _Of(Cell):
    """A state that follows a function of a matrix and of numbers."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], n: int) -> None:
        super().__init__()
        self.input_size, self.states, self.n = n * n, {"h": 4}, n
        self.function, self.weight = function, nn.Parameter(torch.randn(n, n))

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        matrix = x.view(-1, self.n, self.n) + 0.3 * self.weight
        return ((self.function(matrix, h).flatten(1).repeat(1, 4)[:, :4] + 0.1 * h).tanh(),)


def _positive(a: Tensor) -> Tensor:
    return a @ a.mT + torch.eye(a.shape[-1], dtype=a.dtype)


FUNCTIONS: dict[str, tuple[int, Callable[[Tensor, Tensor], Tensor]]] = {
    "solve": (4, lambda a, h: torch.linalg.solve(a, h.unsqueeze(-1))),
    "solve for a vector": (4, lambda a, h: torch.linalg.solve(a, h)),
    "solve from the right": (4, lambda a, h: torch.linalg.solve(a, h.unsqueeze(1), left=False)),
    "solve by a parameter": (4, lambda a, h: torch.linalg.solve(torch.eye(4).to(h) + 0.5, a)),
    "inv": (5, lambda a, h: torch.linalg.inv(a) + a.inverse() - 0.5 * torch.inverse(a)),
    "det of 2": (2, lambda a, h: torch.linalg.det(a).unsqueeze(-1) * h),
    "det of 3": (3, lambda a, h: a.det().unsqueeze(-1) * h),
    "det of 4": (4, lambda a, h: torch.det(a).unsqueeze(-1) * h),
    "det of 6": (6, lambda a, h: (0.1 * torch.det(a)).unsqueeze(-1) + h),
    "slogdet": (5, lambda a, h: torch.stack([*torch.linalg.slogdet(a)], -1) + torch.slogdet(a)[0].unsqueeze(-1) * 0.1),
    "logdet": (3, lambda a, h: torch.logdet(_positive(a)).unsqueeze(-1) * h),
    "cholesky": (4, lambda a, h: torch.linalg.cholesky(_positive(a))),
    "upper cholesky": (3, lambda a, h: torch.linalg.cholesky(_positive(a), upper=True)),
    "cholesky_solve": (4, lambda a, h: torch.cholesky_solve(h.unsqueeze(-1), torch.linalg.cholesky(_positive(a)))),
    "lower": (4, lambda a, h: torch.linalg.solve_triangular(a + 3 * torch.eye(4).to(a), h.unsqueeze(-1), upper=False)),
    "upper": (4, lambda a, h: torch.linalg.solve_triangular(a, h.unsqueeze(-1), upper=True, unitriangular=True)),
    "from the right": (
        4,
        lambda a, h: torch.linalg.solve_triangular(a, h.unsqueeze(1), upper=True, left=False, unitriangular=True),
    ),
}


@pytest.mark.parametrize("kernels", core().kernels())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", CELLS)
def test_a_step_that_solves_runs_natively_as_the_reference_does(kernels_of_environment, kind, dtype, kernels):
    kernels_of_environment(kernels)
    torch.manual_seed(0)
    compare(kind().to(dtype), dtype, 1e-11 if dtype == torch.float64 else 2e-5)


@pytest.mark.parametrize("kind", CELLS)
def test_a_step_that_solves_keeps_the_laws(kind):
    torch.manual_seed(0)
    check_cell(kind())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_matrices(name):
    torch.manual_seed(0)
    n, function = FUNCTIONS[name]
    compare(_Of(function, n).double(), torch.float64, 1e-9)


def test_rows_are_taken_by_the_largest_number():
    """Without this, 1e-9 would be divided by, or 0."""
    x = torch.tensor([[0.0, 1.0, 1.0, 1.0], [1e-9, 1.0, 1.0, 1.0]]).unsqueeze(0)
    cell = _Of(lambda a, h: torch.linalg.solve(a, torch.ones_like(h[:, :2])), 2)
    with torch.no_grad():
        cell.weight.zero_()
        y, _ = Recurrent(cell, engine="native")(x)
    torch.testing.assert_close(y[0], torch.tensor([0.0, 1.0, 0.0, 1.0]).tanh().expand(2, 4), atol=1e-6, rtol=1e-6)


class _Plain(Cell):
    """A state that is a function of the input, a matrix."""

    def __init__(self, function: Callable[[Tensor], Tensor], n: int, size: int) -> None:
        super().__init__()
        self.input_size, self.states, self.n, self.function = n * n, {"h": size}, n, function

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        return (self.function(x.view(-1, self.n, self.n)) + 0 * h,)


def test_a_matrix_without_an_inverse_shows():
    rnn = Recurrent(_Plain(lambda a: torch.linalg.inv(a).flatten(1), 2, 4), engine="native")
    y, _ = rnn(torch.tensor([[[1.0, 2.0, 2.0, 4.0], [1.0, 2.0, 2.0, 3.0]]]))
    assert y[0, 0].isnan().all() and y[0, 1].tolist() == [-3.0, 2.0, 2.0, -1.0]


def test_determinants_may_be_0():
    x = torch.randn(1, 3, 25)
    x[0, 1, 5:10] = 2 * x[0, 1, :5]
    x[0, 2, ::5] = 0

    def both(a: Tensor) -> Tensor:
        sign, logarithm = torch.linalg.slogdet(a)
        return torch.stack([torch.linalg.det(a), sign, logarithm.exp()], -1)

    found, expected = (Recurrent(_Plain(both, 5, 3), engine=engine)(x)[0] for engine in ("native", "reference"))
    torch.testing.assert_close(found[:, ::2], expected[:, ::2], rtol=1e-4, atol=1e-5)
    assert found[0, 2].tolist() == [0.0, 0.0, 0.0] and found[0, 1, 0].abs() < 1e-4


@pytest.mark.parametrize(("n", "message"), [(17, "17 unknowns"), (3, "square")])
def test_what_is_no_small_system_is_refused(n, message):
    cell = _Of(lambda a, h: torch.linalg.inv(a if n > 3 else a[:, :2]), n)
    with pytest.raises(OptionError, match=message):
        Recurrent(cell, engine="native")(torch.randn(2, 3, n * n))


def test_a_matrix_of_the_input_alone_is_inverted():
    """With an input of 0, for which a step is looked at as well, it has no inverse."""

    class Inverse(Cell):
        def __init__(self) -> None:
            super().__init__()
            self.input_size, self.states = 4, {"h": 4}

        def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
            return ((torch.linalg.inv(x.view(-1, 2, 2)).flatten(1) + 0.1 * h).tanh(),)

    x = torch.randn(3, 5, 4)
    torch.testing.assert_close(
        Recurrent(Inverse(), engine="native")(x)[0], Recurrent(Inverse(), engine="reference")(x)[0]
    )
