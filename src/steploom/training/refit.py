"""Training anew on all rows, the validation ones too, as far as these found best."""

from __future__ import annotations

import math

import torch

from steploom.data.batches import Batches
from steploom.models.network import Network
from steploom.training.fit import FitResult
from steploom.training.optimizers import clip_gradients, make_optimizer
from steploom.training.options import TrainOptions
from steploom.training.schedules import learning_rate

__all__ = ["refit", "steps_of_refit"]


def steps_of_refit(result: FitResult, options: TrainOptions, epoch_steps: int) -> int:
    """The steps in which `refit` goes as far as the training had gone when its weights were best.

    How far training goes is the sum of its learning rates: of weights found early, at a high rate, half as many steps
    along a falling rate would fall short. No more than the training made; 0 without validation.

    Args:
        result: of the training.
        options: of the training.
        epoch_steps: the training's steps in an epoch.
    """
    best = result.best_step or 0
    if not best:
        return 0
    gone = sum(learning_rate(options, step, epoch_steps) for step in range(best)) / options.lr
    return max(best, min(round(2 * gone) + options.warmup, result.steps))


def refit(network: Network, batches: Batches, options: TrainOptions) -> None:
    """Trains `network` in place through one epoch of `batches`, in this process, and leaves it in evaluation mode.

    The learning rate rises over `options.warmup` steps and falls to 0 along a cosine: no weights need be chosen.
    The result depends on the network, the batches and the options alone; the caller's random state and threads stay.

    Args:
        network: with fresh weights.
        batches: independent examples, which do not carry state.
        options: optimiser, learning rate, clipping and seed.
    """
    optimizer = make_optimizer(network.parameters(), options)
    count = len(batches)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(options.seed)
        network.train()
        for step in range(count):
            rising = min(1.0, (step + 1) / options.warmup) if options.warmup else 1.0
            for group in optimizer.param_groups:
                group["lr"] = options.lr * rising * 0.5 * (1 + math.cos(math.pi * step / count))
            loss = network.loss(batches.batch(0, step), None)
            optimizer.zero_grad()
            (loss.total / max(1.0, float(loss.weight))).backward()  # type: ignore[no-untyped-call]
            clip_gradients(network.parameters(), options.clip_value, options.clip_norm)
            optimizer.step()
    network.eval()
