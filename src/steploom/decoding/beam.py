"""Beam search over a batch of starts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from steploom.decoding.constraints import allowed_log_probs
from steploom.decoding.hypotheses import Hypothesis
from steploom.decoding.settings import DecodingSettings
from steploom.decoding.step import State, StepModel

__all__ = ["beam_search"]


@dataclass
class _Ended:
    """The best hypotheses that have ended, `beams` a start, best first; empty places score -inf.

    Args:
        score, log_prob: (starts, beams).
        tokens: (starts, beams, most tokens), the end token left out.
        length: (starts, beams), tokens without the end token.
        by_end_token: (starts, beams), False where the greatest length cut the hypothesis.
    """

    score: Tensor
    log_prob: Tensor
    tokens: Tensor
    length: Tensor
    by_end_token: Tensor

    def merged(self, new: _Ended) -> _Ended:
        """The best of both."""
        beams = self.score.shape[1]
        score, order = torch.cat([self.score, new.score], 1).topk(beams, 1)
        width = self.tokens.shape[2]
        return _Ended(
            score,
            torch.cat([self.log_prob, new.log_prob], 1).gather(1, order),
            torch.cat([self.tokens, new.tokens], 1).gather(1, order[:, :, None].expand(-1, -1, width)),
            torch.cat([self.length, new.length], 1).gather(1, order),
            torch.cat([self.by_end_token, new.by_end_token], 1).gather(1, order),
        )

    def select(self, starts: Tensor) -> _Ended:
        """Some of the starts."""
        return _Ended(*(getattr(self, name)[starts] for name in self.__dataclass_fields__))

    def hypotheses(self, start: int, count: int) -> list[Hypothesis]:
        """The best `count` of one start, without empty places."""
        found = []
        for place in range(count):
            if self.score[start, place] == -torch.inf:
                break
            tokens = self.tokens[start, place, : int(self.length[start, place])].tolist()
            found.append(
                Hypothesis(
                    tuple(tokens),
                    float(self.log_prob[start, place]),
                    float(self.score[start, place]),
                    bool(self.by_end_token[start, place]),
                )
            )
        return found


def beam_search(
    model: StepModel[State], start: Tensor, state: State, settings: DecodingSettings, history: Tensor
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
    """
    starts, beams, limit = start.shape[0], settings.num_beams, settings.max_new_tokens
    device, prompt = start.device, history.shape[1]
    rows = torch.arange(starts, device=device).repeat_interleave(beams)
    state, tokens, history = model.select(state, rows), start[rows], history[rows]
    # All beams of a start are equal at first, so only the first one counts.
    log_prob = torch.full((starts, beams), -torch.inf, device=device)
    log_prob[:, 0] = 0.0
    ended = _no_hypotheses(starts, beams, limit, device)
    running = torch.arange(starts, device=device)
    results: dict[int, list[Hypothesis]] = {}

    for generated in range(limit):
        logits, state = model.step(tokens, state)
        allowed = allowed_log_probs(logits.float(), history, generated, settings)
        vocabulary = allowed.shape[1]
        total = (log_prob[:, :, None] + allowed.view(-1, beams, vocabulary)).flatten(1)
        # At most one extension of a beam ends it, so twice the beams always leave enough that run on.
        best, place = total.topk(min(2 * beams, total.shape[1]), 1)
        beam, token = place // vocabulary, place % vocabulary
        ends = torch.zeros_like(best, dtype=torch.bool) if settings.end_token is None else token == settings.end_token
        among_best = torch.arange(best.shape[1], device=device) < beams
        made = history.view(-1, beams, history.shape[1])[:, :, prompt:]
        stuck = (allowed == -torch.inf).all(-1).view(-1, beams)
        if stuck.any():
            # Where the bans leave no token at all, the hypothesis ends as it stands.
            score = (log_prob / float(max(generated, 1)) ** settings.length_penalty).masked_fill(~stuck, -torch.inf)
            ended = ended.merged(_candidates(score, log_prob, made, generated, limit, False))
        if ends.any():
            score = best / float(generated + 1) ** settings.length_penalty
            score = score.masked_fill(~(ends & among_best) | (best == -torch.inf), -torch.inf)
            ended = ended.merged(_candidates(score, best, _pick(made, beam), generated, limit, True))
        log_prob, order = best.masked_fill(ends, -torch.inf).topk(min(beams, best.shape[1]), 1)
        if log_prob.shape[1] < beams:
            # Fewer extensions than beams exist while a small vocabulary fans out: the rest are empty.
            missing = beams - log_prob.shape[1]
            log_prob = torch.nn.functional.pad(log_prob, (0, missing), value=-torch.inf)
            order = torch.nn.functional.pad(order, (0, missing))
        beam, token = beam.gather(1, order), token.gather(1, order)
        chosen = (beam + torch.arange(beam.shape[0], device=device)[:, None] * beams).flatten()
        state, tokens = model.select(state, chosen), token.flatten()
        history = torch.cat([history[chosen], tokens[:, None]], 1)

        stopped = _stopped(log_prob[:, 0], ended.score, generated + 1, settings)
        if generated + 1 == limit:
            break
        if stopped.any():
            for row in stopped.nonzero()[:, 0].tolist():
                results[int(running[row])] = ended.hypotheses(row, settings.num_return_sequences)
            keep = (~stopped).nonzero()[:, 0]
            if not keep.numel():
                return [results[row] for row in range(starts)]
            kept = (keep[:, None] * beams + torch.arange(beams, device=device)).flatten()
            state, tokens, history = model.select(state, kept), tokens[kept], history[kept]
            running, log_prob, ended = running[keep], log_prob[keep], ended.select(keep)

    made = history.view(-1, beams, history.shape[1])[:, :, prompt:]
    score = (log_prob / float(limit) ** settings.length_penalty).masked_fill(stopped[:, None], -torch.inf)
    ended = ended.merged(_candidates(score, log_prob, made, limit, limit, False))
    for row, index in enumerate(running.tolist()):
        results[index] = ended.hypotheses(row, settings.num_return_sequences)
    return [results[row] for row in range(starts)]


def _no_hypotheses(starts: int, beams: int, limit: int, device: torch.device) -> _Ended:
    nothing = torch.full((starts, beams), -torch.inf, device=device)
    length = torch.zeros(starts, beams, dtype=torch.long, device=device)
    return _Ended(
        nothing,
        nothing.clone(),
        torch.zeros(starts, beams, limit, dtype=torch.long, device=device),
        length,
        torch.zeros_like(length, dtype=torch.bool),
    )


def _pick(made: Tensor, beam: Tensor) -> Tensor:
    """The generated tokens (starts, candidates, length) of each candidate's beam."""
    return made.gather(1, beam[:, :, None].expand(-1, -1, made.shape[2]))


def _candidates(score: Tensor, log_prob: Tensor, made: Tensor, length: int, limit: int, by_end_token: bool) -> _Ended:
    return _Ended(
        score,
        log_prob,
        torch.nn.functional.pad(made, (0, limit - made.shape[2])),
        torch.full_like(score, length, dtype=torch.long),
        torch.full_like(score, by_end_token, dtype=torch.bool),
    )


def _stopped(best_running: Tensor, ended_scores: Tensor, length: int, settings: DecodingSettings) -> Tensor:
    """Which starts (starts,) need no further step.

    Args:
        best_running: log-probability of the best running hypothesis (starts,).
        ended_scores: scores of the ended ones (starts, beams), best first.
        length: tokens in the running ones.
        settings: the stopping rule.
    """
    worst = ended_scores[:, -1]
    full = worst > -torch.inf
    nothing_runs = best_running == -torch.inf
    if settings.early_stopping is True:
        return nothing_runs | full
    reach = length
    if settings.early_stopping == "never":
        # A log-probability only falls. A penalty above 0 lifts it most at the greatest length, another one at the next.
        reach = settings.max_new_tokens if settings.length_penalty > 0 else min(length + 1, settings.max_new_tokens)
    attainable = best_running / float(reach) ** settings.length_penalty
    hopeless: Tensor = full & (attainable <= worst)
    return nothing_runs | hopeless
