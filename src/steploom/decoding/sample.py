"""Greedy decoding and sampling: one token a row and step."""

from __future__ import annotations

import torch
from torch import Tensor

from steploom.decoding.constraints import allowed_log_probs, narrow
from steploom.decoding.hypotheses import Hypothesis
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
) -> list[Hypothesis]:
    """One sequence a row, drawn (`settings.do_sample`) or greedy. Rows that have ended leave the batch.

    Args:
        model: the model.
        start: the last token read (rows,), not yet in `state`.
        state: the model's state before `start`.
        settings: the settings.
        history: the prompt, `start` included (rows, length), for the ban on repeated n-grams.
        generator: the source of random numbers; None: torch's global one.
    """
    rows = start.shape[0]
    running = torch.arange(rows, device=start.device)
    tokens, prompt = start, history.shape[1]
    log_prob = torch.zeros(rows, device=start.device)
    done: dict[int, Hypothesis] = {}

    def finish(which: Tensor, ended: bool) -> None:
        for row, index in zip(which.tolist(), running[which].tolist(), strict=True):
            made = history[row, prompt : -1 if ended else None].tolist()
            total = float(log_prob[row])
            done[index] = Hypothesis(tuple(made), total, total, ended)

    for generated in range(settings.max_new_tokens):
        logits, state = model.step(tokens, state)
        log_probs = allowed_log_probs(logits.float(), history, generated, settings)
        # A row in which everything is banned ends here.
        stuck = (log_probs == -torch.inf).all(-1)
        if stuck.any():
            finish(stuck.nonzero()[:, 0], ended=False)
            keep = (~stuck).nonzero()[:, 0]
            log_probs, state, history = log_probs[keep], model.select(state, keep), history[keep]
            running, log_prob = running[keep], log_prob[keep]
        if not running.numel():
            break
        if settings.do_sample:
            probabilities = narrow(log_probs, settings.temperature, settings.top_k, settings.top_p)
            tokens = torch.multinomial(probabilities, 1, generator=generator)[:, 0]
        else:
            tokens = log_probs.argmax(-1)
        log_prob = log_prob + log_probs.gather(1, tokens[:, None])[:, 0]
        history = torch.cat([history, tokens[:, None]], 1)
        if settings.end_token is None:
            continue
        ended = tokens == settings.end_token
        if ended.any():
            finish(ended.nonzero()[:, 0], ended=True)
            keep = (~ended).nonzero()[:, 0]
            tokens, state, history = tokens[keep], model.select(state, keep), history[keep]
            running, log_prob = running[keep], log_prob[keep]
        if not running.numel():
            break
    finish(torch.arange(running.numel(), device=start.device), ended=False)
    return [done[row] for row in range(rows)]
