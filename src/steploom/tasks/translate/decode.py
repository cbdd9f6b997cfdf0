"""Lines through a trained encoder-decoder, in batches of about equal length."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from steploom.data.bucketing import padded
from steploom.decoding import DecodingSettings, Hypothesis, generate
from steploom.errors import OptionError
from steploom.models.encoder_decoder import EncoderDecoder

if TYPE_CHECKING:
    from steploom.tasks.translate.task import Translate

__all__ = ["Translated", "settings_of", "translate_lines"]

logger = logging.getLogger("steploom")

# A translation has at most this many times the tokens that the training pairs lead to expect, and so many more.
_TIMES, _MORE = 2.0, 20

# Where nobody said how many tokens: more than any translation may have.
_BY_THE_SOURCE = 2**31


@dataclass(frozen=True)
class Translated:
    """What became of one line.

    Args:
        source: the tokens that were read, the end mark last; none for a blank line.
        hypotheses: the translations, best first; none for a blank line.
    """

    source: tuple[int, ...] = ()
    hypotheses: tuple[Hypothesis, ...] = ()


def settings_of(task: Translate, options: Any) -> DecodingSettings:
    """How to decode, from the options of `predict` or `evaluate`.

    Raises:
        OptionError: options contradict each other, or the model.
    """
    returned = getattr(options, "num_return_sequences", 1)
    if returned > options.num_beams:
        raise OptionError(
            f"--num-return-sequences: {options.num_beams} beams give {options.num_beams} at most, found {returned}. "
            "Raise --num-beams"
        )
    changed = {n for n, field in type(options).model_fields.items() if getattr(options, n) != field.default}
    for name in ("length_penalty", "coverage_penalty", "early_stopping"):
        if options.num_beams == 1 and name in changed:
            raise OptionError(f"--{name.replace('_', '-')}: it is for beam search. Leave it out, or raise --num-beams")
    if options.coverage_penalty and task.options.attention == "none":
        raise OptionError("--coverage-penalty: this model was trained with --attention none. Leave it out")
    if options.max_new_tokens is not None and options.min_new_tokens > options.max_new_tokens:
        raise OptionError(
            f"--min-new-tokens: {options.min_new_tokens} is more than --max-new-tokens {options.max_new_tokens}"
        )
    target = task.languages.target
    return DecodingSettings(
        max_new_tokens=options.max_new_tokens or _BY_THE_SOURCE,
        min_new_tokens=options.min_new_tokens,
        num_beams=options.num_beams,
        num_return_sequences=returned,
        length_penalty=options.length_penalty,
        coverage_penalty=options.coverage_penalty,
        keep_attention=getattr(options, "attention", False),
        early_stopping={"true": True, "false": False}.get(options.early_stopping, "never"),
        no_repeat_ngram_size=options.no_repeat_ngram_size,
        end_token=target.end,
        banned_tokens=tuple(n for n in target.marks if n != target.unknown or not options.allow_unknown),
    )


def translate_lines(
    task: Translate,
    network: EncoderDecoder,
    lines: Sequence[str],
    settings: DecodingSettings,
    batch_size: int = 64,
    where: str = "",
    said: set[str] | None = None,
) -> list[Translated]:
    """The translations of each line, in order. A blank line stays one.

    Lines longer than the model's --max-length are clipped, which is said.

    Args:
        task: with its vocabularies.
        network: the model.
        lines: the lines.
        settings: how to decode.
        batch_size: lines decoded together.
        where: the file, for what is said.
        said: where lines come one by one, what was said of those before, to which is added; None: these are all.
    """
    languages, most = task.languages, task.options.max_length
    sources = [languages.source_tokens(line) if line.strip() else [] for line in lines]
    too_long = [i for i, tokens in enumerate(sources) if len(tokens) - 1 > most]
    if too_long:
        clipped = f"clipped to the {most} tokens of --max-length that the model was trained with"
        counted = f"{len(too_long):,} of {len(lines):,} lines, the first one is line {too_long[0] + 1}"
        _say(f"{where + ': ' if where else ''}{clipped}", counted, said)
        for i in too_long:
            sources[i] = [*sources[i][:most], sources[i][-1]]
    unknown = languages.source.unknown
    if unknown is not None:
        strange = sum(tokens.count(unknown) for tokens in sources)
        if strange:
            total = sum(len(tokens) - 1 for tokens in sources if tokens)
            counted = f"{strange:,} of {total:,} source tokens"
            _say("unknown to the model, which reads <unk> instead", counted, said)
    order = sorted((i for i, tokens in enumerate(sources) if tokens), key=lambda i: -len(sources[i]))
    found = [Translated()] * len(lines)
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    for batch in _shown(batches):
        hypotheses = _decode(task, network, [sources[i] for i in batch], settings)
        for i, best in zip(batch, hypotheses, strict=True):
            found[i] = Translated(tuple(sources[i]), tuple(best))
    return found


def _say(what: str, counted: str, said: set[str] | None) -> None:
    """Says something of all lines; of lines that come one by one only once, and without the count of that one."""
    if said is None:
        logger.info(f"{what}: {counted}")
    elif what not in said:
        said.add(what)
        logger.info(f"{what} (said once)")


@torch.no_grad()
def _decode(
    task: Translate, network: EncoderDecoder, sources: Sequence[Sequence[int]], settings: DecodingSettings
) -> list[list[Hypothesis]]:
    device = network.device
    lengths = torch.tensor([len(tokens) for tokens in sources], device=device)
    source = padded([torch.tensor(tokens) for tokens in sources], int(lengths.max()), 0).to(device)
    pairs = task.artefacts["pairs"]
    ratio = pairs["target_tokens"] / pairs["source_tokens"]
    expected = [math.ceil(_TIMES * ratio * len(tokens)) + _MORE for tokens in sources]
    # The end mark has room behind the least number of tokens.
    most = torch.tensor(expected, device=device).clamp(min=settings.min_new_tokens + 1)
    state = network.encode(source, lengths)
    start = torch.full((len(sources),), task.languages.begin, device=device)
    limits = most if settings.max_new_tokens == _BY_THE_SOURCE else None
    return generate(network, start, state, settings, most_tokens=limits, source_lengths=lengths)


def _shown(batches: list[list[int]]) -> Iterable[list[int]]:
    """The batches, with a bar on standard error where that is a terminal and there are several."""
    if len(batches) < 2 or not sys.stderr.isatty():
        return batches
    return _with_bar(batches)


def _with_bar(batches: list[list[int]]) -> Iterator[list[int]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TextColumn("{task.completed} lines"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        line = bar.add_task("decoding", total=sum(len(batch) for batch in batches))
        for batch in batches:
            yield batch
            bar.advance(line, len(batch))
