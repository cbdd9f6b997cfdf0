"""Freed memory kept for the next step."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_ENOUGH = 2**31 - 1


def keep_freed_memory() -> bool:
    """Asks the C library to keep the memory that large tensors free, for the whole process.

    glibc hands blocks over 32 MiB back to the kernel whenever they are freed, and smaller ones often. A training step
    frees and takes the same tensors again, and each first touch of a new page is a page fault: where those are dear,
    as on virtual machines, they took up to half of a step's time. Only the command line calls this: a program that
    uses Steploom as a library keeps its own settings.

    Returns:
        False where the C library is another one, and nothing was done.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    # Blocks of the kernel's own would go back to it at once; those of the heap stay below the threshold.
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, _ENOUGH))
