"""The compiled core; built from native/ by `pip install`."""

from typing import Any

def version() -> str:
    """The version of the package that this core was built with."""

def instruction_sets() -> list[str]:
    """The vector instruction sets that this processor and its operating system support, oldest first."""

def kernels() -> list[str]:
    """The builds of the kernels that this processor can run, the fastest first."""

def opcodes() -> list[str]:
    """The names of the elementwise instructions."""

def run(*arguments: object) -> None:
    """Run a schedule over a batch of sequences; `steploom.engine.passes` gives the arguments."""

def saved_elements(widths: list[int], time: int, batch: int, lengths: int, slices: int) -> int:
    """Elements of all regions that a call keeps for its backward pass."""

def memory(size: int) -> Any:
    """Bytes not yet written, a NumPy array; they are used again once nothing holds it."""

class Schedule:
    """One pass over the sequences as stages on buffers; `steploom.engine.lowering` builds it."""

    def __init__(self, *arguments: object) -> None: ...
    def product(self, *arguments: object) -> None: ...
    def elementwise(self, *arguments: object) -> None: ...
    def on_groups(self, *arguments: object) -> None: ...
    def weight_gradient(self, *arguments: object) -> None: ...
    def vector_gradient(self, *arguments: object) -> None: ...
    def weights(self, *arguments: object) -> None: ...

class Stream:
    """States and packed weights that are kept from step to step; `steploom.engine.stream_native` builds it."""

    def __init__(self, *arguments: object) -> None: ...
    def push(self, x: object, /) -> object: ...
    def run(self, *arguments: object) -> None: ...
    def read_state(self, *arguments: object) -> None: ...
    def write_state(self, *arguments: object) -> None: ...

class Unchanged:
    """Whether objects hold what they held; `steploom.engine.watch` says which, and keeps them."""

    def __init__(self, *arguments: object) -> None: ...
    def holds(self) -> bool: ...
