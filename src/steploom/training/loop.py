"""The training loop as Lightning calls it: one step, one validation, and what is kept between them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from steploom.data.batches import Batches
from steploom.errors import SteploomError
from steploom.models.network import Carry, Loss, Network, reaching_all
from steploom.training.average import Average
from steploom.training.clock import Clock
from steploom.training.interruption import Interruption
from steploom.training.optimizers import clip_gradients, make_optimizer
from steploom.training.options import TrainOptions
from steploom.training.progress import Progress
from steploom.training.record import Record, shown
from steploom.training.schedules import learning_rate
from steploom.training.state import State, write_best, write_checkpoint
from steploom.training.together import Together

__all__ = ["Loop"]


class Loop(pl.LightningModule):
    """A `Network` in training.

    The place in training is `state`, not the counters of Lightning's Trainer: the trainer is started for the epochs
    that are left and asks `train_dataloader` for the batches that are left of the first one.

    Args:
        network: what is trained, in place.
        train: the training batches.
        valid: the batches that choose the best weights, or None.
        options: how to train.
        state: where to begin.
        tensors: what `write_checkpoint` was given at that place; empty at the beginning.
        folder: DIR/last.
        record: where losses are written.
        progress: where losses are shown.
        interruption: tells that the user wants to stop.
        describe: mean loss to the metrics that people read.
    """

    def __init__(
        self,
        network: Network,
        train: Batches,
        valid: Batches | None,
        options: TrainOptions,
        state: State,
        tensors: dict[str, Any],
        folder: Path,
        record: Record,
        progress: Progress,
        interruption: Interruption,
        describe: Callable[[float], dict[str, float]],
    ) -> None:
        super().__init__()
        self.network = network
        self.train_batches, self.valid_batches = train, valid
        self.options, self.state = options, state
        self.folder, self.record, self.bar = folder, record, progress
        self.interruption, self.describe = interruption, describe
        self.best: dict[str, Tensor] | None = None
        self._tensors = tensors
        self._carry: Carry | None = None
        self._valid_total, self._valid_weight = 0.0, 0.0
        self._valid_carry: Carry | None = None
        self._save, self._stop = False, ""

    def train_dataloader(self) -> _Numbered:
        """The batches from the present place to the end of its epoch."""
        return _Numbered(self, self.train_batches, training=True)

    def val_dataloader(self) -> _Numbered | list[Any]:
        """The validation batches; none when the user wants to stop now."""
        return _Numbered(self, self.valid_batches, training=False) if self.valid_batches is not None else []

    @property
    def leaving(self) -> bool:
        """True once the user's wish to stop was taken up: what is left to do is to save."""
        return self._stop == "interrupted"

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimiser; the schedules are applied in `on_train_batch_start`."""
        return make_optimizer(self.network.parameters(), self.options)

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clips by value and by norm, as the options say."""
        clip_gradients(self.network.parameters(), self.options.clip_value, self.options.clip_norm)

    def on_train_start(self) -> None:
        """Puts back what the checkpoint holds beside the weights."""
        # The trainer's own handler, set just before, would end the training within a step.
        self.interruption.listen()
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)
        self.together = Together(self.trainer, self.device)
        self.clock = Clock(self.options, self.state.seconds)
        if self._tensors:
            optimizer.load_state_dict(self._tensors["optimizer"])
            self.trainer.precision_plugin.load_state_dict(self._tensors["precision"])
            self._carry = self.together.dealt_out(self._tensors["carry"])
        self.average = Average(self.network.parameters(), self.options.average, self._tensors.get("average", ()))
        self._tensors = {}
        # Killed after the time was up: what the last steps gave is still to be validated. Of several processes each
        # has to make a step.
        self._only_validates = self.clock.was_up() and self.together.count == 1
        # float64 keeps the sum of a long epoch exact enough; one kind of device has none.
        kind = torch.float32 if self.device.type == "mps" else torch.float64
        self._sums = torch.tensor([self.state.total, self.state.weight], dtype=kind, device=self.device)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Sets the learning rate and the random state of this step."""
        state = self.state
        if self.together.count == 1:
            state.time_share = self.clock.share
        self._rate = learning_rate(self.options, state.step, len(self.train_batches), state.time_share, state.plateaus)
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self._rate
        seed = f"{self.options.seed} {self.state.step} {self.global_rank}".encode()
        torch.manual_seed(int.from_bytes(hashlib.blake2b(seed, digest_size=8).digest(), "little") >> 1)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor | None:
        """The loss of a step: the sum over all processes' terms by their number. None: there is no step."""
        if self._only_validates:
            return None
        result = self._loss(batch, self._carry)
        if self.train_batches.carries_state:
            self._carry = None if result.carry is None else tuple(s.detach() for s in result.carry)
        kind = self._sums.dtype
        weight = torch.as_tensor(result.weight, dtype=kind, device=self.device)
        told = result.total if result.told is None else result.told
        counted = torch.stack((told.detach().to(kind), weight))
        self._save, self._stop = self._wishes()
        if self.together.count > 1:
            counted = self._agreed(counted)
        self._sums += counted
        if self.device.type == "cpu" and not torch.isfinite(counted[0]):
            self._refuse_loss()
        weight = counted[1].to(result.total.dtype)
        loss = result.total * self.together.count / torch.where(weight > 0, weight, torch.ones_like(weight))
        if self.together.count > 1:
            loss = reaching_all(loss, self.network)
        return loss

    def _loss(self, batch: dict[str, Tensor], carry: Carry | None) -> Loss:
        if all(tensor.numel() == 0 for tensor in batch.values()):
            # More processes than examples in this batch: this one has no share in it.
            return Loss(reaching_all(torch.zeros((), device=self.device), self.network), 0.0)
        return self.network.loss(batch, carry)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Counts the step, then saves or stops where it is time to."""
        if self._only_validates:
            self._stop, self.trainer.should_stop = "time", True
            return
        state = self.state
        state.rates += self._rate
        state.step += 1
        state.index += 1
        self.average.update(state.step)
        if self.bar.due():
            total, weight = self._sums.tolist()
            self.bar.step(state.step, self.clock.seconds, total / weight if weight else math.nan)
        ended = state.index >= len(self.train_batches)
        if self._stop:
            self.trainer.should_stop = True
        if not ended and (self._save or self._stop):
            self._checkpoint()

    def on_validation_epoch_start(self) -> None:
        """Begins the sums of a validation, with the mean of the weights where one is kept."""
        self._valid_total, self._valid_weight, self._valid_carry = 0.0, 0.0, None
        self.clock.begins_validation()
        self.average.swap()

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Adds the loss of a validation batch."""
        result = self._loss(batch, self._valid_carry)
        if self.valid_batches is not None and self.valid_batches.carries_state:
            self._valid_carry = result.carry
        self._valid_total += float(result.total)
        self._valid_weight += float(result.weight)

    def on_validation_epoch_end(self) -> None:
        """Compares with the best validation so far and keeps the weights if they are better."""
        state = self.state
        if self.leaving:
            self.average.swap()
            return
        total, weight = self._sum_over_processes(self._valid_total, self._valid_weight)
        if weight == 0:
            raise SteploomError("the validation data holds nothing to score; give more of it, or other data")
        loss = total / weight
        self.clock.ends_validation()
        if state.validated(loss, state.index >= len(self.train_batches), self.options.decay_every):
            self._keep_best()
        self.average.swap()
        self._row(loss)

    def on_train_epoch_end(self) -> None:
        """Ends an epoch: the checkpoint, and whether to go on. Also called where training stops within one."""
        state = self.state
        state.stopped = self._stop
        if self.valid_batches is None and not self.leaving:
            with self.average.in_place():
                self._keep_best()
            self._row(None)
        if state.index >= len(self.train_batches):
            state.epoch, state.index = state.epoch + 1, 0
            self._carry = None
            self._sums.zero_()
            if not state.stopped:
                state.stopped = self.together.of_the_first(self._reason_to_stop())
            self.trainer.should_stop = self.trainer.should_stop or bool(state.stopped)
        self._checkpoint()

    def _reason_to_stop(self) -> str:
        options, state = self.options, self.state
        if self.interruption.asked and state.epoch < options.epochs:
            return "interrupted"
        if state.epoch >= options.epochs:
            return "epochs"
        if self.valid_batches is not None and options.patience and state.waited >= options.patience:
            return "patience"
        return "time" if self.clock.time_is_up() else ""

    def _wishes(self) -> tuple[bool, str]:
        stop = "interrupted" if self.interruption.asked else "time" if self.clock.time_is_up() else ""
        return self.clock.save_is_due(self.state.step + 1), stop

    def _agreed(self, counted: Tensor) -> Tensor:
        """Adds up over the processes; all follow the clock of the first one, and the interruption of any."""
        first = self.together.first
        wishes = [
            float(first and self._save),
            float(first and self._stop == "time"),
            float(self._stop == "interrupted"),
            self.clock.share if first else 0.0,
        ]
        both = torch.cat((counted, torch.tensor(wishes, dtype=counted.dtype, device=counted.device)))
        both = self.together.sum(both)
        save, time_up, interrupted, self.state.time_share = both[2:].tolist()
        self._save = save > 0
        self._stop = "interrupted" if interrupted else "time" if time_up else ""
        return both[:2]

    def _sum_over_processes(self, *values: float) -> list[float]:
        if self.together.count == 1:
            return list(values)
        summed = self.together.sum(torch.tensor(values, dtype=self._sums.dtype, device=self.device))
        return [float(value) for value in summed]

    def _refuse_loss(self) -> None:
        raise SteploomError(
            "the training loss is not a finite number any more "
            f"(epoch {self.state.epoch + 1}, step {self.state.step + 1}). "
            "A smaller --lr, or a smaller --clip-norm, usually helps"
        )

    def _keep_best(self) -> None:
        self.best = {name: value.detach().cpu().clone() for name, value in self.network.state_dict().items()}
        if self.trainer.is_global_zero:
            self.state.best_file = write_best(self.folder, self.state.step, self.best)

    def _row(self, valid_loss: float | None) -> None:
        state = self.state
        total, weight = self._sums.tolist()
        if not math.isfinite(total):
            self._refuse_loss()
        train_loss = total / weight if weight else math.nan
        part = state.index / len(self.train_batches)
        place = {"epoch": round(state.epoch + part, 4) if part < 1 else state.epoch + 1, "step": state.step}
        losses = {"train": train_loss} | ({} if valid_loss is None else {"valid": valid_loss})
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        measured = shown(losses, self.describe, self.network.one_loss)
        state.rows.append(place | measured | {"lr": rate, "seconds": round(self.clock.seconds, 2)})
        if valid_loss is not None:
            self.bar.validated(valid_loss, self.describe(valid_loss))
        self.record.row(state.rows)
        self.bar.step(state.step, self.clock.seconds, train_loss)

    def _checkpoint(self) -> None:
        self.clock.saved()
        self.state.seconds = self.clock.seconds
        self.state.total, self.state.weight = self._sums.tolist()
        if not math.isfinite(self.state.total):
            self._refuse_loss()
        carry = self.together.gathered(self._carry) if self.train_batches.carries_state else []
        if not self.trainer.is_global_zero:
            return
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)
        tensors = {
            "network": self.network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "precision": self.trainer.precision_plugin.state_dict(),
            "average": self.average.means,
            "carry": carry,
        }
        write_checkpoint(self.folder, self.state, tensors)


class _Numbered:
    """The batches of a `Batches` as Lightning wants them: an iterable, begun anew each epoch."""

    def __init__(self, loop: Loop, batches: Batches, training: bool) -> None:
        self._loop, self._batches, self._training = loop, batches, training

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        loop, state = self._loop, self._loop.state
        epoch, first = (state.epoch, state.index) if self._training else (0, 0)
        for index in range(first, len(self._batches)):
            if loop.leaving and not self._training:
                return
            yield self._batches.batch(epoch, index, loop.global_rank, loop.trainer.world_size)
