"""Beam search over a batch of starts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from steploom.decoding.constraints import allowed_log_probs
from steploom.decoding.ended import Ended
from steploom.decoding.hypotheses import Hypothesis
from steploom.decoding.looks import Looks
from steploom.decoding.ranking import attainable, rank
from steploom.decoding.settings import DecodingSettings
from steploom.decoding.step import State, StepModel

__all__ = ["beam_search"]


@dataclass
class _Extensions:
    """The best extensions of each start's hypotheses by one token (starts, candidates), best first.

    Args:
        log_prob: their log-probabilities; -inf: there is no such extension.
        beam: which hypothesis of the start each one extends.
        token: by which token.
    """

    log_prob: Tensor
    beam: Tensor
    token: Tensor

    @classmethod
    def best(cls, log_prob: Tensor, allowed: Tensor, count: int) -> _Extensions:
        """The best `count` of all; fewer where a small vocabulary has fewer.

        Args:
            log_prob: of the hypotheses (starts, beams).
            allowed: log-probabilities of the next token (starts * beams, vocabulary).
            count: how many.
        """
        starts, beams = log_prob.shape
        vocabulary = allowed.shape[1]
        total = (allowed.view(starts, beams, vocabulary) + log_prob[:, :, None]).flatten(1)
        best, place = total.topk(min(count, total.shape[1]), 1)
        return cls(best, place // vocabulary, place % vocabulary)

    def running(self, ends: Tensor, beams: int) -> _Extensions:
        """The best `beams` of those that do not end, filled up with empty ones."""
        best, order = self.log_prob.masked_fill(ends, -torch.inf).topk(min(beams, self.log_prob.shape[1]), 1)
        missing = beams - best.shape[1]
        if missing:
            best = torch.nn.functional.pad(best, (0, missing), value=-torch.inf)
            order = torch.nn.functional.pad(order, (0, missing))
        return _Extensions(best, self.beam.gather(1, order), self.token.gather(1, order))


def beam_search(
    model: StepModel[State],
    start: Tensor,
    state: State,
    settings: DecodingSettings,
    history: Tensor,
    most: Tensor,
    source_lengths: Tensor | None,
) -> list[list[Hypothesis]]:
    """The `num_return_sequences` best hypotheses of each start, best first (fewer where fewer exist).

    At each step every running hypothesis is extended by every token. Of all extensions of a start, those among the best
    `num_beams` that end it join the ended ones; the best `num_beams` of the others run on. A start whose search has
    stopped leaves the batch, so it costs nothing and nothing of the others reaches it.

    Args:
        model: the model.
        start: the last token read (starts,), not yet in `state`.
        state: the model's state before `start`.
        settings: the settings.
        history: the prompt, `start` included (starts, length), for the ban on repeated n-grams.
        most: the most tokens of each start (starts,), 1 or more.
        source_lengths: of the sources that the model looks at (starts,), or None.
    """
    starts, beams, device, prompt = start.shape[0], settings.num_beams, start.device, history.shape[1]
    rows = torch.arange(starts, device=device).repeat_interleave(beams)
    state, tokens, history = model.select(state, rows), start[rows], history[rows]
    looks = Looks.wanted(settings)
    # All beams of a start are equal at first, so only the first one counts.
    log_prob = torch.full((starts, beams), -torch.inf, device=device)
    log_prob[:, 0] = 0.0
    nothing = log_prob.new_full((starts, beams), -torch.inf)
    ended = Ended.of(nothing, nothing, history.view(starts, beams, -1)[:, :, prompt:], False, None)
    running = torch.arange(starts, device=device)
    results: dict[int, list[Hypothesis]] = {}

    for generated in range(int(most.max())):
        logits, state = model.step(tokens, state)
        allowed = allowed_log_probs(logits, history, generated, settings)
        log_prob = log_prob.to(allowed.dtype)
        made = history.view(len(running), beams, -1)[:, :, prompt:]
        stuck = (allowed.amax(-1) == -torch.inf).view(-1, beams) & (log_prob > -torch.inf)
        if stuck.any():
            # Where the bans leave no token at all, the hypothesis ends as it stands.
            score = rank(log_prob, generated, settings, looks.coverage(beams), source_lengths)
            score = score.masked_fill(~stuck, -torch.inf)
            ended = ended.best_of_both(Ended.of(score, log_prob, made, False, looks.weights(beams)))
        looks = looks.with_step(model, state)

        # At most one extension of a beam ends it, so twice the beams always leave enough that run on.
        found = _Extensions.best(log_prob, allowed, 2 * beams)
        ends = found.token == (-1 if settings.end_token is None else settings.end_token)
        new = ends & (found.log_prob > -torch.inf)
        new[:, beams:] = False
        if new.any():
            seen = looks.select(_rows(found.beam, beams))
            score = rank(found.log_prob, generated + 1, settings, seen.coverage(ends.shape[1]), source_lengths)
            score = score.masked_fill(~new, -torch.inf)
            tokens_of = _pick(made, found.beam)
            ended = ended.best_of_both(Ended.of(score, found.log_prob, tokens_of, True, seen.weights(ends.shape[1])))

        found = found.running(ends, beams)
        chosen = _rows(found.beam, beams)
        log_prob, tokens, looks = found.log_prob, found.token.flatten(), looks.select(chosen)
        history = torch.cat([history[chosen], tokens[:, None]], 1)
        stopped = _stopped(log_prob, ended, generated + 1, most, settings, looks.coverage(beams), source_lengths)
        cut = (most == generated + 1) & ~stopped
        if cut.any():
            score = rank(log_prob, generated + 1, settings, looks.coverage(beams), source_lengths)
            score = score.masked_fill(~cut[:, None], -torch.inf)
            made = history.view(len(running), beams, -1)[:, :, prompt:]
            ended = ended.best_of_both(Ended.of(score, log_prob, made, False, looks.weights(beams)))
            stopped = stopped | cut
        if stopped.any():
            for row in stopped.nonzero()[:, 0].tolist():
                length = None if source_lengths is None else int(source_lengths[row])
                results[int(running[row])] = ended.hypotheses(row, settings.num_return_sequences, length)
            keep = (~stopped).nonzero()[:, 0]
            if not keep.numel():
                break
            kept = (keep[:, None] * beams + torch.arange(beams, device=device)).flatten()
            chosen, tokens, history, looks = chosen[kept], tokens[kept], history[kept], looks.select(kept)
            running, log_prob, ended, most = running[keep], log_prob[keep], ended.select(keep), most[keep]
            source_lengths = None if source_lengths is None else source_lengths[keep]
        state = model.select(state, chosen)
    return [results[row] for row in range(starts)]


def _rows(beam: Tensor, beams: int) -> Tensor:
    """The rows of the batch (starts * candidates,) that the beams of each start (starts, candidates) stand in."""
    return (beam + torch.arange(len(beam), device=beam.device)[:, None] * beams).flatten()


def _pick(made: Tensor, beam: Tensor) -> Tensor:
    """The generated tokens (starts, candidates, length) of each candidate's beam."""
    return made.gather(1, beam[:, :, None].expand(-1, -1, made.shape[2]))


def _stopped(
    log_prob: Tensor,
    ended: Ended,
    length: int,
    most: Tensor,
    settings: DecodingSettings,
    coverage: Tensor | None,
    source_lengths: Tensor | None,
) -> Tensor:
    """Which starts (starts,) need no further step; see `DecodingSettings.early_stopping`."""
    nothing_runs = log_prob[:, 0] == -torch.inf
    if settings.early_stopping is True:
        return nothing_runs | (ended.score[:, -1] > -torch.inf)
    proof = settings.early_stopping == "never"
    least = ended.score[:, settings.num_return_sequences - 1 if proof else -1]
    reachable = attainable(log_prob, length, most, settings, coverage, source_lengths, proof).amax(-1)
    return nothing_runs | ((least > -torch.inf) & (reachable <= least))
