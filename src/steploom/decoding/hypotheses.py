"""What decoding returns."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Hypothesis"]


@dataclass(frozen=True)
class Hypothesis:
    """One generated sequence.

    Args:
        tokens: the generated tokens, without the start and without the end token.
        log_prob: the model's natural log-probability of the tokens, and of the end token where one was generated. It is
            taken before temperature, top_k and top_p, with what is banned left out of the vocabulary.
        score: what ranks it: `log_prob` over length ** length_penalty for beam search, else `log_prob`.
        ended: True where the end token was generated, False where `max_new_tokens` cut it.
    """

    tokens: tuple[int, ...]
    log_prob: float
    score: float
    ended: bool
