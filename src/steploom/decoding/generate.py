"""The one entry to decoding."""

from __future__ import annotations

import torch
from torch import Tensor

from steploom.decoding.beam import beam_search
from steploom.decoding.hypotheses import Hypothesis
from steploom.decoding.sample import sample
from steploom.decoding.settings import DecodingSettings
from steploom.decoding.step import State, StepModel
from steploom.errors import OptionError

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
    most_tokens: Tensor | None = None,
    source_lengths: Tensor | None = None,
) -> list[list[Hypothesis]]:
    """Continues each start by greedy decoding, sampling or beam search, as the settings say.

    Args:
        model: anything with `step` and `select` (`StepModel`).
        start: the first token to read (starts,), not yet in `state`: the last token of a prompt, or the start token.
        state: the model's state before `start`.
        settings: how to decode.
        history: all tokens of the prompt, `start` the last (starts, length), for the ban on repeated n-grams.
        generator: the source of random numbers for sampling, on the device of `start`; None: torch's global one.
        most_tokens: the most tokens of each start, int64 (starts,), 1 or more, where they differ; `max_new_tokens`
            holds besides.
        source_lengths: for a model with attention, the length of each start's source (starts,): positions behind it are
            padding, which needs no coverage and is cut off the weights that are kept. None: there is no padding.

    Returns:
        for each start, `num_return_sequences` hypotheses: in the order drawn, or best first for a beam (fewer where
        fewer exist).
    """
    if not len(start):
        return []
    history = start[:, None] if history is None else history
    most = torch.full_like(start, settings.max_new_tokens)
    if most_tokens is not None:
        if most_tokens.shape != start.shape or bool((most_tokens < 1).any()):
            raise OptionError("most_tokens: expected a whole number of at least 1 for each start")
        most = torch.minimum(most, most_tokens.to(most))
    if source_lengths is not None:
        source_lengths = source_lengths.to(start.device)
    if settings.num_beams > 1:
        return beam_search(model, start, state, settings, history, most, source_lengths)
    count = settings.num_return_sequences
    if count > 1:
        rows = torch.arange(start.shape[0], device=start.device).repeat_interleave(count)
        start, state, history, most = start[rows], model.select(state, rows), history[rows], most[rows]
        source_lengths = None if source_lengths is None else source_lengths[rows]
    flat = sample(model, start, state, settings, history, generator, most, source_lengths)
    return [flat[i : i + count] for i in range(0, len(flat), count)]
