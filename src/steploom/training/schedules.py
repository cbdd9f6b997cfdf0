"""The learning rate as a function of the place in training. Nothing here has a state, so that resuming is exact."""

from __future__ import annotations

import math

from steploom.training.options import TrainOptions

__all__ = ["learning_rate", "refit_rate"]


def learning_rate(
    options: TrainOptions, step: int, epoch_steps: int, time_share: float = 0.0, plateaus: int = 0
) -> float:
    """The learning rate of a step.

    Args:
        options: `lr`, `schedule`, `warmup`, `decay`, `decay_every`, `decay_after`, `epochs`.
        step: optimiser steps done before this one.
        epoch_steps: steps in an epoch.
        time_share: the part of `max_minutes` that has passed, 0 to 1. Where the time ends before the steps do, at the
            speed so far, cosine and linear, which know their end, fall as in a training of so many steps fewer: one
            that the clock ends has then annealed like one that ran through.
        plateaus: how often the validation loss has stopped falling (schedule plateau).
    """
    return options.lr * _rising(options, step) * _factor(options, step, epoch_steps, time_share, plateaus)


def refit_rate(options: TrainOptions, step: int, steps: int) -> float:
    """The learning rate of a step of training anew: up over `warmup` steps, along a cosine from the first step on.

    Unlike in `learning_rate` the cosine falls in the warm-up too: `steps_of_refit` counts on that.

    Args:
        options: `lr` and `warmup`; the schedule is not asked.
        step: optimiser steps done before this one.
        steps: all of them.
    """
    return options.lr * _rising(options, step) * 0.5 * (1 + math.cos(math.pi * step / steps))


def _rising(options: TrainOptions, step: int) -> float:
    return min(1.0, (step + 1) / options.warmup) if options.warmup else 1.0


def _factor(options: TrainOptions, step: int, epoch_steps: int, time_share: float, plateaus: int) -> float:
    # The warm-up counts in neither: the time passes in it too, so the clock is asked for the step at which it ends.
    total: float = options.epochs * epoch_steps
    if time_share:
        total = min(total, step / time_share)
    done = (step - options.warmup) / max(1.0, total - options.warmup)
    done = min(1.0, max(0.0, done))
    decays = max(0.0, (step / epoch_steps - options.decay_after) / options.decay_every)
    match options.schedule:
        case "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * done))
        case "linear":
            return 1.0 - done
        case "exponential":
            return float(options.decay**decays)
        case "step":
            return float(options.decay ** math.floor(decays))
        case "plateau":
            return float(options.decay**plateaus)
        case "constant":
            return 1.0
