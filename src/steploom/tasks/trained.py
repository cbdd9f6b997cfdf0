"""From files to a trained model, and back from a model directory: `train`, `resume`, `load`."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steploom.errors import DataError, ModelDirectoryError, OptionError
from steploom.tasks.registry import task_class
from steploom.tasks.task import Evaluation, Prediction, Prepared, Task
from steploom.training.directory import (
    FORMAT,
    StoredModel,
    check_output,
    create,
    discard,
    file_digest,
    publish,
    read,
    read_run,
    rewrite_run,
)
from steploom.training.processes import is_main_process, others_end_silently

if TYPE_CHECKING:
    from steploom.models.network import Network
    from steploom.training.fit import FitResult
    from steploom.training.options import TrainOptions

__all__ = ["TrainedModel", "load", "resume", "train"]

File = str | Path


class TrainedModel:
    """A task with its trained network.

    Attributes:
        task: the task; `task.options` are the options of its training.
        network: the network, a `torch.nn.Module` in evaluation mode.
        path: the model directory.
        manifest: the content of model.json: task, architecture, versions, how training ended.
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
        return self.task.predict(self.network, None if data is None else Path(data), checked)

    def evaluate(self, data: File, **options: Any) -> Evaluation:
        """The metrics on a file, and those of the task's naive baselines. The options are those of `steploom evaluate`.

        Raises:
            DataError: the file cannot be used.
            OptionError: an option is wrong.
        """
        return self.task.evaluate(self.network, Path(data), self.task.EvaluateOptions.checked(options))

    def plot(self, path: File, data: File | None = None) -> None:
        """Writes the task's picture of the model to `path` (PNG).

        Raises:
            DataError: the file cannot be used.
        """
        self.task.plot(self.network, None if data is None else Path(data), Path(path))

    def save(self, path: File, force: bool = False) -> Path:
        """Writes the model into another directory, without what `resume` needs.

        Raises:
            ModelDirectoryError: the directory holds something already.
        """
        path = Path(path)
        if path.resolve() == self.path.resolve():
            _publish(path, self.task, self.network, self.manifest)
            return path
        check_output(path, force)
        if path.exists():
            discard(path)
        _publish(path, self.task, self.network, self.manifest)
        for record in ("metrics.jsonl", "curves.png", "train.log"):
            if (self.path / record).exists():
                shutil.copyfile(self.path / record, path / record)
        return path


@others_end_silently()
def train(
    task: str,
    data: File | Sequence[File],
    out: File,
    *,
    valid: File | None = None,
    test: File | None = None,
    force: bool = False,
    progress: bool = True,
    **options: Any,
) -> TrainedModel:
    """Trains a model on files and keeps it in a directory.

    With several devices or under torchrun, the processes other than the first end (SystemExit) when the training has
    ended.

    Args:
        task: the name of the task, such as "forecast".
        data: one file or several.
        out: the model directory, which must not hold anything yet.
        valid: a file whose loss chooses the best weights; without it the task sets a part of the data aside.
        test: a file that is scored at the end.
        force: replace a model in `out`.
        progress: show a bar on standard error where that is a terminal.
        options: the options of `steploom train TASK`, with underscores.

    Raises:
        DataError: a file cannot be used.
        OptionError: an option is wrong.
        CellError: a cell of the user's own breaks the contract.
        ModelDirectoryError: `out` holds something already.
        KeyboardInterrupt: the training was interrupted; what was trained is kept, and the message says how to go on.
    """
    began = time.monotonic()
    kind = task_class(task)
    checked = kind.TrainOptions.checked(options)
    out = Path(out)
    main = is_main_process()
    if main:
        check_output(out, force)
    files = [Path(data)] if isinstance(data, (str, Path)) else [Path(file) for file in data]
    parts = {"train": files, "valid": [Path(valid)] if valid else [], "test": [Path(test)] if test else []}
    prepared = _prepare(kind, checked, parts)
    network = _first_weights(prepared.task, checked.seed)
    if main:
        run = {"format": FORMAT, "steploom": _version(), "task": task, "options": checked.model_dump(mode="json")}
        run["files"] = {part: [_fingerprint(file) for file in chosen] for part, chosen in parts.items()}
        create(out, run, checked.model_dump(mode="json"))
    try:
        return _train(prepared, network, out, parts, began, resuming=False, progress=progress)
    except BaseException:
        if main and not (out / "last" / "checkpoint.pt").exists():
            discard(out)
        raise


@others_end_silently()
def resume(
    path: File,
    epochs: int | None = None,
    max_minutes: float | None = None,
    *,
    cell: str | None = None,
    progress: bool = True,
) -> TrainedModel:
    """Goes on with a training that was stopped, killed or finished, from its last checkpoint.

    The result is bit by bit that of a training that was never stopped.

    Args:
        path: the model directory.
        epochs: a new number of epochs in all, to train longer than first planned.
        max_minutes: a new limit of the training time in all.
        cell: for a model with a cell of your own: its import path once more, as for `load`.
        progress: show a bar on standard error where that is a terminal.

    Raises:
        ModelDirectoryError: there is nothing to go on with, or the training is complete.
        DataError: the training data are gone or have changed.
        KeyboardInterrupt: the training was interrupted again.
    """
    began = time.monotonic()
    path = Path(path)
    run = read_run(path)
    kind = task_class(run["task"])
    new = {"epochs": epochs, "max_minutes": max_minutes}
    given = {name: value for name, value in new.items() if value is not None}
    options = kind.TrainOptions.checked({**run["options"], **given})
    _trust_cell(path, options.cell, cell)
    parts = {part: [_unchanged(entry) for entry in entries] for part, entries in run["files"].items()}
    longer = epochs is not None
    _refuse_complete(path, options, longer)
    prepared = _prepare(kind, options, parts)
    network = _first_weights(prepared.task, options.seed)
    if is_main_process() and given:
        rewrite_run(path, {**run, "options": options.model_dump(mode="json")}, options.model_dump(mode="json"))
    return _train(prepared, network, path, parts, began, resuming=True, longer=longer, progress=progress)


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
    stored = read(Path(path))
    task = _stored_task(stored, cell)
    from steploom.training.weights import network_with_weights

    network = network_with_weights(task.build, stored.weights)
    network.eval()
    return TrainedModel(task, network, stored.path, dict(stored.manifest), {})


def _stored_task(stored: StoredModel, cell: str | None) -> Task:
    try:
        kind = task_class(stored.task)
        options = kind.TrainOptions.checked(stored.options, where=str(stored.path / "config.yaml"))
    except OptionError as error:
        raise ModelDirectoryError(f"{stored.path}: {error}") from error
    _trust_cell(stored.path, options.cell, cell)
    try:
        return kind(options, stored.artefacts)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelDirectoryError(
            f"{stored.path}: its JSON files do not fit the task {stored.task}: {error!r}"
        ) from error


def _trust_cell(path: Path, wanted: str, named: str | None) -> None:
    """A directory may come from anywhere: what it names is imported only when the user names it too."""
    if named is not None and named != wanted:
        raise ModelDirectoryError(f"{path}: its cell is '{wanted}', not '{named}'")
    if ":" in wanted and named is None:
        raise ModelDirectoryError(
            f"{path}: its cell is code outside the directory, '{wanted}'. If you trust it, name it: "
            f"--cell {wanted} (in Python: cell='{wanted}')"
        )


def _prepare(kind: type[Task], options: Any, parts: dict[str, list[Path]]) -> Prepared[Any]:
    for files in parts.values():
        for file in files:
            if file.is_dir():
                raise DataError("expected a file, found a directory", file=file)
            if not file.exists():
                raise DataError("there is no such file", file=file)
    valid, test = (parts[name][0] if parts[name] else None for name in ("valid", "test"))
    return kind.prepare(options, parts["train"], valid, test)


def _first_weights(task: Task, seed: int) -> Network:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return task.build()


def _train(
    prepared: Prepared[Any],
    network: Network,
    path: Path,
    parts: dict[str, list[Path]],
    began: float,
    resuming: bool,
    progress: bool,
    longer: bool = False,
) -> TrainedModel:
    from steploom.training.fit import fit

    task, main = prepared.task, is_main_process()
    shown: dict[str, Any] = {"describe": task.describe, "progress": progress}
    plan: dict[str, Any] = {"resume": resuming, "longer": longer}
    result = fit(network, prepared.train, prepared.valid, task.options, path, **shown, **plan)
    if not main:
        raise SystemExit(0)
    network.eval()
    interrupted = result.stopped == "interrupted"
    if interrupted and not result.has_weights:
        raise KeyboardInterrupt(_how_to_go_on(path, result, task.options))
    try:
        report = _finish(prepared, network, path, result)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_how_to_go_on(path, result, task.options)) from None
    if interrupted:
        raise KeyboardInterrupt(_how_to_go_on(path, result, task.options))
    manifest = _describe(task, network, result)
    whole = {"task": task.name, "data": [str(file) for file in parts["train"]], **report}
    whole |= {"model": str(path), "epochs": result.epochs, "steps": result.steps, "stopped": result.stopped}
    whole |= {"parameters": manifest["parameters"], "engine": manifest["engine"]}
    whole["seconds"] = round(time.monotonic() - began, 2)
    return TrainedModel(task, network, path, manifest, whole)


def _finish(prepared: Prepared[Any], network: Network, path: Path, result: FitResult) -> dict[str, Any]:
    """Publishes the model and scores it; after an interruption only the first."""
    from steploom.training.refit import steps_of_refit

    task, report = prepared.task, {}

    def score(part: str, source: object | None) -> None:
        if source is not None:
            scores = task.evaluate(network, source, task.EvaluateOptions.checked({}))
            report[part] = {"metrics": scores.metrics, "baselines": scores.baselines}

    interrupted = result.stopped == "interrupted"
    task.finish(network, prepared)
    if not interrupted:
        # Before the validation part may be learnt from.
        score("validation", prepared.valid_source)
        steps = steps_of_refit(result, task.options, len(prepared.train))
        if steps and _has_time(result, task.options, steps):
            task.refit(network, prepared, steps)
    _publish(path, task, network, _describe(task, network, result))
    if not interrupted:
        score("test", prepared.test_source)
    return report


def _has_time(result: FitResult, options: TrainOptions, steps: int) -> bool:
    """Whether so many steps can still be made within `max_minutes`."""
    again = result.seconds * steps / max(1, result.steps)
    return options.max_minutes is None or result.seconds + again <= 60 * options.max_minutes


def _how_to_go_on(path: Path, result: FitResult, options: TrainOptions) -> str:
    kept = f"{path} holds the best weights so far and" if result.has_weights else f"{path}"
    cell = f" --cell {options.cell}" if ":" in options.cell else ""
    return (
        f"stopped after {result.epochs} of {options.epochs} epochs (step {result.steps}). "
        f"{kept} keeps the state of the training. Go on with: steploom resume {path}{cell}"
    )


def _describe(task: Task, network: Network, result: FitResult) -> dict[str, Any]:
    options = task.options
    return {
        "task": task.name,
        "architecture": {
            "network": type(network).__name__,
            "cell": options.cell,
            "hidden_size": options.hidden_size,
            "num_layers": options.num_layers,
        },
        "parameters": sum(p.numel() for p in network.parameters()),
        "engine": _engine(network) or options.engine,
        "training": {
            "epochs": result.epochs,
            "steps": result.steps,
            "stopped": result.stopped,
            "best_valid_loss": result.best_valid_loss,
            "seconds": round(result.seconds, 2),
        },
    }


def _engine(network: Network) -> str:
    """The engines that the recurrent layers of `network` choose, "" without such layers."""
    from steploom.cells.cell import Cell
    from steploom.layers.recurrent import Recurrent

    engines = set()
    for layer in network.modules():
        if isinstance(layer, Recurrent):
            engines |= {layer.stack.choose(cell)[0] for cell in layer.cells if isinstance(cell, Cell)}
    return ", ".join(sorted(engines))


def _publish(path: Path, task: Task, network: Network, manifest: dict[str, Any]) -> None:
    publish(path, manifest, task.options.model_dump(mode="json"), task.artefacts, network.state_dict())


def _version() -> str:
    from importlib.metadata import version

    return version("steploom")


def _fingerprint(file: Path) -> dict[str, Any]:
    return {
        "path": str(file),
        "absolute": str(file.resolve()),
        "bytes": file.stat().st_size,
        "sha256": file_digest(file),
    }


def _unchanged(entry: dict[str, Any]) -> Path:
    found = next((p for p in (Path(entry["absolute"]), Path(entry["path"])) if p.is_file()), None)
    if found is None:
        raise DataError(
            "this file, which the training reads, is gone", file=entry["path"], hint="Put it back, or train anew"
        )
    if found.stat().st_size != entry["bytes"] or file_digest(found) != entry["sha256"]:
        raise DataError(
            "this file has changed since the training began, so that it cannot go on exactly",
            file=entry["path"],
            hint="Put the old file back, or train anew",
        )
    return found


def _refuse_complete(path: Path, options: TrainOptions, longer: bool) -> None:
    from steploom.training.state import read_checkpoint

    kept = read_checkpoint(path / "last")
    if kept is None or not (path / "model.json").exists():
        return
    state = kept[0]
    if read(path).manifest.get("training", {}).get("steps") != state.step:
        # The model is an earlier one: the process was killed before it could publish the last.
        return
    state.plan_again(options, longer)
    why = {
        "epochs": f"{state.epoch} epochs are done. Train longer with --epochs {2 * state.epoch}",
        "time": f"its {options.max_minutes} minutes are used up. Train longer with --max-minutes",
        "patience": f"the validation loss had stopped falling. Train on nevertheless with --epochs {options.epochs}",
    }
    if state.stopped in why:
        raise ModelDirectoryError(f"{path}: the training is complete, {why[state.stopped]}")
