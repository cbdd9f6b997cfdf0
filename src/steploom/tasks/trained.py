"""The trained model: what it does, and how it comes back from its directory."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steploom.errors import ModelDirectoryError, OptionError, SteploomError
from steploom.tasks.picture import check_picture
from steploom.tasks.registry import task_class
from steploom.tasks.run import publish_model
from steploom.tasks.task import Evaluation, Files, Prediction, Task
from steploom.training.directory import StoredModel, read
from steploom.training.lock import only_training_in
from steploom.training.output import check_output, discard
from steploom.training.sources import is_among

if TYPE_CHECKING:
    from steploom.models.network import Network

__all__ = ["File", "TrainedModel", "files_of", "load", "path_of", "stored_task", "trust_cell"]

File = str | Path

logger = logging.getLogger("steploom")


def path_of(value: object, name: str) -> Path:
    """The path that a user gives for the argument `name`.

    Raises:
        OptionError: it is something else.
    """
    if not isinstance(value, (str, os.PathLike)):
        raise OptionError(f"{name}: expected a path, found {type(value).__name__}")
    return Path(value)


def files_of(data: object, name: str = "data") -> Files:
    """One file or several as `Files`, given for the argument `name`.

    Raises:
        OptionError: it is something else, or there is none.
    """
    files: object = [data] if isinstance(data, (str, Path)) else data
    if not isinstance(files, (list, tuple)) or not all(isinstance(file, (str, Path)) for file in files):
        raise OptionError(f"{name}: expected a path or a list of paths, found {type(data).__name__}")
    if not files:
        raise OptionError(f"{name}: expected a file or several, found none")
    return Files([Path(file) for file in files])


def _file_of(data: object) -> Path | None:
    """The only file of a prediction, or None without one."""
    if data is None or isinstance(data, (str, Path)):
        return None if data is None else Path(data)
    raise OptionError(f"data: expected one path, found {type(data).__name__}")


class TrainedModel:
    """A task with its trained network.

    Attributes:
        task: the task; `task.options` are the options of its training.
        network: the network, a `torch.nn.Module` in evaluation mode.
        path: the model directory.
        manifest: what model.json says: "task", "architecture" (network and what decides its shape), "parameters",
            "engine", and in "training" how it ended: epochs, steps, stopped, best_valid_loss, seconds, and refit, the
            steps and epochs of training anew (None without). Of a loaded model also "format", the versions "steploom"
            and "torch", and "files", name to bytes and sha256; "trained_on" has the same of the training files.
        report: what `steploom train --json` prints; empty for a model that was loaded.
    """

    def __init__(
        self, task: Task, network: Network, path: Path, manifest: dict[str, Any], report: dict[str, Any]
    ) -> None:
        self.task, self.network, self.path = task, network, path
        self.manifest, self.report = manifest, report

    def predict(self, data: File | None = None, **options: Any) -> Prediction:
        """Predictions for a file: `.text`, `.value` and `.write(path)`. The options are those of `steploom predict`.

        Raises:
            DataError: the file cannot be used.
            OptionError: an option is wrong.
        """
        checked = self.task.PredictOptions.checked(options)
        return self.task.predict(self.network, _file_of(data), checked)

    def evaluate(self, data: File | Sequence[File], **options: Any) -> Evaluation:
        """The metrics on files, and those of the naive baselines. The options are those of `steploom evaluate`.

        A warning is logged where the model was trained on this file.

        Raises:
            DataError: the file cannot be used.
            OptionError: an option is wrong.
        """
        checked, files = self.task.EvaluateOptions.checked(options), files_of(data)
        for file in files:
            if is_among(file, self.manifest.get("trained_on")):
                logger.warning(f"{file}: the model was trained on this file; these scores say little about new data")
        return self.task.evaluate(self.network, files, checked)

    def plot(self, path: File, data: File | Sequence[File] | None = None) -> None:
        """Writes the task's picture of the model to `path` (PNG): of a file, of several read together, or of none.

        Raises:
            DataError: the file cannot be used.
            OptionError: the ending of `path` is that of no picture.
        """
        path = path_of(path, "path")
        check_picture(path)
        self.task.plot(self.network, () if data is None else files_of(data), path)

    def save(self, path: File, force: bool = False) -> Path:
        """Writes the model into another directory, without what `resume` needs.

        Raises:
            ModelDirectoryError: the directory holds something already.
        """
        path = path_of(path, "path")
        if path.resolve() == self.path.resolve():
            publish_model(path, self.task, self.network, self.manifest)
            return path
        check_output(path, force)
        if path.exists():
            with only_training_in(path / "last"):
                discard(path)
        publish_model(path, self.task, self.network, self.manifest)
        for record in ("metrics.jsonl", "curves.png", "train.log"):
            if (self.path / record).exists():
                shutil.copyfile(self.path / record, path / record)
        return path


def load(path: File, cell: str | None = None) -> TrainedModel:
    """A trained model from its directory.

    Neither the training data nor a GPU is needed, and no code in the directory is run.

    Args:
        path: the model directory.
        cell: for a model with a cell of your own: its import path once more, "package.module:Class". The directory
            alone never decides what is imported.

    Raises:
        ModelDirectoryError: the directory is missing, incomplete, damaged or of a newer format, or `cell` is not the
            model's.
    """
    stored = read(path_of(path, "path"))
    task = stored_task(stored)
    trust_cell(stored.path, task.options.cell, cell)
    from steploom.training.weights import network_with_weights

    network = network_with_weights(task.build, stored.weights)
    network.eval()
    return TrainedModel(task, network, stored.path, dict(stored.manifest), {})


def stored_task(stored: StoredModel) -> Task:
    """The task of a stored model, from its options and artefacts. Imports no cell of the user's own.

    Raises:
        ModelDirectoryError: they do not fit together.
    """
    try:
        kind = task_class(stored.task)
        values = kind.TrainOptions.unless_default(stored.options)
        options = kind.TrainOptions.checked(values, where=str(stored.path / "config.yaml"))
    except OptionError as error:
        raise ModelDirectoryError(f"{stored.path}: {error}") from error
    task = kind(options, stored.artefacts)
    for name, read_artefact in task.readers().items():
        file = stored.path / f"{name}.json"
        if name not in stored.artefacts:
            raise ModelDirectoryError(f"{file}: missing, and model.json does not list it. Copy the directory again")
        try:
            read_artefact(stored.artefacts[name])
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError, SteploomError) as error:
            why = f"{error} is missing or wrong" if isinstance(error, KeyError) else str(error)
            raise ModelDirectoryError(
                f"{file}: this is not what the task {stored.task} keeps there: {why}. "
                "Copy the directory again, or train anew"
            ) from error
    return task


def trust_cell(path: Path, wanted: str, named: str | None) -> None:
    """A directory may come from anywhere: what it names is imported only when the user names it too.

    Args:
        path: the directory.
        wanted: the cell of its model.
        named: what the user says.

    Raises:
        ModelDirectoryError: the cell is code outside the directory, and the user has not named it; or another one.
    """
    if named is not None and named != wanted:
        raise ModelDirectoryError(f"{path}: its cell is '{wanted}', not '{named}'")
    if ":" in wanted and named is None:
        raise ModelDirectoryError(
            f"{path}: its cell is code outside the directory, '{wanted}'. If you trust it, name it: "
            f"--cell {wanted} (in Python: cell='{wanted}')"
        )
