"""How good translations are: BLEU, chrF and perplexity, beside copying the source."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from steploom.data.batches import in_order
from steploom.data.text.parallel import Pairs
from steploom.data.text.parallel_batches import ParallelBatches
from steploom.errors import DataError
from steploom.models.encoder_decoder import EncoderDecoder
from steploom.models.output_loss import IGNORED
from steploom.tasks.perplexity import perplexity
from steploom.tasks.prediction_file import write_lines
from steploom.tasks.task import Evaluation
from steploom.tasks.translate.decode import settings_of, translate_lines

if TYPE_CHECKING:
    from steploom.tasks.translate.task import Translate

__all__ = ["bleu_and_chrf", "looks_tokenised", "score"]

logger = logging.getLogger("steploom")

_PAIRS = 64


def score(task: Translate, network: EncoderDecoder, pairs: object, options: Any) -> Evaluation:
    """BLEU and chrF of the translations, and the perplexity of the references under teacher forcing.

    Args:
        task: with its vocabularies.
        network: the model.
        pairs: sources and references.
        options: how to decode, and BLEU's tokenisation.

    Raises:
        DataError: `pairs` is none.
    """
    if not isinstance(pairs, Pairs):
        raise DataError(f"expected pairs of lines, found {type(pairs).__name__}")
    languages = task.languages
    references = [languages.read(line) for line in pairs.target]
    tokenize = options.tokenize
    if tokenize == "auto":
        tokenize = "none" if looks_tokenised(references) else "13a"
    logger.info(
        f"BLEU by sacrebleu, tokenize={tokenize}"
        + (": punctuation stands apart in the references already" if tokenize == "none" else "")
    )
    found = translate_lines(task, network, pairs.source, settings_of(task, options), options.batch_size)
    texts = [languages.text(line.hypotheses[0].tokens) if line.hypotheses else "" for line in found]
    metrics = bleu_and_chrf(texts, references, tokenize)
    nats, tokens = _teacher_forced(task, network, pairs)
    metrics |= {"perplexity": perplexity(nats / tokens), "sentences": float(len(pairs))}
    metrics["tokens"] = float(tokens)
    if languages.target.unknown is not None:
        metrics["unknown"] = float(sum(languages.target.count_unknown(line) for line in references))
    copied = bleu_and_chrf([languages.read(line) for line in pairs.source], references, tokenize)

    def write(path: Path) -> None:
        rows = zip(pairs.source, pairs.target, texts, strict=True)
        objects = ({"source": source, "reference": reference, "text": text} for source, reference, text in rows)
        write_lines(path, (f"{text}\n" for text in texts), objects)

    return Evaluation(metrics, {"copying": copied}, write)


def bleu_and_chrf(texts: Sequence[str], references: Sequence[str], tokenize: str) -> dict[str, float]:
    """The two scores of a corpus, from 0 to 100, by sacrebleu (Post 2018).

    Args:
        texts, references: line by line.
        tokenize: sacrebleu's name of the tokenisation that BLEU counts words by.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    # force: sacrebleu would warn of tokenised text, which was looked for already.
    bleu = BLEU(tokenize=tokenize, force=True).corpus_score(list(texts), [list(references)])
    return {"bleu": bleu.score, "chrf": CHRF().corpus_score(list(texts), [list(references)]).score}


def looks_tokenised(lines: Sequence[str]) -> bool:
    """Whether most of the lines that end in a full stop, a question or an exclamation mark have a space before it."""
    ends = [line.rstrip() for line in lines if line.rstrip().endswith((".", "?", "!"))]
    return 2 * sum(line[-2:-1] == " " for line in ends) > len(ends)


@torch.no_grad()
def _teacher_forced(task: Translate, network: EncoderDecoder, pairs: Pairs) -> tuple[float, int]:
    """Nats of all reference tokens and end marks, and how many they are."""
    languages, most = task.languages, task.options.max_length
    sources = [languages.source_tokens(line, most) for line in pairs.source]
    targets = [languages.target_tokens(line) for line in pairs.target]
    batches = ParallelBatches(sources, targets, languages.begin, languages.end, _PAIRS)
    nats = 0.0
    for batch in in_order(batches, network.device):
        counts = batch["target"] != IGNORED
        nats -= float(network.log_probs(batch)[counts].double().sum())
    return nats, batches.tokens
