"""Takes note of what a step of a cell does, operator by operator.

`step_functions.py` sees the functions that the step calls before they become operators.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from steploom.errors import UnsupportedOperation
from steploom.program import complex_numbers
from steploom.program.builder import Builder
from steploom.program.casts import dtype_name
from steploom.program.cell_source import cell_frame, line_of
from steploom.program.compositions import COMPOSITIONS
from steploom.program.in_place import SHARED, functional, sharing, written
from steploom.program.leaves import Leaves
from steploom.program.nested import flat, mapped
from steploom.program.new_tensors import filled_rows
from steploom.program.operator_table import OPERATORS
from steploom.program.operators import is_rows, spread
from steploom.program.pairs import Pair
from steploom.program.program import Argument, Value
from steploom.program.prologue import Reference
from steploom.program.quotients import Quotients
from steploom.program.refusals import BY_INDICES, READS_NUMBERS, refusal_of, refuse_changing, refuse_reading
from steploom.program.traced import Fixed, Form, Recording, Rows, Traced, sample_of

__all__ = ["Called", "Tracer"]

TYPES = {torch.float64, torch.float32, torch.bool, torch.int64, torch.int32}


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


class Tracer:
    """Records one call of a cell's `forward`.

    Attributes:
        batch: number of rows of the samples.
        divides: whether numbers are divided by; else the product with their inverse is as good.
        build: where the instructions go.
        leaves: the parameters and what is computed from them.
        spread: values that are a parameter repeated for every row, and which.
        fresh: new tensors that the step has made, by their id: they hold numbers of their own.
        names: of values, the names of the cell's local variables that held them.
        below: values that hold whole numbers from 0, and what these stay below.
        halves: of complex tensors that are the same for all rows, the real and imaginary parts.
        quotients: what was divided by numbers.
        transforming: whether the function at work runs within torch.vmap or its like.
    """

    def __init__(self, batch: int, divides: bool = False) -> None:
        self.batch, self.divides = batch, divides
        self.build = Builder()
        self.leaves = Leaves()
        self.names: dict[Value, str] = {}
        self.spread: dict[Value, Reference] = {}
        self.below: dict[Value, int] = {}
        self.halves: dict[Reference, Pair] = {}
        self.fresh: dict[int, Tensor] = {}
        self.quotients = Quotients()
        self._live: list[weakref.ref[Traced]] = []
        self._protected: set[int] = set()
        self._composing = self.transforming = False

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
        if values and all(value.kind == "vector" for value in values):
            if (op in ("add", "sub") and args[1] == 0.0) or (op in ("mul", "div") and args[1] == 1.0):
                return args[0]
            return self.leaves.arithmetic(op, args, attrs)
        divisor = self._number(args[1]) if op == "div" else None
        if self.divides and divisor is not None and isinstance(args[0], Value):
            divisors = torch.full((args[0].width,), divisor, dtype=torch.float64)
            args = args[0], self.leaves.vector(self.leaves.constant(divisors).node, divisors)
        result = self.build(op, *args, **attrs)
        self.quotients.note(op, args, result, is_one=divisor is not None)
        return result

    def _number(self, argument: Argument) -> float | None:
        """The number that an argument is everywhere."""
        maker = self.build.maker(argument)
        if maker is not None and maker.op == "fill":
            return float(maker.attrs["value"])
        return argument if isinstance(argument, float) else None

    def _look_around(self) -> None:
        """Learn the line at work and the names of local variables."""
        frame = cell_frame()
        if frame is None:
            return
        self.build.source = line_of(frame)
        for name, item in frame.f_locals.items():
            if isinstance(item, Traced):
                self._name(item, name)

    def _name(self, traced: Traced | None, name: str) -> None:
        if traced is None or isinstance(traced.form, Fixed):
            return
        if isinstance(traced.form, Rows):
            self.names.setdefault(traced.form.value, name)
        else:
            self._name(traced.form.real, f"{name}.real")
            self._name(traced.form.imaginary, f"{name}.imag")

    def record(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What the operator gives, as traced tensors.

        Raises:
            UnsupportedOperation: a program cannot say what it does.
        """
        self._look_around()
        try:
            # Some operators are called by no function, as when torch.vmap ends: what happens here is not of the step.
            with torch._C.DisableTorchFunction():
                return self._record(function, args, kwargs)
        except UnsupportedOperation as error:
            if error.source is not None or self._composing:  # the operator that the step called is named
                raise
            raise refusal_of(function._schema.name.removeprefix("aten::"), error, self.build.source) from error

    def _record(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name = function._schema.name.removeprefix("aten::")
        if name in READS_NUMBERS:
            refuse_reading(self, args[0])
        writes = function._schema.is_mutable
        if name == "select" and self.transforming and args[0].shape == (self.batch,) and args[1:] == (0, 0):
            # Where torch.vmap meets one number a row and several, it asks the first row for the dtype of the result.
            return torch.full((), torch.nan, dtype=args[0].dtype)
        if writes and args and self._is_new(args[0]):
            raise UnsupportedOperation(
                "it writes into a new tensor that has no row for each of the batch; make it of one that has, as "
                "h.new_zeros(h.shape[0], 4) or torch.zeros_like(h)"
            )
        args, kwargs = mapped(args, Tensor, self._known), mapped(kwargs, Tensor, self._known)
        if name in BY_INDICES:
            refuse_changing(self, args)
        rows = any(is_rows(item) for item in flat([args, kwargs]))
        if rows and not writes and complex_numbers.concern(name, args, kwargs):
            return complex_numbers.record(self, name, function, args, kwargs)
        if rows and not writes and (name in COMPOSITIONS or name not in OPERATORS):
            composed = self.composed(COMPOSITIONS.get(name, function.decompose), *args, **kwargs)
            if composed is not NotImplemented:
                return mapped(composed, Traced, self._contiguous) if name in COMPOSITIONS else composed
        if torch.Tag.nondeterministic_seeded in function.tags:
            raise UnsupportedOperation("it draws random numbers, which differ from step to step")
        if writes:
            return self._in_place(name, function, args, kwargs)
        if not rows:
            return self._fixed(function, args, kwargs)
        result = function(*mapped(args, Tensor, sample_of), **mapped(kwargs, Tensor, sample_of))
        if isinstance(result, Tensor) and not result.numel():  # as h[:, :0]
            return self.wrap(result, self.leaves.constant(result))
        if name.startswith("unsafe_"):
            # Whoever asks for these parts writes into them, and does not look at the whole again.
            result = [part.clone() for part in result]
        return self._results(name, function, args, kwargs, result)

    def composed(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """What a function of traced tensors gives that stands for an operator, or PyTorch's own way to take one apart:
        operators that are called while another is recorded arrive whole."""
        before, self._composing = self._composing, True
        try:
            with Recording(self):
                return function(*args, **kwargs)
        finally:
            self._composing = before

    def _contiguous(self, traced: Traced) -> Traced:
        """The tensor as PyTorch's operators give it, so that it can be viewed as theirs can."""
        return traced if traced.is_contiguous() else self.wrap(traced.sample.contiguous(), traced.form)

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
        if function is torch.ops.aten._conj.default:  # that would be a mark on the tensor
            function = torch.ops.aten.conj_physical.default
        result = function(*mapped(args, Tensor, sample_of), **mapped(kwargs, Tensor, sample_of))
        repeats = function._schema.name in ("aten::expand", "aten::repeat")
        if repeats and result.is_complex() and self.batch in result.shape:
            return complex_numbers.record(self, function._schema.name.removeprefix("aten::"), function, args, kwargs)
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
        target: Traced = args[0]
        if not target.numel():
            return target
        if isinstance(target.form, Fixed) and self.leaves.is_parameter(target.form):
            raise UnsupportedOperation("it changes a parameter or a buffer in place")
        self._live = [weak for weak in self._live if weak() is not None]
        others = sharing(target, (other for weak in self._live if (other := weak()) is not None))
        if target.sample.untyped_storage().data_ptr() in self._protected:
            raise UnsupportedOperation(SHARED)
        return written(self, target, self._record(gives, args, kwargs), others)

    def _is_new(self, tensor: object) -> bool:
        """Whether a tensor holds numbers of its own, into which nothing traced can be written."""
        return isinstance(tensor, Tensor) and not isinstance(tensor, Traced) and self.leaves.find(tensor) is None

    def _known(self, tensor: Tensor) -> Traced:
        if isinstance(tensor, Traced):
            if tensor.recorder is not self:
                raise UnsupportedOperation("it reads a tensor that an earlier step left behind")
            return tensor
        leaf = self.leaves.find(tensor)
        if leaf is not None:
            return self.wrap(*leaf)
        # What the cell's code does not know of was made by PyTorch itself, from numbers or lists of indices.
        constant = tensor.detach().resolve_conj().resolve_neg().clone()
        filled = filled_rows(self, constant)
        return self.wrap(constant, filled if filled is not None else self.leaves.constant(constant))
