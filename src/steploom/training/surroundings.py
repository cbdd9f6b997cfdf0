"""What training changes in its process, and gives back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["callers_own"]


@contextmanager
def callers_own() -> Iterator[None]:
    """Gives the caller's random state, threads and gradient mode back at its end."""
    threads, gradients = torch.get_num_threads(), torch.is_grad_enabled()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else []
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_grad_enabled(gradients)
