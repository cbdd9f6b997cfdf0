"""Which build of the native kernels runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

from steploom.errors import OptionError
from steploom.native import core

__all__ = ["kernels", "kernels_wanted", "of_environment", "use_kernels", "uses_tiles"]

# The build of the kernels that `use_kernels` asks for in this thread or asynchronous task.
_kernels: ContextVar[str] = ContextVar("steploom_kernels", default="")
# What `use_kernels` asks for here, without a function of Python.
kernels_wanted = _kernels.get


@contextmanager
def use_kernels(isa: str) -> Iterator[None]:
    """Run the native engine with one build of its kernels while the block lasts.

    Args:
        isa: "amx" (AVX-512, and tiles for all products), "avx512", "avx2" or "portable".
    """
    token = _kernels.set(isa)
    try:
        yield
    finally:
        _kernels.reset(token)


def kernels() -> str:
    """The build of the kernels that `use_kernels` or the environment asks for; empty for the best.

    Raises:
        OptionError: this processor cannot run it.
    """
    isa = _kernels.get() or of_environment()
    if isa and isa not in core().kernels():
        raise OptionError(
            f"STEPLOOM_ISA is '{isa}', but the kernels that this processor can run are {', '.join(core().kernels())}."
        )
    return isa


@cache
def uses_tiles(isa: str) -> bool:
    """Whether a build of the kernels, empty for the best, makes float32 products on tiles."""
    return isa in ("", "amx") and "amx" in core().kernels()


@cache
def of_environment() -> str:
    """What STEPLOOM_ISA said when this process first asked; empty where it is not set."""
    return os.environ.get("STEPLOOM_ISA", "")
