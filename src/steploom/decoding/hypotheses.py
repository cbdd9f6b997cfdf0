"""What decoding returns."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

__all__ = ["Hypothesis"]


@dataclass(frozen=True)
class Hypothesis:
    """One generated sequence.

    Args:
        tokens: the generated tokens, without the start and without the end token.
        log_prob: the model's natural log-probability of the tokens, and of the end token where one was generated. It is
            taken before temperature, top_k and top_p, with what is banned left out of the vocabulary.
        score: what ranks it: for beam search `log_prob` over length ** length_penalty, and the coverage of the source
            times coverage_penalty; else `log_prob`.
        ended: True where the end token was generated, False where the most tokens cut it.
        attention: where each step looked (steps, source time), the step of the end token included; None unless it was
            asked for. Two hypotheses are compared without it.
    """

    tokens: tuple[int, ...]
    log_prob: float
    score: float
    ended: bool
    attention: Tensor | None = field(default=None, compare=False, repr=False)
