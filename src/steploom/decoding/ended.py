"""The hypotheses of a beam search that have ended."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from steploom.decoding.hypotheses import Hypothesis

__all__ = ["Ended"]


@dataclass
class Ended:
    """The best hypotheses that have ended, some for each start, best first; empty places score -inf.

    Args:
        score, log_prob: (starts, places).
        tokens: (starts, places, most tokens so far), the end token left out.
        length: (starts, places), tokens without the end token.
        by_end_token: (starts, places), False where the greatest length cut the hypothesis.
        attention: (starts, places, steps so far, source time), or None.
    """

    score: Tensor
    log_prob: Tensor
    tokens: Tensor
    length: Tensor
    by_end_token: Tensor
    attention: Tensor | None = None

    @classmethod
    def of(cls, score: Tensor, log_prob: Tensor, tokens: Tensor, by_end_token: bool, attention: Tensor | None) -> Ended:
        """Hypotheses of one length, as they end at one step."""
        length = torch.full_like(score, tokens.shape[2], dtype=torch.long)
        by_end = torch.full_like(length, by_end_token, dtype=torch.bool)
        return cls(score, log_prob, tokens, length, by_end, attention)

    def best_of_both(self, new: Ended) -> Ended:
        """As many as before, the best of the old and of the new ones, which are as long as the old ones at least."""
        score, order = torch.cat([self.score, new.score], 1).topk(self.score.shape[1], 1)

        def chosen(old: Tensor, fresh: Tensor) -> Tensor:
            both = torch.cat([old, fresh], 1)
            return both[torch.arange(len(both), device=both.device)[:, None], order]

        attention = None
        if new.attention is not None:
            old = self.attention
            if old is None:
                old = new.attention.new_zeros(*self.score.shape, *new.attention.shape[2:])
            steps = new.attention.shape[2] - old.shape[2]
            attention = chosen(pad(old, (0, 0, 0, steps)), new.attention)
        return Ended(
            score,
            chosen(self.log_prob, new.log_prob),
            chosen(pad(self.tokens, (0, new.tokens.shape[2] - self.tokens.shape[2])), new.tokens),
            chosen(self.length, new.length),
            chosen(self.by_end_token, new.by_end_token),
            attention,
        )

    def select(self, starts: Tensor) -> Ended:
        """Some of the starts."""
        attention = None if self.attention is None else self.attention[starts]
        return Ended(
            self.score[starts],
            self.log_prob[starts],
            self.tokens[starts],
            self.length[starts],
            self.by_end_token[starts],
            attention,
        )

    def hypotheses(self, start: int, count: int, source_length: int | None) -> list[Hypothesis]:
        """The best `count` of one start, without empty places; the attention is cut to the source's length."""
        found = []
        for place in range(min(count, self.score.shape[1])):
            if self.score[start, place] == -torch.inf:
                break
            length, by_end_token = int(self.length[start, place]), bool(self.by_end_token[start, place])
            attention = None
            if self.attention is not None:
                attention = self.attention[start, place, : length + by_end_token, :source_length].clone()
            found.append(
                Hypothesis(
                    tuple(self.tokens[start, place, :length].tolist()),
                    float(self.log_prob[start, place]),
                    float(self.score[start, place]),
                    by_end_token,
                    attention,
                )
            )
        return found
