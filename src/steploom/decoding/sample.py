"""Greedy decoding and sampling: one token a row and step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from steploom.decoding.constraints import allowed_log_probs, narrow
from steploom.decoding.hypotheses import Hypothesis
from steploom.decoding.looks import Looks
from steploom.decoding.settings import DecodingSettings
from steploom.decoding.step import State, StepModel

__all__ = ["sample"]


@dataclass
class _Running:
    """The rows that run on.

    Args:
        numbers: which rows they are (rows,).
        history: the prompt and what was generated (rows, length).
        prompt: tokens of the prompt.
        log_prob: of what was generated (rows,).
        looks: where they looked.
        most: the most tokens of each row (rows,).
        source_lengths: of the sources (rows,), or None.
    """

    numbers: Tensor
    history: Tensor
    prompt: int
    log_prob: Tensor
    looks: Looks
    most: Tensor
    source_lengths: Tensor | None

    def results(self, which: Tensor, ended: bool) -> dict[int, Hypothesis]:
        """The hypotheses of the rows that `which` (rows,) is true for; `ended`: their last token is the end token."""
        found = {}
        for row in which.nonzero()[:, 0].tolist():
            made = self.history[row, self.prompt : -1 if ended else None].tolist()
            total = float(self.log_prob[row])
            length = None if self.source_lengths is None else int(self.source_lengths[row])
            seen = None if self.looks.steps is None else self.looks.steps[row, :, :length].clone()
            found[int(self.numbers[row])] = Hypothesis(tuple(made), total, total, ended, seen)
        return found

    def select(self, keep: Tensor) -> None:
        """Only the rows at the places `keep` run on."""
        self.numbers, self.history, self.log_prob = self.numbers[keep], self.history[keep], self.log_prob[keep]
        self.looks, self.most = self.looks.select(keep), self.most[keep]
        self.source_lengths = None if self.source_lengths is None else self.source_lengths[keep]


def sample(
    model: StepModel[State],
    start: Tensor,
    state: State,
    settings: DecodingSettings,
    history: Tensor,
    generator: torch.Generator | None,
    most: Tensor,
    source_lengths: Tensor | None,
) -> list[Hypothesis]:
    """One sequence a row, drawn (`settings.do_sample`) or greedy. Rows that have ended leave the batch.

    Args:
        model: the model.
        start: the last token read (rows,), not yet in `state`.
        state: the model's state before `start`.
        settings: the settings.
        history: the prompt, `start` included (rows, length), for the ban on repeated n-grams.
        generator: the source of random numbers; None: torch's global one.
        most: the most tokens of each row (rows,), 1 or more.
        source_lengths: of the sources that the model looks at (rows,), or None.
    """
    rows, device = start.shape[0], start.device
    numbers, log_prob = torch.arange(rows, device=device), torch.zeros(rows, device=device)
    looks = Looks.wanted(settings)
    running = _Running(numbers, history, history.shape[1], log_prob, looks, most, source_lengths)
    tokens = start
    done: dict[int, Hypothesis] = {}

    for generated in range(int(most.max())):
        logits, state = model.step(tokens, state)
        log_probs = allowed_log_probs(logits, running.history, generated, settings)
        # A row in which everything is banned ends here.
        stuck = log_probs.amax(-1) == -torch.inf
        if stuck.any():
            done |= running.results(stuck, ended=False)
            keep = (~stuck).nonzero()[:, 0]
            running.select(keep)
            log_probs, state = log_probs[keep], model.select(state, keep)
            if not keep.numel():
                break
        running.looks = running.looks.with_step(model, state)
        if settings.do_sample:
            probabilities = narrow(log_probs, settings.temperature, settings.top_k, settings.top_p)
            tokens = torch.multinomial(probabilities, 1, generator=generator)[:, 0]
        else:
            tokens = log_probs.argmax(-1)
        running.log_prob = running.log_prob + log_probs.gather(1, tokens[:, None])[:, 0]
        running.history = torch.cat([running.history, tokens[:, None]], 1)
        ended = tokens == (-1 if settings.end_token is None else settings.end_token)
        over = ended | (running.most == generated + 1)
        if over.any():
            done |= running.results(ended, ended=True) | running.results(over & ~ended, ended=False)
            keep = (~over).nonzero()[:, 0]
            running.select(keep)
            tokens, state = tokens[keep], model.select(state, keep)
            if not keep.numel():
                break
    return [done[row] for row in range(rows)]
