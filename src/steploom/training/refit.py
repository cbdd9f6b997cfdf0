"""Training anew on all rows, the validation ones too, as far as these found best."""

from __future__ import annotations

import torch

from steploom.data.batches import Batches
from steploom.errors import SteploomError
from steploom.models.network import Network
from steploom.training.fit import FitResult
from steploom.training.optimizers import clip_gradients, make_optimizer
from steploom.training.options import TrainOptions
from steploom.training.precision import autocast_dtype
from steploom.training.progress import Progress
from steploom.training.schedules import refit_rate
from steploom.training.surroundings import callers_own

__all__ = ["refit", "steps_of_refit"]


def steps_of_refit(result: FitResult, options: TrainOptions) -> int:
    """The steps in which `refit` goes as far as the training had gone when its weights were best.

    How far training goes is the sum of its learning rates, as they were under its schedule, the clock and plateaus: of
    weights found early, at a high rate, half as many steps along a falling rate would fall short. No more than the
    training made; 0 without validation.

    Args:
        result: of the training.
        options: of the training.
    """
    best = result.best_step or 0
    if not best:
        return 0
    return max(best, min(round(2 * result.best_rates / options.lr) + options.warmup, result.steps))


def refit(network: Network, batches: Batches, options: TrainOptions, progress: bool = True) -> None:
    """Trains `network` in place through one epoch of `batches`; on return it is on the CPU, in evaluation mode.

    It runs in this process, on one device of the kind that the options name and in their precision. The learning rate
    rises over `options.warmup` steps and falls to 0 along a cosine: no weights need be chosen. The result depends on
    the network, the batches and the options alone; the caller's random state and threads stay.

    Args:
        network: with fresh weights.
        batches: independent examples, which do not carry state.
        options: optimiser, learning rate, clipping, seed, device and precision.
        progress: a bar on standard error where that is a terminal.

    Raises:
        SteploomError: the loss is not finite any more; the weights are of no use then.
    """
    device = _device(options)
    kind = autocast_dtype(options, device)
    network.to(device).train()
    optimizer = make_optimizer(network.parameters(), options)
    scaler = torch.amp.GradScaler(device.type, enabled=kind is torch.float16)
    count = len(batches)
    total, weight = torch.zeros((), device=device), 0.0
    bar = Progress(progress, 1, count, None, title="training anew")
    with callers_own(), bar, torch.enable_grad():
        torch.manual_seed(options.seed)
        for step in range(count):
            for group in optimizer.param_groups:
                group["lr"] = refit_rate(options, step, count)
            batch = {name: values.to(device) for name, values in batches.batch(0, step).items()}
            with torch.autocast(device.type, dtype=kind, enabled=kind is not torch.float32):
                loss = network.loss(batch, None)
            counted = float(loss.weight)
            total, weight = total + loss.total.detach(), weight + counted
            # Elsewhere, to look at the loss of each step would keep the device waiting.
            if (device.type == "cpu" or step + 1 == count) and not torch.isfinite(total):
                raise SteploomError(f"the loss of training anew is not a finite number (step {step + 1})")
            optimizer.zero_grad()
            scaler.scale(loss.total / max(1.0, counted)).backward()  # type: ignore[no-untyped-call]
            scaler.unscale_(optimizer)
            clip_gradients(network.parameters(), options.clip_value, options.clip_norm)
            scaler.step(optimizer)
            scaler.update()
            if bar.due():
                bar.step(step + 1, 0.0, float(total) / max(1.0, weight))
    network.to("cpu").eval()
    if not all(bool(torch.isfinite(parameter).all()) for parameter in network.parameters()):
        raise SteploomError("the weights of training anew are not finite numbers")


def _device(options: TrainOptions) -> torch.device:
    """A device of the kind that Lightning takes for the training itself."""
    if options.accelerator != "cpu":
        for kind, there in (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available())):
            if there:
                return torch.device(kind)
    return torch.device("cpu")
