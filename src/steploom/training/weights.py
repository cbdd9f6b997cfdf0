"""Weights from a file, checked before memory is taken for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import prod
from pathlib import Path

import torch

from steploom.errors import ModelDirectoryError, SteploomError
from steploom.models.network import Network

__all__ = ["network_with_weights"]

_SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


def network_with_weights(build: Callable[[], Network], path: Path) -> Network:
    """The network that `build` makes, with the weights in `path`.

    The network is first built without memory, and its shapes are compared with the file: a directory that asks for an
    absurd size is refused before anything of that size exists.

    Raises:
        ModelDirectoryError: the file is damaged, or its weights are not those of this network.
    """
    stored = _shapes(path)
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                wanted = {name: tuple(value.shape) for name, value in build().state_dict().items()}
        except SteploomError:
            raise
        except (RuntimeError, TypeError, ValueError, OverflowError, MemoryError) as error:
            raise ModelDirectoryError(
                f"{path.parent}: config.yaml describes a network that cannot be built: {error}"
            ) from error
        for name in sorted(wanted.keys() | stored.keys()):
            if wanted.get(name) != stored.get(name):
                raise ModelDirectoryError(
                    f"{path}: these are not the weights of the model that config.yaml describes: '{name}' should be "
                    f"{_words(wanted.get(name))}, found {_words(stored.get(name))}"
                )
        network = build()
    from safetensors.torch import load_file

    network.load_state_dict(load_file(path))
    return network


def _words(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else " x ".join(map(str, shape)) or "a single number"


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Name to shape from the header of a safetensors file, whose sizes must add up to the file's."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > size - 8:
                raise ValueError("the header is longer than the file")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        held = sum(_SIZES[entry["dtype"]] * prod(entry["shape"]) for entry in header.values())
        if held != size - 8 - length:
            raise ValueError(f"{held} bytes of weights are announced, {size - 8 - length} are there")
        return {name: tuple(int(n) for n in entry["shape"]) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelDirectoryError(f"{path}: damaged: {error}") from error
