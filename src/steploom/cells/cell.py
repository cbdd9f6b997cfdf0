"""What a cell is: a module that computes one time step and declares its states."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, nn

from steploom.errors import CellError

__all__ = ["Cell", "check_declaration", "check_returned", "converted", "is_size", "probe", "real_weight"]

Part = TypeVar("Part", bound=nn.Module)


class Cell(nn.Module):
    """One time step of a recurrent network.

    A cell sets `states` in its constructor, the name and size of each state in order, and defines
    `forward(x, *states)`, which takes `x` (batch, input_size) and the states (batch, size) and returns the tuple of
    the new states in the same order. The first state is the cell's output.

        class MinimalCell(Cell):
            def __init__(self, input_size: int, hidden_size: int) -> None:
                super().__init__()
                self.states = {"h": hidden_size}
                self.input = nn.Linear(input_size, hidden_size)
                self.recurrent = nn.Linear(hidden_size, hidden_size, bias=False)

            def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
                return (torch.tanh(self.input(x) + self.recurrent(h)),)

    The constructor's arguments are remembered, so that a stack of layers can build the further cells it needs with
    `like`. An argument called `input_size` becomes the attribute of that name.

    Attributes:
        input_size: number of features of `x`.
        states: size of each state by its name, in order.
        recurrent_products: names of the submodules that a state enters for its recurrent product. Variational
            dropout masks what enters them; a cell that has none of them gets its first state masked instead. None:
            no product of the step reads a state, so there is nothing to be masked.
        dependent_states: names of states that mean something only together with the others, such as a normaliser.
            Where a decoder's first states are made from an encoder's, these keep the value the cell starts from.
    """

    input_size: int
    states: dict[str, int]
    recurrent_products: tuple[str, ...] | None = ("recurrent",)
    dependent_states: tuple[str, ...] = ()
    _arguments: inspect.BoundArguments

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        cell = super().__new__(cls)
        try:
            bound = inspect.signature(cls).bind(*args, **kwargs)
        except TypeError:
            # `copy` and `pickle` make an empty object first; a wrong call is reported by the constructor itself.
            return cell
        bound.apply_defaults()
        cell.__dict__["_arguments"] = bound
        if "input_size" in bound.arguments:
            cell.__dict__["input_size"] = bound.arguments["input_size"]
        return cell

    @property
    def hidden_size(self) -> int:
        """Size of the first state, which is the cell's output. A cell may set it, too, to nothing else than that."""
        size: int | None = self.__dict__.get("hidden_size")
        return next(iter(self.states.values())) if size is None else size

    @hidden_size.setter
    def hidden_size(self, size: int) -> None:
        self.__dict__["hidden_size"] = size

    def initial_state(self, batch: int, *, dtype: torch.dtype, device: torch.device | str) -> tuple[Tensor, ...]:
        """The states before the first step, one tensor (batch, size) a state: zeros, unless a cell overrides this."""
        return tuple(torch.zeros(batch, size, dtype=dtype, device=device) for size in self.states.values())

    def like(self, **changes: Any) -> Self:
        """A fresh cell built with this cell's constructor arguments, some of them changed.

        Its weights are newly initialised; it stands on the same device in the same dtype and mode.

        Raises:
            CellError: the constructor has no argument of that name.
        """
        bound = copy.deepcopy(self._arguments)
        for name, value in changes.items():
            if name not in bound.arguments:
                raise CellError(
                    f"{type(self).__name__} has no constructor argument '{name}', so it cannot be stacked or reversed. "
                    f"Give its __init__ an argument '{name}'."
                )
            bound.arguments[name] = value
        cell = type(self)(*bound.args, **bound.kwargs)
        weight = next(self.parameters(), None)
        if weight is not None:
            cell.to(device=weight.device)
        # Only where it is another one: what a cell keeps in a dtype of its own stays.
        if (dtype := real_weight(self).dtype) != real_weight(cell).dtype:
            converted(cell, dtype)
        # Not where it stands in that mode already: parts of it may have been put into evaluation by its constructor.
        return cell if cell.training == self.training else cell.train(self.training)

    def extra_repr(self) -> str:
        """The constructor's arguments, for `print(cell)`."""
        return ", ".join(f"{name}={value!r}" for name, value in self._arguments.arguments.items())


def check_declaration(cell: object) -> Cell:
    """Check that `cell` is a `Cell` that has declared its input size and states and defines a step, and return it.

    Raises:
        CellError: what is missing or wrong, and what to write.
    """
    name = type(cell).__name__
    if not isinstance(cell, Cell):
        raise CellError(f"Expected a steploom.Cell, found {name}. Derive the cell from steploom.Cell.")
    if type(cell).forward is nn.Module.forward:
        raise CellError(f"{name} defines no forward. Define forward(self, x, *states) for one time step.")
    if not is_size(getattr(cell, "input_size", None)):
        raise CellError(f"{name} declares no input size. Set self.input_size, a positive integer, in __init__.")
    states = getattr(cell, "states", None)
    if not isinstance(states, dict) or not states or not all(is_size(size) for size in states.values()):
        raise CellError(
            f"{name} declares its states as {states!r}. Set self.states in __init__ to a dictionary from name to size, "
            'such as {"h": hidden_size}.'
        )
    first, size = next(iter(states.items()))
    if cell.hidden_size != size:
        raise CellError(
            f"{name} sets self.hidden_size to {cell.hidden_size!r}, but its first state `{first}`, the output, has "
            f"{size} units, and layers read hidden_size as the size of the output. Keep the other size under another "
            "name."
        )
    return cell


def check_returned(cell: Cell, states: Sequence[Tensor], returned: object) -> None:
    """Check that what a step returned has the number and the shapes of the states that entered it.

    Args:
        cell: the cell that made the step.
        states: what entered, one tensor (batch, size) a state.
        returned: what the cell returned.

    Raises:
        CellError: which state is wrong, what was found and what was declared.
    """
    names = ", ".join(cell.states)
    name = type(cell).__name__
    if not isinstance(returned, tuple):
        kind = "a tensor" if isinstance(returned, Tensor) else f"a {type(returned).__name__}"
        raise CellError(f"{name} returns {kind}. Return a tuple of its states: ({names},).")
    if len(returned) != len(cell.states):
        raise CellError(
            f"{name} declares {_count(len(cell.states))} ({names}) but returns {_count(len(returned))}. "
            "Return one tensor for each declared state, in that order."
        )
    for state, before, after in zip(cell.states, states, returned, strict=True):
        if not isinstance(after, Tensor):
            raise CellError(f"{name} returns a {type(after).__name__} for state `{state}`. Return a tensor.")
        if after.shape != before.shape:
            raise CellError(
                f"State `{state}` enters as {_shape(before, before)} but the cell returns {_shape(after, before)}. "
                f"Return `{state}` with the size it was declared with."
            )


def probe(cell: Cell) -> None:
    """Run one step on zeros, to see that the cell keeps its declaration before any work is done with it.

    Raises:
        CellError: the cell's declaration or the step is wrong.
    """
    check_declaration(cell)
    weight = real_weight(cell)
    state = cell.initial_state(2, dtype=weight.dtype, device=weight.device)
    x = torch.zeros(2, cell.input_size, dtype=weight.dtype, device=weight.device)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        check_returned(cell, state, cell(x, *state))


def real_weight(module: nn.Module, otherwise: Tensor | None = None) -> Tensor:
    """The parameter whose dtype and device are those that a module runs in: its first of real numbers.

    Where it has none, an empty tensor as the parts of its complex ones, or `otherwise`.
    """
    complex_one = None
    for parameter in module.parameters():
        if parameter.is_floating_point():
            return parameter
        complex_one = parameter if complex_one is None and parameter.is_complex() else complex_one
    if complex_one is not None:
        return torch.empty(0, dtype=complex_one.dtype.to_real(), device=complex_one.device)
    return torch.empty(0) if otherwise is None else otherwise


def converted(module: Part, dtype: torch.dtype) -> Part:
    """The module itself, its real parameters and buffers in a dtype and its complex ones in that of the same precision:
    `module.to(dtype)` would drop imaginary parts, and `module.double()` leaves complex numbers as they are."""

    def changed(tensor: Tensor) -> Tensor:
        if tensor.is_complex():
            return tensor.to(dtype.to_complex())
        return tensor.to(dtype) if tensor.is_floating_point() else tensor

    module._apply(changed)  # type: ignore[no-untyped-call] # what `module.to` calls
    return module


def is_size(value: object) -> bool:
    """Whether `value` is a whole number of at least 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _count(states: int) -> str:
    return f"{states} state" if states == 1 else f"{states} states"


def _shape(tensor: Tensor, entered: Tensor) -> str:
    """The shape in words: the leading size is written `batch` where it is the batch that entered."""
    sizes = [str(size) for size in tensor.shape]
    if sizes and tensor.shape[0] == entered.shape[0]:
        sizes[0] = "batch"
    return f"({', '.join(sizes)})"
