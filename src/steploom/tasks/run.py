"""One training, from prepared data to a published and scored model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steploom.tasks.task import Prepared, Task
from steploom.training.directory import publish
from steploom.training.processes import is_main_process

if TYPE_CHECKING:
    from steploom.models.network import Network
    from steploom.training.fit import FitResult
    from steploom.training.options import TrainOptions

__all__ = ["publish_model", "run_training"]


def run_training(
    prepared: Prepared[Any],
    network: Network,
    path: Path,
    parts: dict[str, list[Path]],
    began: float,
    resuming: bool,
    progress: bool,
    longer: bool = False,
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
    return manifest, whole


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
    publish_model(path, task, network, _describe(task, network, result))
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


def publish_model(path: Path, task: Task, network: Network, manifest: dict[str, Any]) -> None:
    """Writes the model into its directory."""
    publish(path, manifest, task.options.model_dump(mode="json"), task.artefacts, network.state_dict())
