"""One training, from prepared data to a published and scored model."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steploom.data.counted import counted
from steploom.errors import SteploomError
from steploom.tasks.task import Prepared, Task
from steploom.training.command import command
from steploom.training.directory import publish
from steploom.training.processes import is_main_process

if TYPE_CHECKING:
    from torch import Tensor

    from steploom.models.network import Network
    from steploom.training.fit import FitResult
    from steploom.training.options import TrainOptions

__all__ = ["first_weights", "publish_model", "run_training"]

logger = logging.getLogger("steploom")


def run_training(
    prepared: Prepared[Any],
    network: Network,
    path: Path,
    parts: dict[str, list[Path]],
    began: float,
    resuming: bool,
    progress: bool,
    longer: bool = False,
    trained_on: Sequence[Mapping[str, Any]] = (),
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Trains, saves and scores a prepared task; on return the network has its final weights.

    Args:
        prepared: what the task made of the files.
        network: with its first weights.
        path: the model directory, made by `create`.
        parts: the files of the parts "train", "valid" and "test".
        began: when the user's command began, by `time.monotonic`.
        resuming: go on from the last checkpoint.
        progress: show a bar where there is a terminal.
        longer: train on beyond an early stop.
        trained_on: "bytes" and "sha256" of the training files, for model.json.

    Returns:
        what model.json says, and what `steploom train --json` prints.

    Raises:
        KeyboardInterrupt: it was interrupted; the message says how to go on.
        SystemExit: this process is not the first of several, and has nothing left to do.
    """
    from steploom.training.fit import fit

    task = prepared.task
    shown: dict[str, Any] = {"describe": task.describe, "progress": progress}
    plan: dict[str, Any] = {"resume": resuming, "longer": longer}
    result = fit(network, prepared.train, prepared.valid, task.options, path, **shown, **plan)
    if not is_main_process():
        raise SystemExit(0)
    network.eval()
    interrupted = result.stopped == "interrupted"
    if interrupted and not result.has_weights:
        raise KeyboardInterrupt(_how_to_go_on(path, result, task.options))
    files = {"trained_on": [{name: file[name] for name in ("bytes", "sha256")} for file in trained_on]}
    if interrupted:
        task.finish(network, prepared)
        publish_model(path, task, network, _describe(task, network, result) | files)
        raise KeyboardInterrupt(_how_to_go_on(path, result, task.options))
    unlearnt = [buffer.detach().clone() for buffer in network.buffers()]
    try:
        # What stands in the directory should the rest be cut short.
        task.finish(network, prepared)
        publish_model(path, task, network, _describe(task, network, replace(result, stopped="interrupted")) | files)
        # Before the validation part is learnt from: by `Task.finish` here, by training anew below.
        with _buffers(network, unlearnt):
            report = _validation_scores(prepared, network)
        anew = _train_anew(prepared, network, path, result, progress)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"the training has ended, but the model was not complete yet; {path} keeps the state of the training. "
            f"Go on with: {command('resume', path, cell=task.options.cell)}"
        ) from None
    manifest = _describe(task, network, result, anew) | files
    publish_model(path, task, network, manifest)
    try:
        report |= _scores(prepared, network, "test", prepared.test_source)
    except KeyboardInterrupt:
        score = command("evaluate", path, *(parts["test"] or [Path("DATA")]), cell=task.options.cell)
        raise KeyboardInterrupt(f"{path} holds the model; its scores are missing. Score it with: {score}") from None
    whole = {"task": task.name, "data": [str(file) for file in parts["train"]], **report}
    whole |= {"model": str(path), "epochs": result.epochs, "steps": result.steps, "stopped": result.stopped}
    whole |= {"refit": anew, "parameters": manifest["parameters"], "engine": manifest["engine"]}
    whole["seconds"] = round(time.monotonic() - began, 2)
    return manifest, whole


def first_weights(task: Task, seed: int) -> Network:
    """The task's network with the first weights of a seed; the caller's random state stays."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return task.build()


def _validation_scores(prepared: Prepared[Any], network: Network) -> dict[str, Any]:
    if prepared.valid is None:
        logger.info("nothing was set aside for validation: the last weights are the model, and they have no scores")
    return _scores(prepared, network, "validation", prepared.valid_source)


def _scores(prepared: Prepared[Any], network: Network, part: str, source: object | None) -> dict[str, Any]:
    if source is None:
        return {part: {"metrics": {}, "baselines": {}}}
    task = prepared.task
    scores = task.evaluate(network, source, task.EvaluateOptions.checked({}))
    return {part: {"metrics": scores.metrics, "baselines": scores.baselines}}


def _train_anew(
    prepared: Prepared[Any], network: Network, path: Path, result: FitResult, progress: bool
) -> dict[str, Any] | None:
    """Trains the network anew where the task gives batches for it; says for how long, None where it keeps its weights.

    Buffers of the network, which `Task.finish` may have set, stay.
    """
    import torch

    from steploom.training.record import Record
    from steploom.training.refit import refit, steps_of_refit

    task = prepared.task
    steps = steps_of_refit(result, task.options)
    fits_in = steps and _has_time(result, task.options, steps)
    batches = task.refit_batches(prepared, steps) if fits_in else None
    if batches is None:
        return None
    record, began = Record(path), time.monotonic()
    record.log(f"training anew on all rows, {counted(steps, 'step')}")
    logger.info(f"training anew on training and validation rows, {counted(steps, 'step')}")
    kept = [parameter.detach().clone() for parameter in network.parameters()]
    _set(network.parameters(), first_weights(task, task.options.seed).parameters())
    try:
        refit(network, batches, task.options, progress)
    except SteploomError as error:
        network.to(torch.device("cpu")).eval()
        _set(network.parameters(), kept)
        said = f"{error}; the weights found before are kept"
        logger.warning(said)
        record.log(said)
        return None
    record.log(f"trained anew: {counted(steps, 'step')}, {time.monotonic() - began:.1f} seconds")
    return {"steps": steps, "epochs": round(steps / len(prepared.train), 2)}


@contextmanager
def _buffers(network: Network, values: Iterable[Tensor]) -> Iterator[None]:
    """Within it, the network has these values in its buffers."""
    own = [buffer.detach().clone() for buffer in network.buffers()]
    _set(network.buffers(), values)
    try:
        yield
    finally:
        _set(network.buffers(), own)


def _set(tensors: Iterable[Tensor], values: Iterable[Tensor]) -> None:
    for tensor, value in zip(tensors, values, strict=True):
        tensor.data.copy_(value)


def _has_time(result: FitResult, options: TrainOptions, steps: int) -> bool:
    """Whether so many steps can still be made within `max_minutes`."""
    again = result.seconds * steps / max(1, result.steps)
    return options.max_minutes is None or result.seconds + again <= 60 * options.max_minutes


def _how_to_go_on(path: Path, result: FitResult, options: TrainOptions) -> str:
    kept = f"{path} holds the best weights so far and" if result.has_weights else f"{path}"
    return (
        f"stopped after {result.epochs} of {options.epochs} epochs (step {result.steps}). "
        f"{kept} keeps the state of the training. Go on with: {command('resume', path, cell=options.cell)}"
    )


def _describe(task: Task, network: Network, result: FitResult, anew: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "task": task.name,
        "architecture": {"network": type(network).__name__, **task.architecture()},
        "parameters": sum(p.numel() for p in network.parameters()),
        # A network without recurrent layers runs on none of the engines.
        "engine": _engine(network) or "pytorch",
        "training": {
            "epochs": result.epochs,
            "steps": result.steps,
            "stopped": result.stopped,
            "best_valid_loss": result.best_valid_loss,
            "seconds": round(result.seconds, 2),
            "refit": anew,
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


def publish_model(path: Path, task: Task, network: Network, manifest: dict[str, Any]) -> None:
    """Writes the model into its directory."""
    publish(path, manifest, task.options.model_dump(mode="json"), task.artefacts, network.state_dict())
