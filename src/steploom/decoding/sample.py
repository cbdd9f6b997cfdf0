"""Greedy decoding and sampling: one token a row and step."""

from __future__ import annotations

import torch
from torch import Tensor

from steploom.decoding.constraints import allowed_log_probs, narrow
from steploom.decoding.hypotheses import Hypothesis
from steploom.decoding.looks import Looks
from steploom.decoding.settings import DecodingSettings
from steploom.decoding.step import State, StepModel

__all__ = ["sample"]


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
    rows = start.shape[0]
    running = torch.arange(rows, device=start.device)
    tokens, prompt = start, history.shape[1]
    log_prob = torch.zeros(rows, device=start.device)
    looks = Looks.wanted(settings)
    done: dict[int, Hypothesis] = {}

    def finish(which: Tensor, ended: bool) -> None:
        for row, index in zip(which.tolist(), running[which].tolist(), strict=True):
            made = history[row, prompt : -1 if ended else None].tolist()
            total = float(log_prob[row])
            length = None if source_lengths is None else int(source_lengths[index])
            seen = None if looks.steps is None else looks.steps[row, :, :length].clone()
            done[index] = Hypothesis(tuple(made), total, total, ended, seen)

    for generated in range(int(most.max())):
        logits, state = model.step(tokens, state)
        log_probs = allowed_log_probs(logits, history, generated, settings)
        # A row in which everything is banned ends here.
        stuck = log_probs.amax(-1) == -torch.inf
        if stuck.any():
            finish(stuck.nonzero()[:, 0], ended=False)
            keep = (~stuck).nonzero()[:, 0]
            log_probs, state, history = log_probs[keep], model.select(state, keep), history[keep]
            running, log_prob, most, looks = running[keep], log_prob[keep], most[keep], looks.select(keep)
        if not running.numel():
            break
        looks = looks.with_step(model, state)
        if settings.do_sample:
            probabilities = narrow(log_probs, settings.temperature, settings.top_k, settings.top_p)
            tokens = torch.multinomial(probabilities, 1, generator=generator)[:, 0]
        else:
            tokens = log_probs.argmax(-1)
        log_prob = log_prob + log_probs.gather(1, tokens[:, None])[:, 0]
        history = torch.cat([history, tokens[:, None]], 1)
        ended = tokens == (-1 if settings.end_token is None else settings.end_token)
        over = ended | (most == generated + 1)
        if over.any():
            finish(ended.nonzero()[:, 0], ended=True)
            finish((over & ~ended).nonzero()[:, 0], ended=False)
            keep = (~over).nonzero()[:, 0]
            tokens, state, history = tokens[keep], model.select(state, keep), history[keep]
            running, log_prob, most, looks = running[keep], log_prob[keep], most[keep], looks.select(keep)
        if not running.numel():
            break
    return [done[row] for row in range(rows)]
