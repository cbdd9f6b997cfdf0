"""Functions of complex numbers within a step, natively and by the reference engine."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from steploom import Cell, OptionError, Recurrent
from steploom.cells.cell import converted
from tests.engine.side_by_side import compare


def _written_where(z: Tensor, mask: Tensor) -> Tensor:
    z = z.clone()
    z[mask] = 0.5
    z[:, 0] = mask[:, 0]
    with torch.no_grad():
        z.mul_(1 - 0.5j)
    return z


FUNCTIONS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "add": lambda z, w, p: torch.add(z, w, alpha=2) + p + 1.5 - 2j,
    "sub": lambda z, w, p: torch.sub(z, w, alpha=0.5) - p + (1j - z) - torch.rsub(z, w),
    "mul": lambda z, w, p: z * w * p * 2 * 1j,
    "of real numbers": lambda z, w, p: z.real * w + w.imag * 1j + z.imag * p - 0.5 * (p * 2) * z,
    "div": lambda z, w, p: z / (w + 5) / p / (1 + 2j) / 3 + 1 / (w + 5) + w.real / (z + 6),
    "reciprocal": lambda z, w, p: (z + 5).reciprocal() + (w + 6) ** -1,
    "neg": lambda z, w, p: -z.conj() + torch.conj_physical(w) * (-p).conj(),
    "abs": lambda z, w, p: z.abs() * w + p.abs(),
    "angle": lambda z, w, p: z * w.angle() + p.angle(),
    "sgn": lambda z, w, p: z.sgn() + torch.sgn(w) * p.sgn(),
    "polar": lambda z, w, p: torch.polar(z.abs(), w.real) + torch.polar(w.real, p.imag.expand_as(w.real)),
    "exp": lambda z, w, p: torch.exp(z) + torch.exp(1j * w.real) * p.exp(),
    "log": lambda z, w, p: torch.log(z + 0.7 + 0.3j) + torch.log(2 + w * p.real),
    "sqrt": lambda z, w, p: torch.sqrt(w + 5) + (z + 6j) ** 0.5,
    "pow": lambda z, w, p: z**2 + w**3 + (z + 5) ** 1.5 + (z + 5) ** 1j + z.square(),
    "tanh": lambda z, w, p: torch.tanh(z) + torch.tanh(40 * w.real + 1j * z.real),
    "sigmoid": lambda z, w, p: torch.sigmoid(z) * w,
    "sin": lambda z, w, p: torch.sin(z) + torch.cos(w) + torch.sinh(z * 0.5) - torch.cosh(w * 0.5),
    "sums": lambda z, w, p: z.sum(-1, keepdim=True) + w.mean(-1, keepdim=True) + z.cumsum(-1) - p.sum(),
    "norm": lambda z, w, p: z / (1 + w.norm(dim=-1, keepdim=True)) + torch.linalg.vector_norm(z, 1, -1, True),
    "cat": lambda z, w, p: torch.cat([z[:, :2], w.real[:, 2:]], -1) + torch.stack([z, w], -1).sum(-1),
    "where": lambda z, w, p: torch.where(z.real > 0, z, w * 1j) + torch.where(w.imag > 0, w, 2j) * p,
    "masked_fill": lambda z, w, p: z.masked_fill(w.real > 0, 0.5) + torch.where(z.real > 0, 0.0, w),
    "moves": lambda z, w, p: (
        z.flip(-1)
        + w.roll(1, -1)
        + z.view(-1, 2, 2).mT.flatten(1)
        + w.unflatten(1, (2, 2))[:, :, :1].expand(-1, -1, 2).reshape(-1, 4)
    ),
    "gather": lambda z, w, p: z.gather(-1, torch.sort(w.real, -1).indices) + w[:, [3, 1, 0, 2]],
    "parts": lambda z, w, p: torch.complex(w.imag, z.real) + torch.view_as_complex(torch.view_as_real(z) * 2),
    "new": lambda z, w, p: (
        torch.zeros_like(z) + torch.ones_like(w) * z + torch.full_like(z, 2 - 1j) * w + z.new_zeros(len(z), 4)
    ),
    "new of complex numbers": lambda z, w, p: (
        z.real.new_full((len(z), 4), 2j, dtype=z.dtype) * w + torch.full((len(z), 4), 1 - 1j, dtype=z.dtype)
    ),
    "eq": lambda z, w, p: z * (z == w) + w * (z != p),
    "matmul": lambda z, w, p: z @ torch.outer(p, p.conj()) - (w.unsqueeze(1) @ torch.outer(p, p)).squeeze(1),
    "addmm": lambda z, w, p: (
        torch.addmm(p, z, torch.outer(p, p), beta=0.5, alpha=2)
        + torch.baddbmm(w.view(-1, 2, 2), z.view(-1, 2, 2), w.view(-1, 2, 2)).flatten(1)
    ),
    "a matrix and columns": lambda z, w, p: (
        (torch.outer(p, p) @ z.unsqueeze(-1)).squeeze(-1) + p.expand(len(z), -1) * w
    ),
    "written where": lambda z, w, p: _written_where(z * p, w.real > 0),
    "of other kinds": lambda z, w, p: (
        torch.cat([z[:, :2] * p[:2], (3 * w.real[:, 2:]).long()], -1) + torch.where(z.real > 0, z, w.real > 0)
    ),
    "conjugate parts": lambda z, w, p: (z.conj().imag + w.mT.mT.conj().real) * p,
    "as another dtype": lambda z, w, p: (
        (z * p).view(z.real.dtype)[:, :4] + w.real.contiguous().view(w.dtype).repeat(1, 2) + z * p
    ),
    "more": lambda z, w, p: torch.addcmul(z, w, p) + torch.lerp(z, w, 0.3) + torch.addcdiv(w, z, p + 5) + z.isnan(),
    "without a row": lambda z, w, p: z + z.new_zeros(4) + w * w.new_full((4,), 2j) + z.isnan().to(z.dtype),
    "powers of others": lambda z, w, p: (z + 5) ** w + 2 ** (z + 0.1) + (w + 4) ** p + (z + 0j) ** 2.5,
    "products of all": lambda z, w, p: z.prod(-1, keepdim=True) * w + w.cumprod(-1),
    "inv": lambda z, w, p: torch.linalg.solve(z.view(-1, 2, 2) + 3 * torch.eye(2), w.view(-1, 2, 2)).flatten(1),
    "det": lambda z, w, p: torch.linalg.det(z.view(-1, 2, 2)).unsqueeze(-1) * w,
    "outer": lambda z, w, p: (z.unsqueeze(-1) * w.unsqueeze(1).conj()).sum(1),
    "fft": lambda z, w, p: torch.fft.fft(z) + torch.fft.ifft(w, norm="forward") * p + torch.fft.fft(w.real),
    "rfft": lambda z, w, p: (
        torch.fft.ihfft(z.real, norm="ortho")[:, :1] + torch.fft.rfft(w.real, n=7) + torch.fft.hfft(w, n=4)
    ),
    "fft2": lambda z, w, p: (
        torch.fft.fft2(z.view(-1, 2, 2)).flatten(1) + torch.fft.fftn(w.view(-1, 2, 2), dim=(1,)).flatten(1)
    ),
    "irfft": lambda z, w, p: (
        torch.fft.irfft(z, n=4) + torch.fft.irfft(w[:, :3], n=4) * z + torch.fft.irfft(torch.fft.rfft(w.imag))
    ),
    "fftshift": lambda z, w, p: torch.fft.fftshift(torch.fft.fft(z, n=6), -1)[:, 1:5] * p,
    "cfloat": lambda z, w, p: z.real.to(z.dtype) * w + w.imag.to(w.dtype) * p,
    "detach": lambda z, w, p: z.detach() * w + z.clone() * p.detach(),
}


class _Of(Cell):
    """A state that follows a function of itself and of the input, as four complex numbers each."""

    def __init__(self, function: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.input_size, self.states = 8, {"h": 8}
        self.function = function
        self.p = nn.Parameter(torch.randn(4, dtype=torch.cfloat))

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
        z, w = (torch.view_as_complex(part.view(-1, 4, 2)) for part in (h, x))
        found = self.function(z, w, self.p)
        parts = (found.real, found.imag) if found.is_complex() else (found, 0.5 * found)
        return (torch.stack(parts, -1).flatten(1).tanh(),)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_complex_numbers(name, dtype):
    torch.manual_seed(0)
    compare(converted(_Of(FUNCTIONS[name]), dtype), dtype, 1e-11 if dtype == torch.float64 else 5e-5)


def test_a_float32_step_may_ask_for_its_own_dtype():
    torch.manual_seed(0)
    compare(_Of(lambda z, w, p: z.real.cfloat() * p + w.imag.to(torch.complex64)), torch.float32, 5e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_rarely_so_is_as_the_reference_has_it(dtype):
    """Numbers that are not drawn when a step is compared with its cell."""

    def rarely(z: Tensor, w: Tensor, p: Tensor) -> Tensor:
        far = w.abs() > 10
        z = torch.where(far, torch.tensor(3), w * p)
        z[:, 0] = w.real[:, 0] > 15
        z = z.masked_fill(w.real < -10, 0.1 + 0.3j)
        return 0.01 * torch.cat([z[:, :2], (w.real[:, 2:] / 10).long()], -1)

    x = torch.zeros(1, 4, 8, dtype=dtype)
    x[0, :, ::2] = torch.tensor([[1.0], [12.0], [20.0], [-30.0]])
    cell = converted(_Of(rarely), dtype)
    found = [Recurrent(cell, engine=engine)(x)[0] for engine in ("native", "reference")]
    torch.testing.assert_close(*found, rtol=1e-6 if dtype == torch.float32 else 1e-14, atol=0)


def test_numbers_may_be_small_and_large():
    functions = {
        "size": lambda z, w, p: torch.stack([w.abs() * 1e15, w.abs() / 1e19], -1).flatten(1)[:, :4] * p.abs(),
        "direction": lambda z, w, p: w.sgn() + w / (w.abs() + 1e-30),
        "ratio": lambda z, w, p: w / (2 * w + 1e-30) / (3 + 4j),
        "logarithm": lambda z, w, p: 0.01 * (w + 1e-30).log(),
        "root": lambda z, w, p: (w + 1e-30).sqrt() / 1e10,
    }
    torch.manual_seed(0)
    x = torch.randn(1, 2, 8) * torch.tensor([[[1e-21], [1e20]]])
    for name, function in functions.items():
        cell = _Of(lambda z, w, p, of=function: 0.1 * torch.view_as_real(of(z, w, p) + 0j).flatten(1)[:, :4])
        with torch.no_grad():
            found, exact = (
                Recurrent(converted(cell, d), engine=e)(x.to(d))[0]
                for d, e in ((torch.float32, "native"), (torch.float64, "reference"))
            )
        torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-6, msg=name)


def test_a_sigmoid_keeps_its_digits_where_it_is_small():
    x = torch.tensor([-20.0, 0.5, -60.0, 1.0, 30.0, 2.0, 0.0, 0.0]).view(1, 1, 8)
    cell = _Of(lambda z, w, p: torch.log(torch.sigmoid(w)) / 100)
    found = [Recurrent(cell, engine=engine)(x)[0] for engine in ("native", "reference")]
    torch.testing.assert_close(*found)


def test_writes_into_what_is_conjugated_are_refused():
    def conjugated(z: Tensor, w: Tensor, p: Tensor) -> Tensor:
        z = w * p
        seen = z.conj()
        seen[:, 0] = 5j
        return torch.where(w.abs() > 10, z, w)

    with pytest.raises(OptionError, match="others see a part of"):
        Recurrent(_Of(conjugated), engine="native")(torch.randn(2, 3, 8))


def test_a_buffer_is_seen_by_its_parts():
    class Shifted(Cell):
        def __init__(self) -> None:
            super().__init__()
            self.input_size, self.states = 2, {"h": 2}
            self.weight = nn.Parameter(torch.ones(1))
            self.register_buffer("shift", torch.zeros(1, dtype=torch.cfloat))

        def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
            return (self.weight * x + torch.view_as_real(self.shift).flatten(),)

    rnn, x = Recurrent(Shifted(), engine="native"), torch.ones(1, 1, 2)
    rnn(x)
    rnn.cell.shift.data.copy_(torch.tensor([1 + 2j]))
    assert rnn(x)[0].tolist() == [[[2.0, 3.0]]]


def test_at_zero_there_is_no_gradient_and_nothing_that_is_no_number():
    torch.manual_seed(0)
    cell = converted(_Of(lambda z, w, p: z.abs() * p + z.sgn() + z.angle()), torch.float64)
    x = torch.zeros(2, 3, 8, dtype=torch.float64)
    y, _ = Recurrent(cell, engine="native")(x)
    assert y.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(y.sum(), list(cell.parameters())))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda z, w, p: torch.linalg.eigvals(z.view(-1, 2, 2)).repeat(1, 2), "complex"),
        (lambda z, w, p: torch.fft.rfft(w.real.repeat(1, 300))[:, :4] + z, "1200 features"),
        (lambda z, w, p: torch.acos(z), "complex"),
    ],
)
def test_what_is_not_known_of_complex_numbers_is_refused(function, message):
    with pytest.raises(OptionError, match=message):
        Recurrent(_Of(function), engine="native")(torch.randn(2, 3, 8))


def test_a_complex_state_is_refused_with_what_to_do():
    class Whole(Cell):
        def __init__(self) -> None:
            super().__init__()
            self.input_size, self.states = 4, {"h": 4}
            self.into = nn.Linear(4, 4)

        def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
            return (torch.complex(h, self.into(x)),)

    with pytest.raises(OptionError, match="view_as_real"):
        Recurrent(Whole(), engine="native")(torch.randn(2, 3, 4))


def test_parts_that_are_asked_for_without_gradients_have_them_after():
    def twice(z: Tensor, w: Tensor, p: Tensor) -> Tensor:
        with torch.no_grad():
            first = z * p
        return first + w * p

    torch.manual_seed(0)
    compare(converted(_Of(twice), torch.float64), torch.float64, 1e-11)
