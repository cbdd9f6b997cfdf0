"""Train a network: from its batches to its best weights."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from steploom.data.batches import Batches
from steploom.errors import OptionError
from steploom.models.network import Network
from steploom.training.interruption import Interruption
from steploom.training.lock import only_training_in
from steploom.training.options import TrainOptions
from steploom.training.precision import lightning_precision
from steploom.training.processes import devices_and_nodes, group_taken_down, is_main_process, restored_environment
from steploom.training.progress import Progress
from steploom.training.quiet import quiet
from steploom.training.record import Record
from steploom.training.state import State, read_best, read_checkpoint
from steploom.training.surroundings import callers_own

__all__ = ["FitResult", "fit"]


@dataclass(frozen=True)
class FitResult:
    """How a training ended.

    Args:
        epochs: epochs finished.
        steps: optimiser steps.
        best_valid_loss: the loss of the weights that were kept, None without validation.
        best_step: the optimiser steps behind these weights, None without validation.
        best_rates: the sum of the learning rates of these steps, 0 without validation.
        stopped: why it ended.
        seconds: training time, resumes included.
        has_weights: False where it was interrupted before the first validation; the network then holds the last
            weights.
    """

    epochs: int
    steps: int
    best_valid_loss: float | None
    best_step: int | None
    best_rates: float
    stopped: Literal["epochs", "time", "patience", "interrupted"]
    seconds: float
    has_weights: bool


def fit(
    network: Network,
    train: Batches,
    valid: Batches | None,
    options: TrainOptions,
    directory: Path,
    describe: Callable[[float], dict[str, float]] = lambda loss: {},
    resume: bool = False,
    longer: bool = False,
    progress: bool = True,
) -> FitResult:
    """Trains `network` in place; on return it holds the best weights, on the CPU.

    Everything is written in `directory`: metrics.jsonl, train.log, curves.png and last/, from which `resume` goes on
    exactly where the last checkpoint was written. The global random state, the number of threads and the warning
    filters are the caller's again afterwards.

    Args:
        network: the network, with its first weights.
        train: the training batches.
        valid: the batches that choose the best weights; None keeps the last ones.
        options: how to train.
        directory: an existing folder.
        describe: the mean loss as metrics that people read.
        resume: go on from `directory`/last, if there is a checkpoint.
        longer: the user asks to train on beyond an early stop.
        progress: a bar on standard error where that is a terminal.

    Raises:
        SteploomError: the loss is not finite any more, or the options do not fit this machine.
        ModelDirectoryError: the checkpoint is damaged, or another process is training here.
    """
    folder = directory / "last"
    main = is_main_process()
    with ExitStack() as held:
        if main:
            held.enter_context(only_training_in(folder))
        state, tensors = (read_checkpoint(folder) if resume else None) or (State(), {})
        state.plan_again(options, longer)
        record = Record(directory, enabled=main)
        best = read_best(folder, state.best_file) if state.best_file else None
        if tensors:
            network.load_state_dict(tensors["network"])
        record.metrics(state.rows)
        if not state.stopped:
            show = progress and main
            state, trained = _run(network, train, valid, options, state, tensors, folder, record, describe, show)
            best = trained or best
        if best is not None:
            network.load_state_dict(best)
        record.curves(state.rows)
        record.log(f"stopped: {state.stopped} after {state.step} steps, {state.seconds:.1f} seconds")
    stopped: Any = state.stopped
    best_step = state.best_step if state.best_loss is not None else None
    found = state.best_loss, best_step, state.best_rates
    return FitResult(state.epoch, state.step, *found, stopped, state.seconds, best is not None)


def _run(
    network: Network,
    train: Batches,
    valid: Batches | None,
    options: TrainOptions,
    state: State,
    tensors: dict[str, Any],
    folder: Path,
    record: Record,
    describe: Callable[[float], dict[str, float]],
    show: bool,
) -> tuple[State, dict[str, torch.Tensor] | None]:
    import pytorch_lightning as pl
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    from steploom.training.loop import Loop

    devices, nodes = devices_and_nodes(options.devices, options.num_nodes)
    limit = None if options.max_minutes is None else 60 * options.max_minutes
    record.log(f"{'resumed at' if state.step else 'started at'} step {state.step}, {devices * nodes} process(es)")
    bar = Progress(show, options.epochs, len(train), limit)
    with callers_own(), restored_environment(), group_taken_down(), quiet(), Interruption() as interruption, bar:
        try:
            trainer = pl.Trainer(
                accelerator=options.accelerator,
                devices=devices,
                num_nodes=nodes,
                strategy="ddp" if devices * nodes > 1 else "auto",
                precision=lightning_precision(options),
                max_epochs=options.epochs - state.epoch,
                limit_val_batches=0 if valid is None else None,
                num_sanity_val_steps=0,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                use_distributed_sampler=False,
                inference_mode=False,
                default_root_dir=str(folder),
            )
        except (MisconfigurationException, RuntimeError, ValueError) as error:
            raise OptionError(f"training cannot start on this machine with these options: {error}") from error
        loop = Loop(network, train, valid, options, state, tensors, folder, record, bar, interruption, describe)
        try:
            trainer.fit(loop)
        except SystemExit:
            # The trainer ends the process at a second Ctrl-C; who called it decides about that.
            raise KeyboardInterrupt from None
        network.to("cpu")
    return loop.state, loop.best
