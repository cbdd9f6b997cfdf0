"""How well a language model predicts a text: every token counts exactly once."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from steploom.data.batches import in_order
from steploom.data.text.streams import LineBatches
from steploom.data.text.vocabulary import Vocabulary
from steploom.errors import DataError
from steploom.models.language_model import LanguageModel
from steploom.models.output_loss import IGNORED
from steploom.tasks.generate.text import Part
from steploom.tasks.perplexity import perplexity, unigram_log_probs
from steploom.tasks.task import Evaluation

__all__ = ["log_probs_of_text", "score"]

logger = logging.getLogger("steploom")

_STEPS = 1024
_LINES = 64


def score(network: LanguageModel, vocabulary: Vocabulary, counts: Sequence[int], part: object) -> Evaluation:
    """Perplexity a token, nats and bits a character, and the same of the unigram.

    A running text is read from beginning to end in one go, with the state carried, so no figure depends on a batch
    size. A line counts its tokens and its end; as characters, its code points and one for its end.

    Args:
        network: the model.
        vocabulary: its tokens.
        counts: how often each token was a target in training.
        part: the text.

    Raises:
        DataError: `part` is no text.
    """
    if not isinstance(part, Part):
        raise DataError(f"expected a text, found {type(part).__name__}")
    numbers = part.encode(vocabulary)
    baseline = unigram_log_probs(counts, vocabulary)
    if part.lines is None:
        total = float(log_probs_of_text(network, vocabulary, numbers[0]).double().sum())
        targets = torch.tensor(numbers[0])
    else:
        total = _lines_log_prob(network, vocabulary, numbers)
        ends = [vocabulary.ends[1]] * len(numbers)
        targets = torch.tensor([n for piece in numbers for n in piece] + ends)
    characters = _count_characters(part, vocabulary)
    metrics = _figures(-total, len(targets), characters)
    metrics |= {"tokens": float(len(targets)), "characters": float(characters)}
    unknown = sum(vocabulary.count_unknown(piece) for piece in part.pieces)
    if unknown:
        logger.info(f"unknown to the model and counted as <unk>: {unknown:,} of {len(targets):,} tokens")
    metrics["unknown"] = float(unknown)
    unigram = _figures(-float(baseline[targets].sum()), len(targets), characters)
    return Evaluation(metrics, {"unigram": unigram})


def log_probs_of_text(network: LanguageModel, vocabulary: Vocabulary, numbers: Sequence[int]) -> Tensor:
    """The log-probability of each token (tokens,) of a running text after all before it."""
    if not numbers:
        return torch.empty(0)
    target = torch.tensor(numbers, device=network.device)[:, None]
    before = torch.cat([target.new_full((1, 1), vocabulary.start), target[:-1]])
    found, state = [], None
    for wanted, read in zip(torch.split(target, _STEPS), torch.split(before, _STEPS), strict=True):
        log_probs, state = network.log_probs(read, wanted, state)
        found.append(log_probs[:, 0])
    return torch.cat(found)


def _count_characters(part: Part, vocabulary: Vocabulary) -> int:
    """Code points of a text, each line end one. Of words, with one space between two and none around a line."""
    pieces = part.pieces
    if vocabulary.unit == "words":
        pieces = tuple("\n".join(" ".join(line.split()) for line in piece.split("\n")) for piece in pieces)
    return sum(len(piece) for piece in pieces) + (0 if part.lines is None else len(pieces))


def _lines_log_prob(network: LanguageModel, vocabulary: Vocabulary, numbers: list[list[int]]) -> float:
    batches = LineBatches(numbers, *vocabulary.ends, _LINES)
    total = 0.0
    for batch in in_order(batches, network.device):
        target = batch["target"]
        counts = target != IGNORED
        log_probs, _ = network.log_probs(batch["input"], target.masked_fill(~counts, 0))
        total += float(log_probs[counts].double().sum())
    return total


def _figures(nats: float, tokens: int, characters: int) -> dict[str, float]:
    per_character = nats / max(characters, 1)
    return {
        "perplexity": perplexity(nats / tokens),
        "nats_per_char": per_character,
        "bits_per_char": per_character / math.log(2),
    }
