"""New texts from a language model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from steploom.data.counted import counted
from steploom.data.text.files import read_text
from steploom.decoding import DecodingSettings, Hypothesis, generate
from steploom.errors import OptionError
from steploom.models.language_model import LanguageModel
from steploom.tasks.prediction_file import write_lines
from steploom.tasks.task import Prediction
from steploom.training.option_errors import flag

if TYPE_CHECKING:
    from steploom.tasks.generate.task import Generate, PredictOptions

__all__ = ["sample_texts"]

logger = logging.getLogger("steploom")

# Between two samples of a running text, which may hold any number of blank lines.
_SEPARATOR = "-" * 20
_DEFAULT_TOKENS = 200


def sample_texts(task: Generate, network: LanguageModel, data: Path | None, options: PredictOptions) -> Prediction:
    """Texts that go on from the prompt, or from each line of a file of prompts; `num_samples` of each.

    The value is a list of texts. Written to a .jsonl file, each text comes with its prompt, its log-probability in nats
    and whether it came to its end; else a line is a line, and running texts are separated by a line of hyphens.

    Raises:
        OptionError: two options contradict each other.
    """
    if data is not None and options.prompt:
        raise OptionError(f"--prompt: the prompts come from {data} already. Give one or the other.")
    prompts = [options.prompt] if data is None else _read_prompts(data)
    settings = _settings(task, options)
    unknown = sum(task.vocabulary.count_unknown(prompt) for prompt in prompts)
    if unknown:
        logger.info(
            f"unknown to the model, which reads <unk> instead: {unknown:,} of the prompt's {task.vocabulary.unit}"
        )
    generator = torch.Generator(device=network.device).manual_seed(options.seed)
    made = [
        (prompt, hypothesis, _text(task, prompt, hypothesis))
        for prompt in prompts
        for hypothesis in _continue(task, network, prompt, settings, generator)
    ]
    texts = [text for _, _, text in made]
    separator = "\n" if task.options.by_line else f"\n{_SEPARATOR}\n"
    whole = separator.join(texts) + "\n"

    def write(path: Path) -> None:
        rows = (
            {"prompt": prompt, "text": text, "log_prob": hypothesis.log_prob, "ended": hypothesis.ended}
            for prompt, hypothesis, text in made
        )
        write_lines(path, [whole], rows)

    return Prediction(whole, write, texts)


def _read_prompts(path: Path) -> list[str]:
    lines = read_text(path).removesuffix("\n").split("\n")
    prompts = [line for line in lines if line.strip()]
    blank = len(lines) - len(prompts)
    if blank:
        logger.info(f"{path}: {counted(blank, 'blank line')}, which {'is' if blank == 1 else 'are'} no prompt")
    return prompts


def _settings(task: Generate, options: PredictOptions) -> DecodingSettings:
    _refuse_ignored(options, by_line=task.options.by_line)
    greedy = options.num_beams > 1 or options.temperature == 0
    if greedy and options.num_samples > options.num_beams:
        raise OptionError(
            f"--num-samples: {'greedy decoding' if options.num_beams == 1 else f'{options.num_beams} beams'} can give "
            f"{options.num_beams} at most, found {options.num_samples}. Raise --num-beams, or draw with a temperature."
        )
    vocabulary, longest = task.vocabulary, task.artefacts["text"]["longest_line"]
    # The end of a line has room behind its least number of tokens.
    most = _DEFAULT_TOKENS if longest is None else max(longest, options.min_new_tokens) + 1
    return DecodingSettings(
        max_new_tokens=options.max_new_tokens or most,
        min_new_tokens=options.min_new_tokens,
        do_sample=not greedy,
        temperature=options.temperature or 1.0,
        top_k=options.top_k,
        top_p=options.top_p,
        num_beams=options.num_beams,
        num_return_sequences=options.num_samples,
        length_penalty=options.length_penalty,
        early_stopping={"true": True, "false": False}.get(options.early_stopping, "never"),
        no_repeat_ngram_size=options.no_repeat_ngram_size,
        end_token=vocabulary.end if task.options.by_line else None,
        banned_tokens=_banned(task, options),
    )


def _banned(task: Generate, options: PredictOptions) -> tuple[int, ...]:
    """What no text may hold: marks, and in a line what would end it other than by <eos>."""
    vocabulary = task.vocabulary
    marks = (n for n in vocabulary.marks if n != vocabulary.unknown or not options.allow_unknown)
    return (*marks, *(vocabulary.line_ends if task.options.by_line else ()))


def _refuse_ignored(options: PredictOptions, by_line: bool) -> None:
    """Refuses an option that was changed but has no effect beside the others."""
    fields = type(options).model_fields
    changed = {name for name in fields if getattr(options, name) != fields[name].default}
    beams, longest = options.num_beams, options.max_new_tokens

    def refuse(name: str, why: str) -> None:
        if name in changed:
            raise OptionError(f"{flag(name)}: {why}")

    for name in ("temperature", "top_k", "top_p"):
        if beams > 1:
            refuse(name, f"beam search draws nothing. Leave it or --num-beams {beams} out")
        elif name != "temperature" and options.temperature == 0:
            refuse(name, "greedy decoding draws nothing. Leave it or --temperature 0 out")
    if not by_line:
        for name in ("min_new_tokens", "length_penalty", "early_stopping"):
            refuse(
                name,
                "this model was trained without --lines, and running text has no end of its own: all texts have the "
                "length that --max-new-tokens says. Leave it out",
            )
    for name in ("length_penalty", "early_stopping"):
        if beams == 1:
            refuse(name, "it is for beam search. Leave it out, or give --num-beams 2 or more")
    if longest is not None and options.min_new_tokens > longest:
        refuse("min_new_tokens", f"{options.min_new_tokens} is more than --max-new-tokens {longest}")


def _continue(
    task: Generate, network: LanguageModel, prompt: str, settings: DecodingSettings, generator: torch.Generator
) -> Sequence[Hypothesis]:
    if task.options.by_line and "\n" in prompt:
        raise OptionError("--prompt: this model writes single lines; expected a prompt without line ends")
    history = torch.tensor([[task.vocabulary.start, *task.vocabulary.encode(prompt)]], device=network.device)
    state = network.read(history[:, :-1].t())
    return generate(network, history[:, -1], state, settings, history=history, generator=generator)[0]


def _text(task: Generate, prompt: str, hypothesis: Hypothesis) -> str:
    new = task.vocabulary.decode(hypothesis.tokens)
    words = task.vocabulary.unit == "words"
    joint = " " if words and prompt and new and not prompt[-1].isspace() and not new[0].isspace() else ""
    return prompt + joint + new
