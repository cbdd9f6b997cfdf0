"""The training loop as Lightning calls it: one step, one validation, and what is kept between them."""

from __future__ import annotations

import hashlib
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
from steploom.training.loss_sum import LossSum, check_finite
from steploom.training.optimizers import clip_gradients, make_optimizer
from steploom.training.options import TrainOptions
from steploom.training.progress import Progress
from steploom.training.record import Record, shown
from steploom.training.schedules import learning_rate
from steploom.training.state import State, write_best, write_checkpoint
from steploom.training.together import Together
from steploom.training.wishes import Wishes

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
        self._valid_carry: Carry | None = None

    def train_dataloader(self) -> _Numbered:
        """The batches from the present place to the end of its epoch."""
        return _Numbered(self, self.train_batches, training=True)

    def val_dataloader(self) -> _Numbered | list[Any]:
        """The validation batches; none when the user wants to stop now."""
        return _Numbered(self, self.valid_batches, training=False) if self.valid_batches is not None else []

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
        self.wishes = Wishes(self.options, self.clock, self.interruption, self.together)
        if self._tensors:
            optimizer.load_state_dict(self._tensors["optimizer"])
            self.trainer.precision_plugin.load_state_dict(self._tensors["precision"])
            self._carry = self.together.dealt_out(self._tensors["carry"])
        self.average = Average(self.network.parameters(), self.options.average, self._tensors.get("average", ()))
        self._tensors = {}
        # Killed after the time was up: what the last steps gave is still to be validated. Of several processes each
        # has to make a step.
        self._only_validates = self.clock.was_up() and self.together.count == 1
        self.losses = LossSum(self.device, self.state.total, self.state.weight)

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
        # A total that is no number any more makes what is reported none either, and is found in all processes.
        reported = result.total if result.reported is None else result.reported + 0.0 * result.total.detach()
        counted = self.losses.terms(reported, result.weight)
        self.wishes.ask(self.state.step + 1, self.state.index + 1 >= len(self.train_batches))
        if self.together.count > 1:
            counted, self.state.time_share = self.wishes.agree(counted)
        self.losses.add(counted)
        if self.device.type == "cpu":
            check_finite(float(counted[0]), self.state)
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
            self.wishes.stop, self.trainer.should_stop = "time", True
            return
        state = self.state
        state.rates += self._rate
        state.step += 1
        state.index += 1
        self.average.update(state.step)
        if self.bar.due():
            self.bar.step(state.step, self.clock.seconds, self.losses.mean())
        ended = state.index >= len(self.train_batches)
        if self.wishes.stop:
            self.trainer.should_stop = True
        if not ended and (self.wishes.save or self.wishes.stop):
            self._checkpoint()

    def on_validation_epoch_start(self) -> None:
        """Begins the sums of a validation, with the mean of the weights where one is kept."""
        # They choose the weights: to be exact on any device, they are summed on the CPU.
        self._valid_losses, self._valid_carry = LossSum(torch.device("cpu")), None
        self.clock.begins_validation()
        self.average.swap()

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Adds the loss of a validation batch."""
        result = self._loss(batch, self._valid_carry)
        if self.valid_batches is not None and self.valid_batches.carries_state:
            self._valid_carry = result.carry
        self._valid_losses.add(self._valid_losses.terms(result.total, result.weight))

    def on_validation_epoch_end(self) -> None:
        """Compares with the best validation so far and keeps the weights if they are better."""
        state = self.state
        if self.wishes.leaving:
            self.average.swap()
            return
        total, weight = self.together.sum(self._valid_losses.sums).tolist()
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
        state.stopped = self.wishes.stop
        if self.valid_batches is None and not self.wishes.leaving:
            with self.average.in_place():
                self._keep_best()
            self._row(None)
        if state.index >= len(self.train_batches):
            state.epoch, state.index = state.epoch + 1, 0
            self._carry = None
            self.losses = LossSum(self.device)
            if not state.stopped:
                state.stopped = self.wishes.reason_to_end(state, self.valid_batches is not None)
            self.trainer.should_stop = self.trainer.should_stop or bool(state.stopped)
        self._checkpoint()

    def _keep_best(self) -> None:
        self.best = {name: value.detach().cpu().clone() for name, value in self.network.state_dict().items()}
        if self.trainer.is_global_zero:
            self.state.best_file = write_best(self.folder, self.state.step, self.best)

    def _row(self, valid_loss: float | None) -> None:
        state = self.state
        check_finite(self.losses.values()[0], state)
        train_loss = self.losses.mean()
        part = state.index / len(self.train_batches)
        place = {"epoch": round(state.epoch + part, 4) if part < 1 else state.epoch + 1, "step": state.step}
        losses = {"train": train_loss} | ({} if valid_loss is None else {"valid": valid_loss})
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        measured = shown(losses, self.describe, self.network.comparable_losses)
        state.rows.append(place | measured | {"lr": rate, "seconds": round(self.clock.seconds, 2)})
        if valid_loss is not None:
            self.bar.validated(valid_loss, self.describe(valid_loss))
        self.record.row(state.rows)
        self.bar.step(state.step, self.clock.seconds, train_loss)

    def _checkpoint(self) -> None:
        self.clock.saved()
        self.state.seconds = self.clock.seconds
        self.state.total, self.state.weight = self.losses.values()
        check_finite(self.state.total, self.state)
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
            if not self._training and loop.wishes.leaving:
                return
            yield self._batches.batch(epoch, index, loop.global_rank, loop.trainer.world_size)
