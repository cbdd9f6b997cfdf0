"""From files to a trained model: `train`, and `resume` for a training that was stopped."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steploom.data.counted import counted
from steploom.data.file_bytes import check_rereadable
from steploom.errors import DataError, ModelDirectoryError, OptionError
from steploom.tasks.registry import task_class
from steploom.tasks.run import first_weights, run_training
from steploom.tasks.task import Task
from steploom.tasks.trained import File, TrainedModel, files_of, path_of, trust_cell
from steploom.training.directory import FORMAT, RUN, read
from steploom.training.interruption import explained_interruption
from steploom.training.lock import only_training_in
from steploom.training.option_errors import flag
from steploom.training.output import check_output, create, discard, read_run, rewrite_run
from steploom.training.processes import is_main_process, others_end_silently
from steploom.training.sources import fingerprint, unchanged

if TYPE_CHECKING:
    from steploom.training.options import TrainOptions

__all__ = ["resume", "train"]

logger = logging.getLogger("steploom")


@others_end_silently()
def train(
    task: str,
    data: File | Sequence[File],
    out: File,
    *,
    valid: File | Sequence[File] | None = None,
    test: File | Sequence[File] | None = None,
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
        valid: files whose loss chooses the best weights; without it the task sets a part of the data aside.
        test: files that are scored at the end.
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
    out = path_of(out, "out")
    main = is_main_process()
    if main:
        check_output(out, force)
    parts = {"train": list(files_of(data))}
    for part, named in (("valid", valid), ("test", test)):
        parts[part] = [] if named is None or named in ([], ()) else list(files_of(named, part))
        if parts[part]:
            _refuse_setting_aside(checked, part)
    _check_files(parts)
    _check_repeated(kind, parts)
    prepared = kind.prepare(checked, parts["train"], parts["valid"], parts["test"])
    files = {part: [fingerprint(file) for file in chosen] for part, chosen in parts.items()}
    _warn_of_trained_on(files, prepared.overlap)
    network = first_weights(prepared.task, checked.seed)
    used: list[dict[str, Any]] = []
    with only_training_in(out / "last") if main else nullcontext():
        if main:
            # Reading the data may have taken minutes, in which another training may have come to its end here.
            check_output(out, force)
            run: dict[str, Any] = {
                "format": FORMAT,
                "steploom": _version(),
                "task": task,
                "options": checked.model_dump(mode="json"),
            }
            run["files"] = files
            run["further"] = {name: fingerprint(file) for name, file in checked.further_files().items()}
            used = files["train"]
            create(out, run, checked.model_dump(mode="json"))
        try:
            with explained_interruption(out, checked.cell):
                ended = run_training(
                    prepared, network, out, parts, began, resuming=False, progress=progress, trained_on=used
                )
        except BaseException:
            if main and not (out / "last" / "checkpoint.pt").exists():
                discard(out)
            raise
    return TrainedModel(prepared.task, network, out, *ended)


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
    path = path_of(path, "path")
    run = read_run(path)
    file = path / "last" / RUN
    main = is_main_process()
    with only_training_in(path / "last") if main else nullcontext():
        kind, options = _options_of_run(file, run)
        new = {"epochs": epochs, "max_minutes": max_minutes}
        given = {name: value for name, value in new.items() if value is not None}
        if given:
            options = kind.TrainOptions.checked({**options.model_dump(exclude_unset=True), **given})
        trust_cell(path, options.cell, cell)
        parts = {part: [unchanged(entry) for entry in run["files"][part]] for part in ("train", "valid", "test")}
        moved = {name: str(unchanged(entry)) for name, entry in run.get("further", {}).items()}
        if moved:
            options = kind.TrainOptions.checked({**options.model_dump(exclude_unset=True), **moved})
        longer = epochs is not None
        _refuse_complete(path, options, longer)
        _check_files(parts)
        prepared = kind.prepare(options, parts["train"], parts["valid"], parts["test"])
        network = first_weights(prepared.task, options.seed)
        if main and given:
            rewrite_run(path, {**run, "options": options.model_dump(mode="json")}, options.model_dump(mode="json"))
        plan: dict[str, Any] = {"resuming": True, "longer": longer, "progress": progress}
        with explained_interruption(path, options.cell):
            ended = run_training(prepared, network, path, parts, began, trained_on=run["files"]["train"], **plan)
    return TrainedModel(prepared.task, network, path, *ended)


def _options_of_run(file: Path, run: dict[str, Any]) -> tuple[type[Task], TrainOptions]:
    try:
        kind = task_class(run["task"])
        return kind, kind.TrainOptions.checked(kind.TrainOptions.unless_default(run["options"]), where=str(file))
    except OptionError as error:
        raise ModelDirectoryError(f"{error if str(file) in str(error) else f'{file}: {error}'}") from error


def _refuse_setting_aside(options: TrainOptions, part: str) -> None:
    for name in (f"{part}_share", f"{part}_every"):
        if name in type(options).model_fields and options.given(name):
            raise OptionError(f"{flag(name)}: there is a --{part}. Leave it out")


def _check_files(parts: dict[str, list[Path]]) -> None:
    for files in parts.values():
        for file in files:
            if file.is_dir():
                raise DataError("expected a file, found a directory", file=file)
            if not file.exists():
                raise DataError("there is no such file", file=file)
            check_rereadable(file)


# How messages call the parts.
_PARTS = {"train": "the training data", "valid": "--valid", "test": "--test"}


def _check_repeated(kind: type[Task], parts: dict[str, list[Path]]) -> None:
    for part, files in parts.items():
        found: set[Path] = set()
        for file in files:
            if file.resolve() in found and not kind.parallel:
                raise DataError(f"this file stands twice in {_PARTS[part]}", file=file, hint="Name each file once")
            found.add(file.resolve())


def _warn_of_trained_on(files: dict[str, list[dict[str, Any]]], overlap: Mapping[str, str]) -> None:
    learnt = {file["sha256"] for file in files["train"]}
    for part in ("valid", "test"):
        same = [file["path"] for file in files[part] if file["sha256"] in learnt]
        for path in same:
            logger.warning(f"{path}: the model is trained on this file too; as {_PARTS[part]} it says little")
        if part in overlap and not same:
            logger.warning(f"{_PARTS[part]}: {overlap[part]} stand in the training data too; they say little")


def _version() -> str:
    from importlib.metadata import version

    return version("steploom")


def _refuse_complete(path: Path, options: TrainOptions, longer: bool) -> None:
    from steploom.training.state import read_checkpoint

    kept = read_checkpoint(path / "last")
    if kept is None or not (path / "model.json").exists():
        return
    state = kept[0]
    trained = read(path).manifest.get("training", {})
    if trained.get("steps") != state.step or trained.get("stopped") == "interrupted":
        # The model is an earlier one, or was not scored and trained anew: the process was ended before it could be.
        return
    state.plan_again(options, longer)
    done = f"{counted(state.epoch, 'epoch')} {'is' if state.epoch == 1 else 'are'} done"
    why = {
        "epochs": f"{done}. Train longer with --epochs {2 * state.epoch}",
        "time": f"its {options.max_minutes} minutes are used up. Train longer with --max-minutes",
        "patience": f"the validation loss had stopped falling. Train on nevertheless with --epochs {options.epochs}",
    }
    if state.stopped in why:
        raise ModelDirectoryError(f"{path}: the training is complete, {why[state.stopped]}")
