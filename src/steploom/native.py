"""The compiled core as Python sees it. Nothing else imports the extension module itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["BUILD_COMMAND", "Core", "CoreKeptWeights", "CoreSchedule", "CoreStream", "CoreUnchanged", "core", "version"]

BUILD_COMMAND = "pip install -c constraints.txt -e ."

# Of an operand: what it is, its number, the first column there, and how many columns share each value.
OperandSpec: TypeAlias = tuple[int, int, int, int]


class CoreSchedule(Protocol):
    """One pass over the sequences as stages on buffers; `steploom.engine.lowering` builds it."""

    def product(
        self,
        section: str,
        width: int,
        out: OperandSpec,
        init: OperandSpec,
        terms: Sequence[tuple[OperandSpec, int, int]],
        /,
    ) -> None:
        """A sum of products; of each term its left side, the number of its matrix, and the width of the left side."""

    def elementwise(
        self, section: str, width: int, instructions: Sequence[tuple[str, OperandSpec, Sequence[OperandSpec]]], /
    ) -> None:
        """Instructions on values of one width: name, result and inputs of each."""

    def on_groups(
        self,
        section: str,
        op: str,
        width: int,
        groups: int,
        eps: float,
        out: OperandSpec,
        inputs: Sequence[OperandSpec],
        /,
    ) -> None:
        """One instruction on groups of features."""

    def gather(
        self, section: str, out: OperandSpec, source: OperandSpec, stretches: Sequence[tuple[int, int, int]], /
    ) -> None:
        """Columns in another order: the first, the number and the step of stretches of them; -1 for zeros."""

    def matmul(
        self,
        section: str,
        out: OperandSpec,
        left: OperandSpec,
        right: OperandSpec,
        groups: int,
        n: int,
        k: int,
        m: int,
        left_transposed: int,
        right_transposed: int,
        /,
    ) -> None:
        """Products (n, k) by (k, m) of matrices that lie one after the other in two values."""

    def along(
        self,
        section: str,
        op: str,
        groups: int,
        n: int,
        count: int,
        descending: int,
        last: int,
        out: OperandSpec,
        inputs: Sequence[OperandSpec],
        /,
    ) -> None:
        """The order of features, or features by `count` indices, in groups of `n`."""

    def weight_gradient(
        self, matrix: int, grad: OperandSpec, left: OperandSpec, width: int, rows: int, written_whole: bool, /
    ) -> None:
        """The gradient of a matrix from one product, summed over the steps."""

    def vector_gradient(
        self, slot: int, start: int, grad: OperandSpec, by: OperandSpec, width: int, written_whole: bool, /
    ) -> None:
        """The gradient of a vector from one use, summed over the steps."""

    def weights(
        self,
        matrices: Sequence[tuple[int, int, int, int]],
        vectors: Sequence[tuple[int, int]],
        gradient_leaves: Sequence[int],
        /,
    ) -> None:
        """Where weights stand among the leaves: leaf, first element and strides of the matrices, leaf and first element
        of the vectors, the leaf of each gradient of vectors."""


class CoreStream(Protocol):
    """States and packed weights that are kept from step to step; `steploom.engine.stream_native` builds it."""

    def push(self, x: Any) -> Any:
        """One step, from an array or tensor (batch, input_size) to one (batch, size)."""

    def run(self, x: int, y: int, steps: int, x_step: int, y_step: int, /) -> None:
        """Steps without Python between them; `x` and `y` are addresses, the last two bytes from step to step."""

    def read_state(self, layer: int, state: int, to: int, /) -> None:
        """Copy a state to an address."""

    def write_state(self, layer: int, state: int, of: int, rows: int, /) -> None:
        """Copy a state from an address; `rows` is that of the flags of those rows that are copied, or 0."""


class CoreKeptWeights(Protocol):
    """Weights packed by a first call, for the calls after it with the same weights."""


class CoreUnchanged(Protocol):
    """Whether objects hold what they held; `steploom.engine.watch` says which, and keeps them."""

    def holds(self) -> bool:
        """Whether they do now."""


class Core(Protocol):
    """What the extension module has. Tensors are handed over as the addresses of their first elements, 0 for none."""

    def version(self) -> str:
        """The version of the package that this core was built with."""

    def kernels(self) -> list[str]:
        """The builds of the kernels that this processor can run, the fastest first."""

    def opcodes(self) -> list[str]:
        """The names of the elementwise instructions."""

    def most_terms(self) -> int:
        """How many products one stage adds up at the most."""

    def run(
        self,
        schedule: CoreSchedule,
        is_double: bool,
        isa: str,
        time: int,
        batch: int,
        lengths: int,
        reversed: bool,
        resets: int,
        sequences: Sequence[tuple[int, int, int]],
        entering: Sequence[int],
        leaving: Sequence[int],
        reset_states: Sequence[int],
        leaves: Sequence[int],
        gradients: Sequence[int],
        saved: int,
        slices: int,
        team: int,
        adds: bool,
        kept_weights: CoreKeptWeights | None,
        /,
    ) -> None:
        """Run a schedule over a batch; of each of the sequences the address and the strides of steps and rows. `adds`:
        to gradients that stand there."""

    def saved_elements(self, widths: Sequence[int], time: int, batch: int, lengths: int, slices: int, /) -> int:
        """Elements of all regions that a call keeps for its backward pass."""

    def memory(self, size: int, /) -> npt.NDArray[np.uint8]:
        """Bytes not yet written; they are used again once nothing holds them."""

    def Schedule(
        self,
        descending: bool,
        buffers: Sequence[tuple[int, int, int, int]],
        saved_widths: Sequence[int],
        constants: Sequence[float],
        vector_widths: Sequence[int],
        vector_parts: Sequence[Sequence[int]],
        registers: int,
        states: int,
        /,
    ) -> CoreSchedule:
        """An empty schedule; kind, width, number of what the caller hands over, and saved region of each buffer."""

    def KeptWeights(self) -> CoreKeptWeights:
        """For calls with the same weights, the same type of numbers and the same build of the kernels."""

    def Stream(
        self,
        layers: Sequence[tuple[CoreSchedule, Sequence[tuple[int, int, int]], Sequence[int], bool]],
        is_double: bool,
        isa: str,
        batch: int,
        input_size: int,
        team: int,
        releases_lock: bool,
        y: npt.NDArray[Any],
        convert: Callable[[Any], npt.NDArray[Any]],
        tensor: type,
        from_numpy: Callable[[npt.NDArray[Any]], Any],
        error: type[Exception],
        /,
    ) -> CoreStream:
        """A stream at states of 0; of each layer its schedule, address and strides of the matrices, addresses of the
        vectors, and whether its input is added to its output."""

    def Unchanged(
        self,
        sizes: Sequence[tuple[dict[Any, Any], int]],
        attributes: Sequence[tuple[dict[Any, Any], Any, Any]],
        contents: Sequence[tuple[Any, Sequence[Any]]],
        hooks: Sequence[tuple[dict[str, Any], str]],
        types: Sequence[tuple[Any, type]],
        /,
    ) -> CoreUnchanged:
        """Borrows all it is given: dictionaries and how many entries they have, attributes, elements of containers,
        attributes that are empty, and types."""


def version() -> str:
    """The version of the package that the core was built with.

    Raises:
        ImportError: the core was not built; the message names the command that builds it.
    """
    return core().version()


@cache
def core() -> Core:
    """The extension module.

    Raises:
        ImportError: it was not built; the message names the command that builds it.
    """
    # The core runs on PyTorch's OpenMP threads and finds their library only once PyTorch has loaded it.
    import_module("torch")
    try:
        return cast(Core, import_module("steploom._native"))
    except ImportError as error:
        raise ImportError(
            f"the compiled core of Steploom cannot be loaded ({error}). "
            f"In the folder of the repository, `{BUILD_COMMAND}` builds it; it needs a C++ compiler"
        ) from error
