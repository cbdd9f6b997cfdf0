"""Lightning without its messages."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet"]

_LOGGERS = ("pytorch_lightning", "lightning_fabric", "lightning", "torch.distributed")


@contextmanager
def quiet() -> Iterator[None]:
    """Silences the log and the warnings of Lightning and of torch.distributed.

    Other warnings reach the user as before.
    """
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for module in (r"(pytorch_|lightning_|torch\.distributed|torch\.nn\.parallel)", r"torch\.utils\.data"):
                warnings.filterwarnings("ignore", module=module)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
