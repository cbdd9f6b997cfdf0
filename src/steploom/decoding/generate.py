"""The one entry to decoding."""

from __future__ import annotations

import torch
from torch import Tensor

from steploom.decoding.beam import beam_search
from steploom.decoding.hypotheses import Hypothesis
from steploom.decoding.sample import sample
from steploom.decoding.settings import DecodingSettings
from steploom.decoding.step import State, StepModel

__all__ = ["generate"]


@torch.no_grad()
def generate(
    model: StepModel[State],
    start: Tensor,
    state: State,
    settings: DecodingSettings,
    *,
    history: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> list[list[Hypothesis]]:
    """Continues each start by greedy decoding, sampling or beam search, as the settings say.

    Args:
        model: anything with `step` and `select` (`StepModel`).
        start: the first token to read (starts,), not yet in `state`: the last token of a prompt, or the start token.
        state: the model's state before `start`.
        settings: how to decode.
        history: all tokens of the prompt, `start` the last (starts, length), for the ban on repeated n-grams.
        generator: the source of random numbers for sampling, on the device of `start`; None: torch's global one.

    Returns:
        for each start, `num_return_sequences` hypotheses: in the order drawn, or best first for a beam (fewer where
        fewer exist).
    """
    history = start[:, None] if history is None else history
    if settings.num_beams > 1:
        return beam_search(model, start, state, settings, history)
    count = settings.num_return_sequences
    if count > 1:
        rows = torch.arange(start.shape[0], device=start.device).repeat_interleave(count)
        start, state, history = start[rows], model.select(state, rows), history[rows]
    flat = sample(model, start, state, settings, history, generator)
    return [flat[i : i + count] for i in range(0, len(flat), count)]
