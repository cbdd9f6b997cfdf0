"""The compiled core as Python sees it. Nothing else imports the extension module itself."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["BUILD_COMMAND", "core", "instruction_sets", "version"]

BUILD_COMMAND = "pip install -c constraints.txt -e ."


def version() -> str:
    """The version of the package that the core was built with.

    Raises:
        ImportError: the core was not built; the message names the command that builds it.
    """
    return cast(str, core().version())


def instruction_sets() -> list[str]:
    """The vector instruction sets that this processor and its operating system support, oldest first: ["avx", "avx2"].

    Raises:
        ImportError: the core was not built; the message names the command that builds it.
    """
    return cast("list[str]", core().instruction_sets())


@cache
def core() -> ModuleType:
    """The extension module.

    Raises:
        ImportError: it was not built; the message names the command that builds it.
    """
    # The core runs on PyTorch's OpenMP threads and finds their library only once PyTorch has loaded it.
    import_module("torch")
    try:
        return import_module("steploom._native")
    except ImportError as error:
        raise ImportError(
            f"the compiled core of Steploom cannot be loaded ({error}). "
            f"In the folder of the repository, `{BUILD_COMMAND}` builds it; it needs a C++ compiler"
        ) from error
