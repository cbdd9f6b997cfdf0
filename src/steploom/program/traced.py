"""The tensors that a cell works on while it is traced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from steploom.errors import UnsupportedOperation
from steploom.program.nested import flat
from steploom.program.program import Value
from steploom.program.prologue import Reference

__all__ = ["Complex", "Fixed", "Form", "Recording", "Rows", "Traced", "sample_of"]


@dataclass(frozen=True)
class Rows:
    """A tensor with the batch in it.

    Read in order, its numbers are (before, batch, rest): the columns of `value` are those of `before` and `rest`.
    Which shape it has beside that, its sample tells.
    """

    value: Value
    before: int = 1


@dataclass(frozen=True)
class Fixed:
    """A tensor that depends on parameters and constants alone: a node of the prologue.

    Attributes:
        node: which.
        number: its only number, where that is known beforehand.
    """

    node: Reference
    number: complex | None = None

    @property
    def real_number(self) -> float | None:
        """The number, if it is a real one."""
        return None if self.number is None or type(self.number) is complex else self.number.real


@dataclass(frozen=True)
class Complex:
    """A tensor of complex numbers with the batch in it.

    Attributes:
        real: the real parts, of its shape.
        imaginary: the imaginary parts; None where they are 0.
    """

    real: Traced
    imaginary: Traced | None


Form = Rows | Complex | Fixed


class Recorder(Protocol):
    """What takes note of an operator that was called on traced tensors.

    Attributes:
        below: values that hold whole numbers from 0, and what these stay below.
        halves: of complex tensors that are the same for all rows, the real and imaginary parts.
    """

    below: dict[Value, int]
    halves: dict[Reference, Any]

    def record(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any: ...

    def wrap(self, sample: Tensor, form: Form) -> Traced: ...


class Traced(Tensor):
    """A tensor without numbers of its own, so that a step cannot act on what it reads from it.

    Attributes:
        sample: a real tensor, for shapes and types; its numbers are not used.
        form: what it stands for.
        recorder: who is tracing.
    """

    sample: Tensor
    form: Form
    recorder: Recorder

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment] # PyTorch's own way to say so

    @staticmethod
    def __new__(cls, sample: Tensor, form: Form, recorder: Recorder) -> Traced:
        make: Callable[..., Traced] = torch.Tensor._make_wrapper_subclass
        traced = make(cls, sample.size(), strides=sample.stride(), dtype=sample.dtype, device=sample.device)
        traced.sample, traced.form, traced.recorder = sample, form, recorder
        return traced

    def __init__(self, sample: Tensor, form: Form, recorder: Recorder) -> None:
        super().__init__()

    @classmethod
    def __torch_dispatch__(  # type: ignore[override] # PyTorch declares it without the class
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        raise UnsupportedOperation(f"{func} reads a tensor that an earlier step left behind")

    def __repr__(self) -> str:  # type: ignore[override] # nobody asks it for other contents
        return f"a traced tensor of shape {tuple(self.sample.shape)}"


def sample_of(traced: Tensor) -> Tensor:
    """The real tensor behind a traced one."""
    return traced.sample if isinstance(traced, Traced) else traced


class Recording(TorchDispatchMode):  # type: ignore[no-untyped-call] # PyTorch's __init_subclass__ has no types
    """While it is entered, each operator that PyTorch calls on a traced tensor is recorded instead."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # the same
        self.recorder = recorder


def _record(self: Recording, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    kwargs = kwargs or {}
    if any(isinstance(item, Traced) for item in flat([args, kwargs])):
        return self.recorder.record(func, args, kwargs)
    return func(*args, **kwargs)


# What a subclass defines itself is wrapped by PyTorch in what imports its compiler, which takes a second.
Recording.__torch_dispatch__ = _record  # type: ignore[method-assign, assignment]
