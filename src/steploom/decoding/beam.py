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


@dataclass
class _Running:
    """The starts whose search goes on, each with its hypotheses: rows of the batch, side by side.

    Args:
        settings: the settings.
        prompt: tokens of the prompt.
        starts: which ones they are (starts,).
        log_prob: of the hypotheses (starts, beams); -inf: there is no such hypothesis.
        history: the prompt and what was generated (rows, length).
        looks: where the hypotheses looked, a row each.
        most: the most tokens of each start (starts,).
        source_lengths: of the sources (starts,), or None.
        ended: the hypotheses that have ended.
    """

    settings: DecodingSettings
    prompt: int
    starts: Tensor
    log_prob: Tensor
    history: Tensor
    looks: Looks
    most: Tensor
    source_lengths: Tensor | None
    ended: Ended

    @property
    def made(self) -> Tensor:
        """The generated tokens (starts, beams, length)."""
        return self.history.view(*self.log_prob.shape, -1)[:, :, self.prompt :]

    def end(self, which: Tensor, log_prob: Tensor, tokens: Tensor, looks: Looks, by_end_token: bool = False) -> None:
        """Candidates that end join the ended ones.

        Args:
            which: those that do (starts, candidates).
            log_prob: (starts, candidates).
            tokens: (starts, candidates, length), without the end token.
            looks: a row for each candidate.
            by_end_token: whether the end token comes behind the tokens.
        """
        candidates, length = log_prob.shape[1], tokens.shape[2] + by_end_token
        score = rank(log_prob, length, self.settings, looks.coverage(candidates), self.source_lengths)
        score = score.masked_fill(~which, -torch.inf)
        new = Ended.of(score, log_prob, tokens, by_end_token, looks.weights(candidates))
        self.ended = self.ended.best_of_both(new)

    def extend(self, found: _Extensions) -> Tensor:
        """The found extensions run on; which rows they extend."""
        rows = _rows(found.beam, self.log_prob.shape[1])
        self.log_prob, self.looks = found.log_prob, self.looks.select(rows)
        self.history = torch.cat([self.history[rows], found.token.view(-1, 1)], 1)
        return rows

    def stopped(self) -> Tensor:
        """Which starts (starts,) need no further step; see `DecodingSettings.early_stopping`."""
        settings, (_, beams, length) = self.settings, self.made.shape
        nothing_runs = self.log_prob[:, 0] == -torch.inf
        if settings.early_stopping is True:
            return nothing_runs | (self.ended.score[:, -1] > -torch.inf)
        proof = settings.early_stopping == "never"
        least = self.ended.score[:, settings.num_return_sequences - 1 if proof else -1]
        coverage = self.looks.coverage(beams)
        bound = attainable(self.log_prob, length, self.most, settings, coverage, self.source_lengths, proof)
        return nothing_runs | ((least > -torch.inf) & (bound.amax(-1) <= least))

    def results(self, which: Tensor) -> dict[int, list[Hypothesis]]:
        """The best ended hypotheses of the starts that `which` (starts,) is true for."""
        found = {}
        for place in which.nonzero()[:, 0].tolist():
            length = None if self.source_lengths is None else int(self.source_lengths[place])
            count = self.settings.num_return_sequences
            found[int(self.starts[place])] = self.ended.hypotheses(place, count, length)
        return found

    def select(self, keep: Tensor) -> Tensor:
        """Only the starts at the places `keep` run on; which rows are theirs."""
        beams = self.log_prob.shape[1]
        rows = (keep[:, None] * beams + torch.arange(beams, device=keep.device)).flatten()
        self.starts, self.log_prob, self.most = self.starts[keep], self.log_prob[keep], self.most[keep]
        self.history, self.looks, self.ended = self.history[rows], self.looks.select(rows), self.ended.select(keep)
        self.source_lengths = None if self.source_lengths is None else self.source_lengths[keep]
        return rows


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
    starts, beams, prompt = start.shape[0], settings.num_beams, history.shape[1]
    every = torch.arange(starts, device=start.device)
    rows = every.repeat_interleave(beams)
    state, tokens, history = model.select(state, rows), start[rows], history[rows]
    # All beams of a start are equal at first, so only the first one counts.
    log_prob = torch.full((starts, beams), -torch.inf, device=start.device)
    nothing = log_prob.clone()
    log_prob[:, 0] = 0.0
    ended = Ended.of(nothing, nothing, history.view(starts, beams, -1)[:, :, prompt:], False, None)
    looks = Looks.wanted(settings)
    running = _Running(settings, prompt, every, log_prob, history, looks, most, source_lengths, ended)
    results: dict[int, list[Hypothesis]] = {}

    for generated in range(int(most.max())):
        logits, state = model.step(tokens, state)
        allowed = allowed_log_probs(logits, running.history, generated, settings)
        running.log_prob = running.log_prob.to(allowed.dtype)
        # Where the bans leave no token at all, the hypothesis ends as it stands.
        stuck = (allowed.amax(-1) == -torch.inf).view(-1, beams) & (running.log_prob > -torch.inf)
        if stuck.any():
            running.end(stuck, running.log_prob, running.made, running.looks)
        running.looks = running.looks.with_step(model, state)

        # At most one extension of a beam ends it, so twice the beams always leave enough that run on.
        found = _Extensions.best(running.log_prob, allowed, 2 * beams)
        ends = found.token == (-1 if settings.end_token is None else settings.end_token)
        new = ends & (found.log_prob > -torch.inf)
        new[:, beams:] = False
        if new.any():
            looks = running.looks.select(_rows(found.beam, beams))
            running.end(new, found.log_prob, _pick(running.made, found.beam), looks, by_end_token=True)

        rows = running.extend(found.running(ends, beams))
        stopped = running.stopped()
        cut = (running.most == generated + 1) & ~stopped
        if cut.any():
            running.end(cut[:, None], running.log_prob, running.made, running.looks)
            stopped = stopped | cut
        if stopped.any():
            results |= running.results(stopped)
            keep = (~stopped).nonzero()[:, 0]
            if not keep.numel():
                break
            rows = rows[running.select(keep)]
        tokens, state = running.history[:, -1].contiguous(), model.select(state, rows)
    return [results[row] for row in range(starts)]


def _rows(beam: Tensor, beams: int) -> Tensor:
    """The rows of the batch (starts * candidates,) that the beams of each start (starts, candidates) stand in."""
    return (beam + torch.arange(len(beam), device=beam.device)[:, None] * beams).flatten()


def _pick(made: Tensor, beam: Tensor) -> Tensor:
    """The generated tokens (starts, candidates, length) of each candidate's beam."""
    return made.gather(1, beam[:, :, None].expand(-1, -1, made.shape[2]))
