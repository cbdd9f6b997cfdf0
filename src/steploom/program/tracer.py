"""Takes note of what a step of a cell does, operator by operator."""

from __future__ import annotations

import sys
import weakref
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from steploom.errors import UnsupportedOperation
from steploom.program.attention import attention
from steploom.program.bilinear import bilinear
from steploom.program.builder import Builder
from steploom.program.casts import dtype_name, in_float64
from steploom.program.in_place import functional, written
from steploom.program.leaves import Leaves
from steploom.program.nested import flat, mapped
from steploom.program.operator_table import OPERATORS
from steploom.program.operators import is_rows, spread
from steploom.program.program import Argument, Value
from steploom.program.prologue import Reference
from steploom.program.traced import Fixed, Form, Rows, Traced

__all__ = ["Called", "Tracer"]

OWN = str(Path(__file__).parent)
TORCH = str(Path(torch.__file__).parent)
READS_NUMBERS = {"_local_scalar_dense", "is_nonzero", "equal", "item"}
READS = {"tolist", "numpy", "item", "__bool__", "__float__", "__int__", "__array__", "data_ptr"}
RANDOM = ("rand", "normal", "bernoulli", "multinomial", "uniform", "exponential", "dropout", "poisson")
NEW = {"zeros", "ones", "full", "empty"}
JUMPS = {"floor", "gt", "ge", "lt", "le", "eq", "ne"}
TYPES = {torch.float64, torch.float32, torch.bool}


@dataclass(frozen=True)
class Called:
    """One call of an operator.

    Attributes:
        tracer: what takes note.
        name: of the operator, such as "mul".
        function: the operator.
        args, kwargs: its arguments; all tensors in them are traced.
        result: what it gives for the samples.
    """

    tracer: Tracer
    name: str
    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any


class Tracer(TorchFunctionMode):
    """Records one call of a cell's `forward`.

    Attributes:
        batch: number of rows of the samples.
        casts: whether float64 stands for float32 here, the dtype of the cell.
        build: where the instructions go.
        leaves: the parameters and what is computed from them.
        spread: values that are a parameter repeated for every row, and which.
        names: of values, the names of the cell's local variables that held them.
    """

    def __init__(self, batch: int, casts: bool = False) -> None:
        super().__init__()
        self.batch, self.casts = batch, casts
        self.build = Builder()
        self.leaves = Leaves()
        self.names: dict[Value, str] = {}
        self.spread: dict[Value, Reference] = {}
        self._quotients: dict[Value, tuple[Value, float]] = {}
        self._live: list[weakref.ref[Traced]] = []
        self._fresh: dict[int, Tensor] = {}
        self._protected: set[int] = set()

    def enter(self, sample: Tensor, value: Value) -> Traced:
        """A traced tensor for an input of the step."""
        self._protected.add(sample.untyped_storage().data_ptr())
        return self.wrap(sample, Rows(value))

    def wrap(self, sample: Tensor, form: Form) -> Traced:
        """A traced tensor."""
        traced = Traced(sample, form, self)
        self._live.append(weakref.ref(traced))
        return traced

    def emit(self, op: str, *args: Argument, **attrs: int | float) -> Argument:
        """Write an instruction; arithmetic on vectors alone goes to the prologue."""
        values = [argument for argument in args if isinstance(argument, Value)]
        if op in JUMPS:
            args = tuple(self._divided(argument) for argument in args)
        if values and all(value.kind == "vector" for value in values):
            if (op in ("add", "sub") and args[1] == 0.0) or (op in ("mul", "div") and args[1] == 1.0):
                return args[0]
            return self.leaves.arithmetic(op, args, attrs)
        result = self.build(op, *args, **attrs)
        if op == "div" and isinstance(result, Value) and isinstance(args[0], Value) and isinstance(args[1], float):
            self._quotients[result] = (args[0], args[1])
        return result

    def _divided(self, argument: Argument) -> Argument:
        """A value divided by a number, divided indeed: as a product with the inverse, 49 / 49 is less than 1."""
        if not isinstance(argument, Value) or argument not in self._quotients:
            return argument
        value, number = self._quotients[argument]
        divisor = torch.full((value.width,), number, dtype=torch.float64)
        return self.build("div", value, self.leaves.vector(self.leaves.constant(divisor).node, divisor))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # New tensors are made by functions that take none, which no traced tensor would see.
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        given = [item for item in flat([args, kwargs]) if isinstance(item, Tensor)]
        if name in READS and given:
            self._refuse_reading(given[0])
        traced = given
        if not all(isinstance(item, Traced) for item in given):
            args, kwargs = mapped(args, Tensor, self._traced_leaf), mapped(kwargs, Tensor, self._traced_leaf)
            traced = [item for item in flat([args, kwargs]) if isinstance(item, Tensor)]
        if any(not isinstance(item, Traced) and id(item) not in self._fresh for item in traced):
            raise UnsupportedOperation(
                f"'{name}' reads a tensor that is neither an argument nor a parameter or buffer of the cell",
                source=self.source(),
                hint="Register it as a buffer.",
            )
        if self.casts and traced and all(item.is_floating_point() or is_rows(item) for item in traced):
            func, args, kwargs = in_float64(func, args, kwargs)
        if func is F.scaled_dot_product_attention:
            func = attention
        if func is F.bilinear:
            func = bilinear
        if name == "where":
            args = tuple(self._tensor(item) if isinstance(item, (int, float)) else item for item in args)
        result = func(*args, **kwargs)
        # What is computed on a traced tensor is traced; the rest, as `torch.eye(8).to(h)`, holds numbers of its own.
        if type(result) is Tensor and (name != "__get__" or all(id(item) in self._fresh for item in given)):
            if name.startswith(RANDOM):
                raise UnsupportedOperation(f"the operation '{name}' draws random numbers", source=self.source())
            if name in NEW and result.is_floating_point():
                result = result.fill_(torch.nan) if name == "empty" else result
                if result.dim() and result.shape[0] == self.batch and (filled := self._filled(result)) is not None:
                    return self.wrap(result, filled)  # rows may be written into it
            self._fresh[id(result)] = result
        return result

    def _tensor(self, number: float) -> Tensor:
        tensor = torch.full((), float(number))
        self._fresh[id(tensor)] = tensor
        return tensor

    def _traced_leaf(self, tensor: Tensor) -> Tensor:
        leaf = None if isinstance(tensor, Traced) else self.leaves.find(tensor)
        return tensor if leaf is None else self.wrap(*leaf)

    def _refuse_reading(self, tensor: Any) -> None:
        constant = isinstance(tensor, Traced) and isinstance(tensor.form, Fixed) and tensor.form.number is not None
        if not constant and id(tensor) not in self._fresh:
            raise UnsupportedOperation(
                "the step reads a number out of a tensor, as `if`, `float` or `item` do",
                source=self.source(),
                hint="Use torch.where, so that each row and step can differ.",
            )

    def source(self) -> str | None:
        """The line of the cell that is at work."""
        frame = self._frame()
        return _line(frame) if frame is not None else None

    def _frame(self) -> FrameType | None:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename.startswith((OWN, TORCH, "<frozen")):
            frame = frame.f_back
        return frame

    def _look_around(self) -> None:
        """Learn the line at work and the names of local variables."""
        frame = self._frame()
        if frame is None:
            return
        self.build.source = _line(frame)
        for name, item in frame.f_locals.items():
            if isinstance(item, Traced) and isinstance(item.form, Rows):
                self.names.setdefault(item.form.value, name)

    def record(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What the operator gives, as traced tensors.

        Raises:
            UnsupportedOperation: a program cannot say what it does.
        """
        self._look_around()
        try:
            return self._record(function, args, kwargs)
        except UnsupportedOperation as error:
            if error.source is not None:
                raise
            name = function._schema.name.removeprefix("aten::")
            raise UnsupportedOperation(
                f"the operation '{name}' cannot be part of a program: {error!s}".rstrip("."), source=self.build.source
            ) from error

    def _record(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name = function._schema.name.removeprefix("aten::")
        if name in READS_NUMBERS:
            self._refuse_reading(args[0])
        if torch.Tag.nondeterministic_seeded in function.tags:
            raise UnsupportedOperation("it draws random numbers, which differ from step to step")
        changes = function._schema.is_mutable
        args, kwargs = mapped(args, Tensor, self._known), mapped(kwargs, Tensor, self._known)
        if changes:
            return self._in_place(name, function, args, kwargs)
        if not any(is_rows(item) for item in flat([args, kwargs])):
            return self._fixed(function, args, kwargs)
        result = function(*mapped(args, Tensor, sample_of), **mapped(kwargs, Tensor, sample_of))
        if name.startswith("unsafe_"):
            # Whoever asks for these parts writes into them, and does not look at the whole again.
            result = [part.clone() for part in result]
        return self._results(name, function, args, kwargs, result)

    def _results(self, name: str, function: Any, args: Any, kwargs: Any, result: Any) -> Any:
        handler = OPERATORS.get(name)
        if handler is None:
            raise UnsupportedOperation("it is not in the table of primitives")
        forms = handler(Called(self, name, function, args, kwargs, result))
        if not isinstance(forms, list):
            return self._result(result, forms)
        return type(result)(
            self._result(item, form) if form is not None else None for item, form in zip(result, forms, strict=True)
        )

    def _result(self, sample: Tensor, form: Form) -> Traced:
        if sample.dtype not in TYPES and isinstance(form, Rows):
            raise UnsupportedOperation(f"it gives numbers of type {dtype_name(sample.dtype)}")
        if isinstance(form, Rows) and not torch.is_grad_enabled():
            form = Rows(self.build.rows("detach", form.value), form.before)
        return self.wrap(sample, form)

    def _fixed(self, function: Any, args: Any, kwargs: Any) -> Any:
        result = function(*mapped(args, Tensor, sample_of), **mapped(kwargs, Tensor, sample_of))
        if isinstance(result, Tensor) and (rows := spread(self, function, args, result)) is not None:
            return self._result(result, rows)
        if result is None:
            # It has looked whether the samples can be inverted, say, and gives nothing.
            return None
        forms = self.leaves.call(function, args, kwargs, result, detached=not torch.is_grad_enabled())
        if isinstance(result, Tensor):
            return self.wrap(result, forms[0])
        return type(result)(self.wrap(item, form) for item, form in zip(result, forms, strict=True))

    def _in_place(self, name: str, function: Any, args: Any, kwargs: Any) -> Traced:
        """`a.add_(b)` as `a = a + b`, for all that see a part of `a`."""
        gives = functional(name, function, args, kwargs)
        target = args[0]
        if isinstance(target.form, Fixed) and self.leaves.is_parameter(target.form):
            raise UnsupportedOperation("it changes a parameter or a buffer in place")
        storage = target.sample.untyped_storage().data_ptr()
        self._live = [weak for weak in self._live if weak() is not None]
        others = [other for weak in self._live if (other := weak()) is not None and other is not target]
        others = [other for other in others if other.sample.untyped_storage().data_ptr() == storage]
        if storage in self._protected or (others and not all(map(is_rows, [target, *others]))):
            raise UnsupportedOperation("it writes into a tensor that others see a part of")
        return written(self, target, self._record(gives, args, kwargs), others)

    def _known(self, tensor: Tensor) -> Traced:
        if isinstance(tensor, Traced):
            if tensor.recorder is not self:
                raise UnsupportedOperation("it reads a tensor that an earlier step left behind")
            return tensor
        leaf = self.leaves.find(tensor)
        if leaf is not None:
            return self.wrap(*leaf)
        # What the cell's code does not know of was made by PyTorch itself, from numbers or lists of indices.
        constant = tensor.detach().clone()
        filled = self._filled(constant)
        return self.wrap(constant, filled if filled is not None else self.leaves.constant(constant))

    def _filled(self, constant: Tensor) -> Rows | None:
        """New tensors such as `torch.zeros(h.shape[0], 8)` have a row for each of the batch."""
        if constant.dim() == 0 or all(size % self.batch for size in constant.shape):
            return None
        if constant.shape[0] != self.batch or not _same(constant, constant[:1]):
            raise UnsupportedOperation("it works on a new tensor that differs from row to row")
        row = constant[0].reshape(-1)
        if not _same(row, row[:1]):
            raise UnsupportedOperation("it works on a new tensor that holds more than one number")
        return Rows(self.build.write("fill", width=row.numel(), value=float(row[0])))


def _same(numbers: Tensor, one: Tensor) -> bool:
    return bool(((numbers == one) | (numbers.isnan() & one.isnan())).all())


def _line(frame: FrameType) -> str:
    return f"{_file_name(frame.f_code.co_filename)}:{frame.f_lineno}"


@cache
def _file_name(path: str) -> str:
    return Path(path).name


def sample_of(traced: Tensor) -> Tensor:
    """The real tensor behind a traced one."""
    return traced.sample if isinstance(traced, Traced) else traced
