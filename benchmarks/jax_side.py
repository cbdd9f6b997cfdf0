"""JAX in a process of its own, asked for one run at a time, so that it takes turns with the others."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["Jax"]


class Jax:
    """A child process that runs lax.scan over a cell.

    Args:
        python: an interpreter that has JAX.
        threads: processors that the child may use.
    """

    def __init__(self, python: Path, threads: int) -> None:
        script = Path(__file__).with_name("jax_child.py")
        self._folder = tempfile.TemporaryDirectory()
        self._child = subprocess.Popen(
            [str(python), str(script), str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def load(self, name: str, x: Tensor, arriving: Tensor, cell: nn.Module) -> dict[str, Tensor]:
        """Hand over a cell and its data; gives the outputs "y" and the gradients by name, that of x as "x"."""
        sent, got = Path(self._folder.name) / "sent.npz", Path(self._folder.name) / "got.npz"
        values = {key: value.detach().numpy() for key, value in cell.named_parameters()}
        np.savez(sent, allow_pickle=False, x=x.detach().numpy(), arriving=arriving.numpy(), **values)
        self._ask("load", name, str(sent), str(got))
        with np.load(got) as arrays:
            return {key: torch.from_numpy(arrays[key].copy()) for key in arrays.files}

    def train(self) -> float:
        """Seconds of one forward and backward pass."""
        return self._ask("train")

    def infer(self) -> float:
        """Seconds of one forward pass."""
        return self._ask("infer")

    def sgemm(self) -> float:
        """GFLOP/s of a large product in that process."""
        return self._ask("sgemm")

    def close(self) -> None:
        """End the child."""
        _pipe(self._child.stdin).close()
        self._child.wait()
        self._folder.cleanup()

    def _ask(self, *words: str) -> float:
        _pipe(self._child.stdin).write(json.dumps(words) + "\n")
        _pipe(self._child.stdin).flush()
        answer = _pipe(self._child.stdout).readline()
        if not answer:
            raise SystemExit("the process with JAX has ended; its message stands above")
        return float(answer)


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise SystemExit("the process with JAX has no pipe")
    return pipe
