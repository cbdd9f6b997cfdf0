"""The state of a training: all that decides how it goes on, as plain values and tensors.

It is kept in DIR/last.
"""

from __future__ import annotations

import math
import pickle
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from steploom.errors import ModelDirectoryError
from steploom.training.atomic import write_atomically
from steploom.training.options import TrainOptions

__all__ = ["State", "read_best", "read_checkpoint", "write_best", "write_checkpoint"]

_CHECKPOINT = "checkpoint.pt"
_TENSORS = {"network", "optimizer", "precision", "average", "carry"}
"""What a checkpoint holds beside the state."""


@dataclass
class State:
    """The place in training, and what was seen on the way.

    Attributes:
        epoch: epochs finished.
        index: steps finished in the present epoch.
        step: steps finished in all.
        total, weight: sums of the training loss since the epoch began.
        seconds: time spent in training, resumes included.
        time_share: part of `max_minutes` that had passed when the last step began.
        rates: the sum of the learning rates of all steps.
        rows: one line of metrics.jsonl for each validation.
        best_loss, best_step, best_rates, best_file: the best validation loss, `step` and `rates` when it was seen, and
            the file of its weights.
        waited: epochs since the best validation loss.
        plateau_loss, plateau_waited, plateaus: the same for the schedule plateau, and how often it has cut the
            learning rate.
        stopped: why training ended, "" while it runs.
    """

    epoch: int = 0
    index: int = 0
    step: int = 0
    total: float = 0.0
    weight: float = 0.0
    seconds: float = 0.0
    time_share: float = 0.0
    rates: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)
    best_loss: float | None = None
    best_step: int = -1
    best_rates: float = 0.0
    best_file: str = ""
    waited: int = 0
    plateau_loss: float | None = None
    plateau_waited: int = 0
    plateaus: int = 0
    stopped: str = ""

    def validated(self, loss: float, whole: bool, decay_every: int) -> bool:
        """Takes up a validation loss.

        Args:
            loss: the loss.
            whole: whether an epoch has ended; only epochs count for `waited` and for the schedule plateau.
            decay_every: epochs without a gain after which a plateau is counted.

        Returns:
            whether it is the best so far.
        """
        best = math.isfinite(loss) and (self.best_loss is None or loss < self.best_loss)
        if best:
            self.best_loss, self.best_step, self.best_rates, self.waited = loss, self.step, self.rates, 0
        elif whole:
            self.waited += 1
        if whole and (self.plateau_loss is None or loss < self.plateau_loss):
            self.plateau_loss, self.plateau_waited = loss, 0
        elif whole:
            self.plateau_waited += 1
            if self.plateau_waited >= decay_every:
                self.plateaus, self.plateau_waited = self.plateaus + 1, 0
        return best

    def plan_again(self, options: TrainOptions, longer: bool = False) -> None:
        """Takes back the end of an earlier run where `options` leave something to do.

        `longer` also takes back an early stop.
        """
        limit = math.inf if options.max_minutes is None else 60 * options.max_minutes
        impatient = options.patience > 0 and self.waited >= options.patience
        goes_on = {
            "epochs": self.epoch < options.epochs,
            "time": self.seconds < limit,
            "patience": longer or not impatient,
            "interrupted": True,
        }
        if goes_on.get(self.stopped, False):
            self.waited = 0 if longer else self.waited
            self.stopped = ""
        if self.epoch >= options.epochs:
            self.stopped = "epochs"
        elif not self.stopped and self.index == 0:
            # Within an epoch there are steps that no validation has judged yet.
            self.stopped = "patience" if impatient and not longer else "time" if self.seconds >= limit else ""


def write_checkpoint(folder: Path, state: State, tensors: dict[str, Any]) -> None:
    """Replaces the checkpoint in `folder` and then removes the files of best weights that it does not name.

    Args:
        folder: DIR/last.
        state: the place in training.
        tensors: weights, optimiser and carried states: nested dicts and lists of tensors and numbers.
    """
    content = {"state": asdict(state), **tensors}
    write_atomically(folder / _CHECKPOINT, lambda file: torch.save(content, file))
    for file in folder.glob("best-*.pt"):
        if file.name != state.best_file:
            file.unlink()


def read_checkpoint(folder: Path) -> tuple[State, dict[str, Any]] | None:
    """The checkpoint in `folder`, or None where training was stopped before the first one.

    Raises:
        ModelDirectoryError: the file is damaged or of another version.
    """
    path = folder / _CHECKPOINT
    if not path.exists():
        return None
    content = _read(path)
    values = content.pop("state", None)
    if not isinstance(values, dict) or set(values) != {f.name for f in fields(State)}:
        raise ModelDirectoryError(f"{path}: this checkpoint was written by another version of Steploom; train anew")
    if not content.keys() >= _TENSORS:
        raise ModelDirectoryError(
            f"{path}: damaged, it lacks {', '.join(sorted(_TENSORS - content.keys()))}; train anew"
        )
    return State(**values), content


def write_best(folder: Path, step: int, weights: dict[str, Tensor]) -> str:
    """Writes the weights that were best at `step`, beside those that the last checkpoint names.

    Returns:
        the file's name.
    """
    name = f"best-{step:09d}.pt"
    write_atomically(folder / name, lambda file: torch.save(weights, file))
    return name


def read_best(folder: Path, name: str) -> dict[str, Tensor]:
    """The weights that `write_best` wrote.

    Raises:
        ModelDirectoryError: the file is missing or damaged.
    """
    return _read(folder / name)


def _read(path: Path) -> dict[str, Any]:
    # weights_only: a checkpoint from elsewhere must not be able to run code. torch.load then refuses it with an error
    # of the module pickle, which is imported for the name of that error alone.
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise ModelDirectoryError(f"{path}: damaged, or not written by Steploom; the training cannot go on") from error
    if not isinstance(content, dict):
        raise ModelDirectoryError(f"{path}: damaged, or not written by Steploom; the training cannot go on")
    return content
