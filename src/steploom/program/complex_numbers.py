"""PyTorch's operators on complex numbers, said in operators on their real and imaginary parts."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from steploom.errors import UnsupportedOperation
from steploom.program import complex_functions as functions
from steploom.program import fourier
from steploom.program.compositions import COMPOSITIONS
from steploom.program.moves import MOVES
from steploom.program.nested import flat, mapped
from steploom.program.pairs import Pair, is_complex, joined, pair_of
from steploom.program.traced import Traced

if TYPE_CHECKING:
    from steploom.program.tracer import Tracer

__all__ = ["concern", "record"]

MAKE = {"complex", "polar", "view_as_complex", "_fft_r2c"}

VIEWS = {"view", "_unsafe_view", "reshape"}

# What does the same to both parts.
ALIKE = {
    *MOVES, "sum", "mean", "cumsum", "clone", "detach", "lift_fresh", "copy", "fill", "zero",
    "gather", "where", "masked_fill", "index_put",
}  # fmt: skip

# What is said of real numbers in operators that are known of complex ones too.
COMPOSED = {"prod", "cumprod", "index_add", "linalg_cross", "index", "index_select", "embedding"}

# Where among the arguments of some of them the number stands that is filled in, and where indices or truth values do.
FILLING = {"masked_fill": 2, "constant_pad_nd": 2, "fill": 1}
CHOOSING = {"where": 0, "masked_fill": 1, "gather": 2, "index": 1, "index_select": 2, "index_put": 1}


def concern(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call takes or gives complex numbers."""
    return name in MAKE or any(map(is_complex, flat([args, kwargs])))


def record(tracer: Tracer, name: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What an operator gives that takes or gives complex numbers, as traced tensors.

    Raises:
        UnsupportedOperation: no program can say it.
    """

    def sample(traced: Traced) -> Tensor:
        # PyTorch lets nobody see the parts of what is marked as conjugated; its memory is what is asked for.
        return traced.sample.conj() if name == "view_as_real" and traced.sample.is_conj() else traced.sample

    samples = function(*mapped(args, Traced, sample), **mapped(kwargs, Traced, sample))

    def traced(sample: Tensor, found: Pair | Traced) -> Traced:
        return joined(tracer, sample, found) if isinstance(found, Pair) else tracer.wrap(sample, found.form)

    def result() -> Any:
        if name in MEANINGS:
            found = MEANINGS[name](*args, **kwargs)
        elif name == "view" and isinstance(args[1], torch.dtype):
            found = _as_dtype(*args)
        elif name in VIEWS:  # parts do not lie in memory as the whole does
            found = Pair(*(part.reshape(samples.shape) for part in pair_of(args[0]).whole))
        elif name in ALIKE:
            found = _each(name, function, args, kwargs)
        elif name in COMPOSED:
            return COMPOSITIONS[name](*args, **kwargs)
        elif name not in COMPOSITIONS and (found := function.decompose(*args, **kwargs)) is not NotImplemented:
            return found
        else:
            raise UnsupportedOperation("it is none of those that are known on complex numbers")
        return traced(samples, found) if isinstance(samples, Tensor) else type(samples)(map(traced, samples, found))

    return tracer.composed(result)


def _each(name: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    # The dtype and the strides would be those of the whole.
    kwargs = {key: item for key, item in kwargs.items() if key not in ("dtype", "memory_format")}

    def of(half: int) -> Any:
        def part(item: Tensor) -> Tensor:
            found = pair_of(item).whole[half]
            return found if isinstance(found, Tensor) else torch.tensor(found, dtype=torch.float64)

        given = []
        for place, item in enumerate(args):
            if place == FILLING.get(name) and not isinstance(item, Tensor):
                given.append(pair_of(item).whole[half])
            else:
                given.append(item if place == CHOOSING.get(name) else mapped(item, Traced, part))
        return function(*given, **kwargs)

    real, imaginary = of(0), of(1)
    return Pair(real, imaginary) if isinstance(real, Tensor) else list(map(Pair, real, imaginary))


def _on_pairs(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args: function(*map(pair_of, args))


def _scaled(pair: Pair, factor: Any) -> Pair:
    return pair if factor == 1 else pair * pair_of(factor)


def _add(a: Any, b: Any, alpha: Any = 1) -> Pair:
    return pair_of(a) + _scaled(pair_of(b), alpha)


def _sub(a: Any, b: Any, alpha: Any = 1) -> Pair:
    return pair_of(a) - _scaled(pair_of(b), alpha)


def _product(a: Any, b: Any) -> Pair:
    return pair_of(a).product(pair_of(b), torch.matmul)


def _addmm(bias: Any, a: Any, b: Any, *, beta: Any = 1, alpha: Any = 1) -> Pair:
    return _scaled(pair_of(bias), beta) + _scaled(_product(a, b), alpha)


def _norm(z: Any, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    return torch.linalg.vector_norm(functions.size(pair_of(z)), ord, dim, keepdim)


def _equal(z: Pair, other: Pair) -> Any:
    (a, b), (c, d) = z.whole, other.whole
    return (a == c) & (b == d)


def _polar(size: Tensor, angle: Tensor) -> Pair:
    # PyTorch's derivative with respect to the size is that of its absolute value.
    known = size.detach()
    size = torch.where(size > 0, size, torch.where(size < 0, 2 * known - size, known))
    return functions.polar(size, angle)


def _view_as_real(z: Any) -> Any:
    return torch.stack(pair_of(z).whole, -1)


def _as_dtype(z: Any, dtype: torch.dtype) -> Any:
    """`z.view(dtype)`, between complex numbers and their parts; no gradient goes through it."""
    if dtype.is_complex == z.is_complex() or dtype.to_real() != z.dtype.to_real():
        raise UnsupportedOperation("it views the bits of numbers as others")
    z = z.detach()
    return _view_as_real(z).flatten(-2) if z.is_complex() else _view_as_complex(z.unflatten(-1, (-1, 2)))


def _view_as_complex(x: Any) -> Pair:
    return Pair(x.select(-1, 0), x.select(-1, 1))


def _to(z: Any, *, dtype: torch.dtype | None = None, **_: Any) -> Pair:
    if dtype is not None and not dtype.is_complex:
        raise UnsupportedOperation("it drops the imaginary part; write z.real")
    pair = pair_of(z)
    if dtype is None:
        return pair
    real = dtype.to_real()
    return Pair(pair.real.to(real), None if pair.imaginary is None else pair.imaginary.to(real))


def _new(make: Callable[..., Any], number: complex | None = None) -> Callable[..., Pair]:
    """Tensors of one number, like another one or of another size: `make(like, *size, number)`."""

    def made(like: Any, *args: Any, dtype: torch.dtype | None = None, **_: Any) -> Any:
        *sizes, filling = args if number is None else (*args, number)
        real, given = pair_of(like).real, pair_of(filling)
        if dtype is not None and not dtype.is_complex:
            return make(real, *sizes, filling, dtype=dtype)
        imaginary = None if given.imaginary is None else make(real, *sizes, given.imaginary)
        return Pair(make(real, *sizes, given.real), imaginary)

    return made


MEANINGS: dict[str, Callable[..., Any]] = {
    "complex": Pair,
    "polar": _polar,
    "view_as_complex": _view_as_complex,
    "view_as_real": _view_as_real,
    "_to_copy": _to,
    "zeros_like": _new(torch.full_like, 0.0),
    "ones_like": _new(torch.full_like, 1.0),
    "full_like": _new(torch.full_like),
    "empty_like": _new(torch.full_like, complex(torch.nan, torch.nan)),
    "new_empty": _new(Tensor.new_full, complex(torch.nan, torch.nan)),
    "new_zeros": _new(Tensor.new_full, 0.0),
    "new_ones": _new(Tensor.new_full, 1.0),
    "new_full": _new(Tensor.new_full),
    "add": _add,
    "sub": _sub,
    "rsub": lambda a, b, alpha=1: _sub(b, a, alpha),
    "mul": _on_pairs(Pair.__mul__),
    "div": _on_pairs(Pair.__truediv__),
    "neg": _on_pairs(Pair.__neg__),
    "reciprocal": _on_pairs(lambda z: Pair(1.0) / z),
    "abs": _on_pairs(functions.size),
    "angle": _on_pairs(functions.angle),
    "sgn": _on_pairs(functions.direction),
    "pow": functions.power,
    "addcmul": lambda a, b, c, value=1: pair_of(a) + _scaled(pair_of(b) * pair_of(c), value),
    "addcdiv": lambda a, b, c, value=1: pair_of(a) + _scaled(pair_of(b) / pair_of(c), value),
    "lerp": lambda a, b, weight: pair_of(a) + (pair_of(b) - pair_of(a)) * pair_of(weight),
    "isnan": lambda z: torch.stack(pair_of(z).whole).isnan().any(0),
    "square": lambda z: functions.power(z, 2),
    "eq": _on_pairs(_equal),
    "ne": lambda z, other: ~_equal(pair_of(z), pair_of(other)),
    "linalg_vector_norm": _norm,
    "addmm": _addmm,
    "baddbmm": _addmm,
    "_fft_r2c": fourier.real_to_complex,
    "_fft_c2c": fourier.complex_to_complex,
    "_fft_c2r": fourier.complex_to_real,
}
MEANINGS |= dict.fromkeys(["_conj", "_conj_physical", "conj_physical"], _on_pairs(attrgetter("conjugate")))
MEANINGS |= dict.fromkeys(["mm", "bmm", "mv"], _product)
for _name in ("exp", "log", "sqrt", "sin", "cos", "sinh", "cosh", "tanh", "sigmoid"):
    MEANINGS[_name] = _on_pairs(getattr(functions, _name))
