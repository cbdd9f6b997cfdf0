"""How well vectors tell the scores that people gave to pairs of sentences."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from steploom.data.text.sentence_pairs import SentenceColumns, SentencePairs, read_sentence_pairs
from steploom.errors import DataError
from steploom.models.skip_thought import SkipThought
from steploom.tasks.embed.ridge import fit_ridge, pair_features
from steploom.tasks.embed.vectors import bags_of, cosine, table_of, titles, unknown_share, vectors_of
from steploom.tasks.task import Evaluation, only_file

if TYPE_CHECKING:
    from steploom.tasks.embed.task import Embed, EvaluateOptions

__all__ = ["agreement", "ranks", "score_pairs"]

logger = logging.getLogger("steploom")

# Of a number that is written; cosines of vectors in single precision have no more.
_DIGITS = 6

Encode = Callable[[Sequence[str]], Tensor]


@dataclass(frozen=True)
class _Parts:
    """The pairs, and the least and the greatest score of their scale, () where nobody said it."""

    test: SentencePairs
    train: SentencePairs | None
    valid: SentencePairs | None
    scale: tuple[float, ...] = ()


def score_pairs(task: Embed, network: SkipThought, files: Sequence[Path], options: EvaluateOptions) -> Evaluation:
    """Pearson, Spearman and the squared error of the cosine, and of a ridge regression where training pairs are given.

    A cosine of 0 and 1 stand for the ends of the scale of the scores, for its squared error. They are never taken from
    the scores that are told: they come from the options, else from the training pairs, and else there is no such error.

    All baselines get the same regression and the same choice of its strength: the mean of a sentence's word vectors,
    which are the network's own, and encoders with fresh weights, whose figures are means over as many seeds.

    Raises:
        DataError: a file cannot be used, or has too few pairs.
        OptionError: there is no such column, or there are several files.
    """
    columns = SentenceColumns(options.first, options.second, options.score)
    test = read_sentence_pairs(only_file(files, "evaluate") or Path(), columns)
    train, valid = (
        None if p is None else read_sentence_pairs(p, columns) for p in (options.pairs_train, options.pairs_valid)
    )
    scale = options.score_range or (() if train is None else (min(train.scores), max(train.scores)))
    parts = _Parts(test, train, valid, scale)
    for found, file in ((parts.test, files[0]), (parts.train, options.pairs_train)):
        if found is not None and len(set(found.scores)) < 2:
            raise DataError(
                f"expected two different scores or more, found {len(set(found.scores))}",
                file=file,
                column=options.score,
            )
    if not scale:
        logger.info(
            "no squared error of the cosine: say the scale of the scores with --score-range, or give --pairs-train"
        )
    metrics, predicted = _figures(parts, lambda sentences: vectors_of(task, network, sentences))
    metrics |= {
        "pairs": float(len(test)),
        "unknown_share": unknown_share(task, [*test.first, *test.second]),
    }
    baselines = {"bag of words": _figures(parts, lambda sentences: bags_of(task, network, sentences))[0]}
    if options.random_encoders:
        baselines["random encoders"] = _random_encoders(task, parts, options.random_encoders)

    numbers = {name: [round(value, _DIGITS) for value in values.tolist()] for name, values in predicted.items()}
    names = titles((options.first, options.second, options.score), numbers)
    values = (test.first, test.second, test.scores, *numbers.values())
    rows = [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
    return Evaluation(metrics, baselines, table_of(rows).write)


def agreement(found: Tensor, scores: Tensor) -> dict[str, float]:
    """Pearson's and Spearman's correlation and the mean squared error of values (pairs,) with scores (pairs,)."""
    found, scores = found.double(), scores.double()
    return {
        "pearson": _correlation(found, scores),
        "spearman": _correlation(ranks(_rounded(found)), ranks(scores)),
        "mse": float((found - scores).square().mean()),
    }


def _rounded(values: Tensor) -> Tensor:
    """Values without their last digits: pairs of the same words, in other batches, differ by noise of the arithmetic,
    which must not rank them.
    """
    largest = values.abs().max().clamp(min=1e-300)
    return (values / largest).round(decimals=_DIGITS)


def ranks(values: Tensor) -> Tensor:
    """The rank of each of `values` (n,), from 1; equal ones share the mean of theirs."""
    _, places, counts = torch.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    mean: Tensor = last - (counts.double() - 1) / 2
    return mean[places]


def _correlation(first: Tensor, second: Tensor) -> float:
    """Pearson's; 0 where one of the two is constant."""
    first, second = first - first.mean(), second - second.mean()
    norm = math.sqrt(float(first.square().sum()) * float(second.square().sum()))
    return float((first * second).sum()) / norm if norm > 1e-12 else 0.0


def _figures(parts: _Parts, encode: Encode) -> tuple[dict[str, float], dict[str, Tensor]]:
    """The metrics of one way to make vectors, and what it said of each test pair."""
    scores = torch.tensor(parts.test.scores, dtype=torch.float64)
    test = [encode(side) for side in (parts.test.first, parts.test.second)]
    angle = cosine(*test)
    of_cosine = {f"{name}_cosine": value for name, value in agreement(angle, scores).items() if name != "mse"}
    if parts.scale:
        low, high = parts.scale
        of_cosine["mse_cosine"] = agreement(low + (high - low) * angle, scores)["mse"]
    if parts.train is None:
        return of_cosine, {"cosine": angle}
    valid = None if parts.valid is None else _features(parts.valid, encode)
    ridge = fit_ridge(*_features(parts.train, encode), valid)
    found = ridge(pair_features(*test))
    metrics = {f"{name}_ridge": value for name, value in agreement(found, scores).items()} | of_cosine
    return metrics | {"ridge_strength": ridge.strength}, {"cosine": angle, "predicted": found}


def _features(pairs: SentencePairs, encode: Encode) -> tuple[Tensor, Tensor]:
    return pair_features(encode(pairs.first), encode(pairs.second)), torch.tensor(pairs.scores, dtype=torch.float64)


def _random_encoders(task: Embed, parts: _Parts, count: int) -> dict[str, float]:
    """The mean figures of encoders with the first weights of other seeds than the trained one's."""
    found = []
    for number in range(count):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(task.options.seed + 1 + number)
            network = task.build().eval()
        found.append(_figures(parts, lambda sentences, network=network: vectors_of(task, network, sentences))[0])  # type: ignore[misc]
    return {name: sum(figures[name] for figures in found) / count for name in found[0]}
