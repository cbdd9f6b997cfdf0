"""The task `generate`: from text files to a language model, and from a prompt to new text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import model_validator

from steploom.errors import OptionError
from steploom.tasks.task import Evaluation, Files, MetricLabel, Prediction, Prepared, Task, only_file
from steploom.training.option_errors import flag
from steploom.training.options import Options, TrainOptions, columns, option

if TYPE_CHECKING:
    from steploom.data.text.vocabulary import Vocabulary
    from steploom.models.language_model import LanguageModel

__all__ = ["EvaluateOptions", "Generate", "GenerateOptions", "PredictOptions"]


class GenerateOptions(TrainOptions):
    """The options of `steploom train generate`."""

    unit: Literal["characters", "words", "bpe"] = option("characters", "what a token is", common=True)
    lines: bool = option(False, "each line is a text of its own (a poem, a name), kept whole", common=True)
    column: str | None = option(None, "column of a table that holds the lines: its name or number", common=True)
    vocabulary_size: int | None = option(None, "most tokens; rarer ones are unknown (bpe: 8000)", ge=2)
    min_count: int = option(1, "tokens seen less often are unknown", ge=1)
    valid_share: float = option(0.1, "share of a running text, at its end, for validation", ge=0, le=0.5)
    valid_every: int = option(20, "one line of so many (2 or more) is for validation; 0: none", ge=0)

    bptt: int = option(64, "steps between two updates on a running text", common=True, ge=1)
    embedding_size: int | None = option(None, "size of a token's vector; else the hidden size", ge=1)
    tie_embeddings: bool = option(False, "use the embedding as the output layer's weight", common=True)
    input_dropout: float | None = option(None, "dropout of the embedding; else --dropout", ge=0, lt=1)
    output_dropout: float | None = option(None, "dropout of the last layer's output; else --dropout", ge=0, lt=1)

    hidden_size: int = option(256, "units of the cell (lstm-projected: of its memory)", common=True, ge=1)
    num_layers: int = option(2, "layers on top of each other", common=True, ge=1)
    dropout: float = option(0.2, "share of the values dropped around the layers", common=True, ge=0, lt=1)
    batch_size: int = option(32, "parallel streams, or lines, a step", common=True, ge=1)
    lr: float = option(2e-3, "learning rate", common=True, gt=0)
    schedule: Literal["constant", "cosine", "linear", "exponential", "step", "plateau"] = option(
        "cosine", "how the learning rate changes", common=True
    )

    _columns = columns("column")

    @model_validator(mode="after")
    def _one_direction(self) -> Self:
        if self.bidirectional:
            raise OptionError(
                "--bidirectional: a language model says which token comes next, and backwards it would have read that "
                "token already. Leave it out"
            )
        return self

    @model_validator(mode="after")
    def _of_lines_or_running(self) -> Self:
        for name, has, why in (
            ("bptt", not self.by_line, "with --lines or --column each line is read whole. Leave it out"),
            ("valid_share", not self.by_line, "with --lines or --column it is one line of so many. Give --valid-every"),
            (
                "valid_every",
                self.by_line,
                "of a running text the end is set aside. Give --valid-share, or --lines",
            ),
        ):
            if not has and self.given(name):
                raise OptionError(f"{flag(name)}: {why}")
        return self

    @property
    def by_line(self) -> bool:
        """Whether lines are kept apart; a column always holds lines."""
        return self.lines or self.column is not None


class PredictOptions(Options):
    """The options of `steploom predict` for a language model."""

    prompt: str = option("", "text to go on from", common=True)
    temperature: float = option(1.0, "below 1 more cautious, above 1 bolder; 0: greedy", common=True, ge=0)
    top_k: int = option(0, "draw from the k most probable tokens; 0: all", common=True, ge=0)
    top_p: float = option(1.0, "draw from the most probable tokens of this mass", common=True, gt=0, le=1)
    num_beams: int = option(1, "beam search with so many hypotheses; 1: none", common=True, ge=1)
    max_new_tokens: int | None = option(
        None, "most tokens to add [200; of lines: the longest known]", common=True, ge=1
    )
    min_new_tokens: int = option(0, "least tokens of a line", ge=0)
    num_samples: int = option(1, "texts to write (of a beam: the best)", common=True, ge=1)
    seed: int = option(0, "seed of the draws", common=True, ge=0, lt=2**31)
    length_penalty: float = option(1.0, "beam search: above 0 favours longer lines")
    early_stopping: Literal["true", "false", "never"] = option("false", "beam search: when to stop")
    no_repeat_ngram_size: int = option(0, "no n-gram of this size twice; 0: no limit", ge=0)
    allow_unknown: bool = option(False, "let the unknown token be written")


class EvaluateOptions(Options):
    """The options of `steploom evaluate` for a language model: none. Every token counts once, with carried state."""


class Generate(Task):
    """A language model of characters, words or byte pairs."""

    name: ClassVar[str] = "generate"
    summary: ClassVar[str] = "language model: text files in, new text from a prompt out"
    metrics: ClassVar[Mapping[str, MetricLabel]] = {
        "perplexity": MetricLabel("perplexity", "", "lower"),
        "nats_per_char": MetricLabel("nats a character", "nats", "lower"),
        "bits_per_char": MetricLabel("bits a character", "bits", "lower"),
    }
    TrainOptions: ClassVar[type[TrainOptions]] = GenerateOptions
    PredictOptions: ClassVar[type[Options]] = PredictOptions
    EvaluateOptions: ClassVar[type[Options]] = EvaluateOptions

    options: GenerateOptions

    def __init__(self, options: Any, artefacts: dict[str, Any]) -> None:
        """Artefacts: "vocabulary", and "text" with the counts of the tokens and how the text was split."""
        super().__init__(options, artefacts)
        self._vocabulary: Vocabulary | None = None

    @property
    def predicts_alone(self) -> bool:
        """It writes from an empty prompt."""
        return True

    def readers(self) -> dict[str, Callable[[Any], object]]:
        """The vocabulary, with the two ends of a line where lines are kept apart, and a count of each token."""
        from steploom.data.text.vocabulary import load_vocabulary

        return {
            "vocabulary": lambda saved: load_vocabulary(saved, lines=self.options.by_line),
            "text": lambda text: _check_facts(text, len(self.vocabulary)),
        }

    @classmethod
    def prepare(
        cls, options: GenerateOptions, train: Sequence[Path], valid: Sequence[Path] = (), test: Sequence[Path] = ()
    ) -> Prepared[Self]:
        """Reads and checks all files, learns the vocabulary from the training part, makes the batches."""
        from steploom.tasks.generate.text import prepare_text

        return prepare_text(cls, options, train, valid, test)

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens."""
        from steploom.data.text.vocabulary import load_vocabulary

        if self._vocabulary is None:
            self._vocabulary = load_vocabulary(self.artefacts["vocabulary"])
        return self._vocabulary

    def build(self) -> LanguageModel:
        """The network, with fresh weights from torch's global generator."""
        from steploom.models.language_model import LanguageModel
        from steploom.models.recurrent_shape import RecurrentShape

        options = self.options
        return LanguageModel(
            len(self.vocabulary),
            RecurrentShape.of(options),
            embedding_size=options.embedding_size or options.hidden_size,
            input_dropout=options.input_dropout,
            output_dropout=options.output_dropout,
            tie_embeddings=options.tie_embeddings,
        )

    def describe(self, loss: float) -> dict[str, float]:
        """The perplexity a token; for characters, where a token is one, also nats a character."""
        from steploom.tasks.perplexity import perplexity

        shown = {"perplexity": perplexity(loss)}
        return shown | ({"nats_per_char": loss} if self.options.unit == "characters" else {})

    def evaluate(self, network: LanguageModel, data: object, options: Any) -> Evaluation:
        """Perplexity, nats and bits a character of a whole text, beside the unigram's. `data`: files or a text."""
        from steploom.tasks.generate.scores import score
        from steploom.tasks.generate.text import read_parts

        text = read_parts(data, self.options) if isinstance(data, Files) else data
        return score(network, self.vocabulary, self.artefacts["text"]["counts"], text)

    def predict(self, network: LanguageModel, data: Path | None, options: Any) -> Prediction:
        """New texts. With a file, each of its lines is a prompt."""
        from steploom.tasks.generate.samples import sample_texts

        return sample_texts(self, network, data, options)

    def plot(self, network: LanguageModel, data: Sequence[Path], path: Path) -> None:
        """The surprise of each token of a text's beginning, as colours behind it; without a file, of a sampled text."""
        from steploom.tasks.generate.plot import plot_surprise

        plot_surprise(self, network, only_file(data, "plot"), path)

    def facts(self) -> dict[str, Any]:
        """The vocabulary and what was held out."""
        text = self.artefacts["text"]
        return {
            "vocabulary": f"{len(self.vocabulary):,} {self.options.unit}",
            "training text": f"{text['tokens']:,} tokens",
            "validation": text["validation"],
        }


def _check_facts(text: Any, tokens: int) -> None:
    """Raises an error where `text` is not what `prepare` wrote about a training text with so many different tokens."""
    if len(text["counts"]) != tokens:
        raise ValueError(f"{len(text['counts'])} counts for the {tokens} tokens of vocabulary.json")
    if not all(isinstance(count, int) for count in text["counts"]) or not isinstance(text["tokens"], int):
        raise TypeError("the counts are no whole numbers")
    if not isinstance(text["longest_line"], (int, type(None))):
        raise TypeError("longest_line is no whole number")
    str(text["validation"])
