"""Which of the training processes this one is, and how they come to their end."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from steploom.errors import SteploomError

__all__ = ["devices_and_nodes", "group_taken_down", "is_main_process", "others_end_silently", "restored_environment"]

_PATIENCE_SECONDS = 3.0

_SET_BY_LAUNCHER = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE", "OMP_NUM_THREADS")


def is_main_process() -> bool:
    """True in the only process that writes: rank 0 of torchrun, of SLURM, or the one that launched the others."""
    for name in ("RANK", "SLURM_PROCID"):
        if name in os.environ:
            return os.environ[name] == "0"
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"


def devices_and_nodes(devices: int, nodes: int) -> tuple[int, int]:
    """Processes a node and nodes: what torchrun started, else what the options say."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return devices, nodes
    local = int(os.environ["LOCAL_WORLD_SIZE"])
    return local, int(os.environ["WORLD_SIZE"]) // local


@contextmanager
def others_end_silently() -> Iterator[None]:
    """Lets only the first process speak, and report a mistake or an interruption.

    The others end with the exit code of the command line.
    """
    logger = logging.getLogger("steploom")
    level = logger.level
    if not is_main_process():
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    except (SteploomError, KeyboardInterrupt) as error:
        if is_main_process():
            raise
        # Whoever started the processes ends all of them with the first that ends. The one that reports the mistake
        # must have had the time to do so.
        time.sleep(_PATIENCE_SECONDS)
        raise SystemExit(130 if isinstance(error, KeyboardInterrupt) else 2) from None
    finally:
        logger.setLevel(level)


@contextmanager
def group_taken_down() -> Iterator[None]:
    """Takes down the process group that was opened inside; one that the caller had stays.

    A process that ends while threads of a group still run can be aborted by one that asks for the interpreter's lock
    when the interpreter is gone already.
    """
    import torch.distributed

    if not torch.distributed.is_available() or torch.distributed.is_initialized():
        yield
        return
    try:
        yield
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


@contextmanager
def restored_environment() -> Iterator[None]:
    """Takes back what the launcher of processes writes into the environment.

    A second training then starts like the first.
    """
    before = {name: os.environ.get(name) for name in _SET_BY_LAUNCHER}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
