"""What the task `embed` makes of running text: documents, vocabulary, batches; and how well neighbours are told."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch

from steploom.data.batches import in_order
from steploom.data.counted import counted
from steploom.data.text.learn_vocabulary import learn_vocabulary
from steploom.data.text.neighbours import NeighbourBatches
from steploom.data.text.sentence_text import Documents, read_documents
from steploom.data.text.vocabulary import Vocabulary
from steploom.errors import DataError
from steploom.models.output_loss import linear_log_probs
from steploom.models.skip_thought import SkipThought
from steploom.tasks.overlap import overlap
from steploom.tasks.perplexity import perplexity, unigram_log_probs
from steploom.tasks.task import Evaluation, Prepared, named_files

if TYPE_CHECKING:
    from steploom.tasks.embed.task import Embed, EmbedOptions

__all__ = ["prepare_text", "read_text_files", "score_text"]

logger = logging.getLogger("steploom")

E = TypeVar("E", bound="Embed")

_SENTENCES = 128


def read_text_files(paths: Sequence[Path], options: EmbedOptions) -> Documents:
    """The documents of some files; at least one sentence has a neighbour.

    Raises:
        DataError: a file cannot be used, or no sentence has a neighbour.
    """
    documents = read_documents(paths, options.normalise, options.split_sentences)
    if all(len(document) < 2 for document in documents):
        found = sum(len(document) for document in documents)
        raise DataError(
            f"no sentence has a neighbour: {found:,} {'sentence' if found == 1 else 'sentences, each a document'}",
            file=paths[0],
            hint="Give running text, a sentence a line (or --split-sentences); a blank line ends a document",
        )
    return documents


def prepare_text(
    kind: type[E], options: EmbedOptions, train: Sequence[Path], valid: Sequence[Path], test: Sequence[Path]
) -> Prepared[E]:
    """Reads all files, sets the validation part aside, learns the vocabulary, makes the batches of a task `kind`.

    Raises:
        DataError: a file cannot be used.
        OptionError: an option does not fit the text.
    """
    documents, held_out, how = read_text_files(train, options), None, "none"
    if valid:
        held_out, how = read_text_files(valid, options), named_files(valid)
    else:
        documents, held_out, how = _split(documents, options.valid_share)
    test_text = read_text_files(test, options) if test else None
    vocabulary = learn_vocabulary(
        (sentence for document in documents for sentence in document),
        "words",
        lines=True,
        size=options.vocabulary_size,
        min_count=options.min_count,
    )
    numbers = _encoded(documents, vocabulary, options)
    sentences = [sentence for document in numbers for sentence in document]
    counts = torch.bincount(torch.tensor([n for s in sentences for n in s]), minlength=len(vocabulary))
    counts[vocabulary.ends[1]] += len(sentences)
    facts = {
        "counts": counts.tolist(),
        "sentences": len(sentences),
        "documents": len(documents),
        "validation": how,
    }
    longer = sum(len(sentence.split()) > options.max_words for document in documents for sentence in document)
    logger.info(
        f"{counted(len(sentences), 'sentence')} to train on, a vocabulary of {counted(len(vocabulary), 'word')}; "
        f"validation: {how}"
        + (f"; cut after {options.max_words} words: {counted(longer, 'sentence')}" if longer else "")
    )
    batches, valid_batches = _batches(numbers, vocabulary, options.batch_size, options.seed), None
    if held_out is not None:
        valid_batches = _batches(_encoded(held_out, vocabulary, options), vocabulary, _SENTENCES, seed=None)
    task = kind(options, {"vocabulary": vocabulary.to_json(), "text": facts})
    named = _neighbours((held_out if valid else None) or ()), _neighbours(test_text or ())
    both = overlap("neighbouring pair", _neighbours(documents), *named)
    return Prepared(task, batches, valid_batches, held_out, test_text, both)


def _neighbours(documents: Documents) -> Iterator[tuple[str, str]]:
    return chain.from_iterable(map(pairwise, documents))


@torch.no_grad()
def score_text(task: Embed, network: SkipThought, documents: object) -> Evaluation:
    """The perplexity of the neighbours' words, their ends included, beside the unigram's.

    Raises:
        DataError: `documents` are none.
    """
    if not isinstance(documents, tuple):
        raise DataError(f"expected documents, found {type(documents).__name__}")
    vocabulary, counts = task.vocabulary, task.artefacts["text"]["counts"]
    unigram = unigram_log_probs(counts, vocabulary)
    batches = _batches(_encoded(documents, vocabulary, task.options), vocabulary, _SENTENCES, seed=None)
    nats = unigram_nats = 0.0
    for batch in in_order(batches, network.device):
        hidden, target = network(batch)
        found = linear_log_probs(hidden, network.weight, network.output_bias, target)
        nats -= float(found.double().sum())
        unigram_nats -= float(unigram[target.cpu()].sum())
    every = [sentence for document in documents for sentence in document]
    longer = sum(len(sentence.split()) > task.options.max_words for sentence in every)
    if longer:
        logger.info(
            f"cut after the {task.options.max_words} words of --max-words that the model was trained with: "
            f"{longer:,} of {counted(len(every), 'sentence')}"
        )
    unknown = sum(vocabulary.count_unknown(sentence) for sentence in every)
    return Evaluation(
        {
            "perplexity": perplexity(nats / batches.targets),
            "targets": float(batches.targets),
            "unknown_share": unknown / sum(len(sentence.split()) for sentence in every),
        },
        {"unigram": {"perplexity": perplexity(unigram_nats / batches.targets)}},
    )


def _encoded(documents: Documents, vocabulary: Vocabulary, options: EmbedOptions) -> list[list[list[int]]]:
    return [[vocabulary.encode(sentence)[: options.max_words] for sentence in document] for document in documents]


def _batches(
    documents: list[list[list[int]]], vocabulary: Vocabulary, batch_size: int, seed: int | None
) -> NeighbourBatches:
    return NeighbourBatches(documents, *vocabulary.ends, batch_size, seed)


def _split(documents: Documents, share: float) -> tuple[Documents, Documents | None, str]:
    """The training part, the validation part and how it was chosen: a document may be cut in two."""
    total = sum(len(document) for document in documents)
    kept = total - round(total * share)
    train: list[tuple[str, ...]] = []
    held_out: list[tuple[str, ...]] = []
    for document in documents:
        cut = max(0, min(len(document), kept))
        kept -= len(document)
        train += [document[:cut]] if cut else []
        held_out += [document[cut:]] if cut < len(document) else []
    if all(len(document) < 2 for document in train) or all(len(document) < 2 for document in held_out):
        return documents, None, "none"
    count = sum(len(document) for document in held_out)
    return tuple(train), tuple(held_out), f"the last {share:.0%} of the text, {counted(count, 'sentence')}"
