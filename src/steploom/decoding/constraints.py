"""What may not be generated, and how a distribution is narrowed before drawing. Pure functions of logits."""

from __future__ import annotations

import torch
from torch import Tensor

from steploom.decoding.settings import DecodingSettings

__all__ = ["allowed_log_probs", "ban_repeated_ngrams", "narrow"]


def allowed_log_probs(logits: Tensor, history: Tensor, generated: int, settings: DecodingSettings) -> Tensor:
    """The log-probabilities (rows, vocabulary) of the next token, with everything banned at -inf.

    Args:
        logits: (rows, vocabulary) of the next token.
        history: tokens so far, prompt and generated ones (rows, length).
        generated: how many tokens of the history were generated.
        settings: the bans.

    A row in which everything is banned is -inf throughout. The result has the type of the logits, float32 at least.
    """
    logits = logits.float() if logits.dtype.itemsize < 4 else logits
    bans_end = settings.end_token is not None and generated < settings.min_new_tokens
    if settings.banned_tokens or bans_end or settings.no_repeat_ngram_size:
        logits = logits.clone()
    if settings.banned_tokens:
        logits[:, list(settings.banned_tokens)] = -torch.inf
    if bans_end:
        logits[:, settings.end_token] = -torch.inf
    if settings.no_repeat_ngram_size:
        ban_repeated_ngrams(logits, history, settings.no_repeat_ngram_size)
    log_probs = torch.log_softmax(logits, -1)
    # log_softmax of a row of -inf is NaN; such a row has nothing to say and stays at -inf.
    nothing = logits.amax(-1) == -torch.inf
    return log_probs.masked_fill_(nothing[:, None], -torch.inf) if nothing.any() else log_probs


def ban_repeated_ngrams(logits: Tensor, history: Tensor, size: int) -> None:
    """Sets to -inf, in place, each token that would make an n-gram of `size` tokens stand twice in a row's history.

    Args:
        logits: (rows, vocabulary).
        history: (rows, length) tokens.
        size: n, at least 1.
    """
    if history.shape[1] < size:
        return
    ngrams = history.unfold(1, size, 1)
    last = history[:, history.shape[1] - size + 1 :]
    repeats = (ngrams[:, :, :-1] == last[:, None, :]).all(-1)
    row, place = repeats.nonzero(as_tuple=True)
    logits[row, ngrams[row, place, -1]] = -torch.inf


def narrow(log_probs: Tensor, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """Probabilities (rows, vocabulary) to draw from: first the temperature, then the top k, then the nucleus `top_p`.

    Args:
        log_probs: (rows, vocabulary), unnormalised or not, at least one finite value a row.
        temperature: above 0.
        top_k: tokens that stay; 0: all. Tokens that tie with the last one stay too.
        top_p: mass that stays, in (0, 1]; the token that crosses it stays.
    """
    # From the largest on: a tiny temperature must not turn all of a row into minus infinity.
    scaled = (log_probs - log_probs.amax(-1, keepdim=True)) / max(temperature, 1e-6)
    if 0 < top_k < scaled.shape[-1]:
        least = scaled.topk(top_k, -1).values[:, -1:]
        scaled = scaled.masked_fill(scaled < least, -torch.inf)
    probabilities = torch.softmax(scaled, -1)
    if top_p < 1:
        ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
        outside = ordered.cumsum(-1) - ordered >= top_p
        probabilities = probabilities.scatter(-1, order, ordered.masked_fill(outside, 0.0))
        probabilities = probabilities / probabilities.sum(-1, keepdim=True)
    return probabilities
