"""The task `translate`: from pairs of lines to a model that writes the second when it reads the first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import model_validator

from steploom.errors import OptionError
from steploom.tasks.task import Evaluation, Files, MetricLabel, Prediction, Prepared, Task, only_file
from steploom.training.option_errors import flag
from steploom.training.options import Options, TrainOptions, columns, option

if TYPE_CHECKING:
    from steploom.models.encoder_decoder import EncoderDecoder
    from steploom.tasks.translate.text import Languages

__all__ = ["EvaluateOptions", "PredictOptions", "Translate", "TranslateOptions"]


class TranslateOptions(TrainOptions):
    """The options of `steploom train translate`."""

    unit: Literal["bpe", "words", "characters"] = option("bpe", "what a token is", common=True)
    source_column: str | None = option(None, "source in one table: its name or number [1]", common=True)
    target_column: str | None = option(None, "target in one table: its name or number [2]", common=True)
    lower_case: bool = option(False, "read both sides in lower case", common=True)
    vocabulary_size: int | None = option(None, "most tokens a side; rarer ones are unknown (bpe: 8000)", ge=2)
    min_count: int = option(1, "tokens seen less often are unknown", ge=1)
    shared_vocabulary: bool = option(False, "one vocabulary and one embedding for both sides")
    max_length: int = option(100, "longer training pairs are left out, longer sources clipped", common=True, ge=1)
    valid_every: int = option(20, "one pair of so many (2 or more) is for validation; 0: none", ge=0)

    attention: Literal["general", "additive", "dot", "none"] = option("general", "how to look back", common=True)
    attend: Literal["after", "before"] = option("after", "look after the decoder's step (Luong) or before (Bahdanau)")
    hard: bool = option(False, "look at one place a step, learnt by trial (REINFORCE)", common=True)
    input_feeding: bool = option(False, "the decoder reads what it looked at a step before")
    embedding_size: int | None = option(None, "size of a token's vector; else the hidden size", ge=1)
    tie_embeddings: bool = option(False, "use the target embedding as the output layer's weight")
    encoder_size: int | None = option(None, "units of the encoder's cell; else the hidden size", ge=1)
    encoder_layers: int | None = option(None, "layers of the encoder; else --num-layers", ge=1)
    label_smoothing: float = option(0.1, "share of each target spread over the vocabulary", ge=0, lt=1)

    forcing: Literal["teacher", "scheduled", "free", "professor"] = option(
        "teacher", "what the decoder reads in training", common=True
    )
    feedback: Literal["argmax", "sample"] = option("argmax", "which of its own tokens it reads (scheduled, free)")
    sampling_schedule: Literal["inverse_sigmoid", "linear", "exponential"] = option(
        "inverse_sigmoid", "how the share of true tokens falls (scheduled)"
    )
    sampling_epochs: float | None = option(None, "epochs over which it falls; else all", gt=0)
    sampling_floor: float = option(0.0, "what it never falls below", ge=0, le=1)
    professor_weight: float = option(1.0, "weight of the discriminator's loss (professor)", gt=0)
    entropy: float = option(0.01, "weight of the entropy in the reward (hard)", ge=0)

    hidden_size: int = option(256, "units of the cell (lstm-projected: of its memory)", common=True, ge=1)
    dropout: float = option(0.3, "share of the values dropped around the layers", common=True, ge=0, lt=1)
    bidirectional: bool = option(True, "the encoder reads backwards in time too")
    schedule: Literal["constant", "cosine", "linear", "exponential", "step", "plateau"] = option(
        "cosine", "how the learning rate changes", common=True
    )

    _columns = columns("source_column", "target_column")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        sampling = ("sampling_schedule", "sampling_epochs", "sampling_floor")
        own = "--forcing scheduled or free"
        for names, holds, where in (
            (("hard", "input_feeding", "attend"), self.attention != "none", "an attention"),
            (("entropy",), self.hard, "--hard"),
            (("input_feeding",), self.attend == "after", "--attend after"),
            (sampling, self.forcing == "scheduled", "--forcing scheduled"),
            (("feedback",), self.forcing in ("scheduled", "free"), own),
            (("professor_weight",), self.forcing == "professor", "--forcing professor"),
        ):
            for name in names:
                if not holds and self.given(name):
                    raise OptionError(f"{flag(name)} is for {where}. Leave it out, or change that")
        return self


class _Beams(Options):
    """How translations are searched, for `predict` and `evaluate`."""

    num_beams: int = option(5, "hypotheses of the beam search; 1: greedy", common=True, ge=1)
    length_penalty: float = option(1.0, "above 0 favours longer translations", common=True)
    coverage_penalty: float = option(0.0, "above 0 favours those that look at the whole source", ge=0)
    max_new_tokens: int | None = option(None, "most tokens [by the source's length]", common=True, ge=1)
    min_new_tokens: int = option(0, "least tokens", ge=0)
    no_repeat_ngram_size: int = option(0, "no n-gram of this size twice; 0: no limit", ge=0)
    early_stopping: Literal["true", "false", "never"] = option("false", "when to stop the search")
    allow_unknown: bool = option(False, "let the unknown token be written")
    batch_size: int = option(64, "lines decoded together", ge=1)


class PredictOptions(_Beams):
    """The options of `steploom predict` for a translation model."""

    text: str | None = option(None, "a line to translate, instead of a file", common=True)
    num_return_sequences: int = option(1, "translations of each line, best first", common=True, ge=1)
    attention: bool = option(False, "a .jsonl file also says where it looked", common=True)


class EvaluateOptions(_Beams):
    """The options of `steploom evaluate` for a translation model."""

    tokenize: Literal["auto", "none", "13a", "intl", "char", "zh"] = option(
        "auto", "sacrebleu's tokenisation for BLEU (auto: none for tokenised text, else 13a)", common=True
    )


class Translate(Task):
    """An encoder that reads a line and a decoder that writes another one."""

    name: ClassVar[str] = "translate"
    summary: ClassVar[str] = "pairs of lines in, a line for each new line out: translation, dialogue"
    metrics: ClassVar[Mapping[str, MetricLabel]] = {
        "bleu": MetricLabel("BLEU", "", "higher"),
        "chrf": MetricLabel("chrF", "", "higher"),
        "perplexity": MetricLabel("perplexity", "", "lower"),
    }
    parallel: ClassVar[bool] = True
    TrainOptions: ClassVar[type[TrainOptions]] = TranslateOptions
    PredictOptions: ClassVar[type[Options]] = PredictOptions
    EvaluateOptions: ClassVar[type[Options]] = EvaluateOptions

    options: TranslateOptions

    def __init__(self, options: Any, artefacts: dict[str, Any]) -> None:
        """Artefacts: "vocabulary", or one for each side, and "pairs" with counts of the training part."""
        super().__init__(options, artefacts)
        self._languages: Languages | None = None

    def readers(self) -> dict[str, Callable[[Any], object]]:
        """The vocabularies with the marks that a line needs, and the counts."""
        from steploom.data.text.vocabulary import load_vocabulary
        from steploom.tasks.translate.text import check_counts

        sides = ("vocabulary",) if self.options.shared_vocabulary else ("source_vocabulary", "target_vocabulary")
        return {**dict.fromkeys(sides, partial(load_vocabulary, lines=True)), "pairs": check_counts}

    @classmethod
    def prepare(
        cls, options: TranslateOptions, train: Sequence[Path], valid: Sequence[Path] = (), test: Sequence[Path] = ()
    ) -> Prepared[Self]:
        """Reads and checks all files, learns the vocabularies from the training part, makes the batches."""
        from steploom.tasks.translate.text import prepare_pairs

        return prepare_pairs(cls, options, train, valid, test)

    @property
    def languages(self) -> Languages:
        """The vocabularies of both sides."""
        from steploom.tasks.translate.text import Languages

        if self._languages is None:
            self._languages = Languages.load(self.artefacts, self.options.lower_case)
        return self._languages

    def build(self) -> EncoderDecoder:
        """The network, with fresh weights from torch's global generator."""
        from steploom.tasks.translate.network import build_network

        return build_network(self.options, self.languages, self.artefacts["pairs"]["count"])

    def describe(self, loss: float) -> dict[str, float]:
        """The perplexity of the target's next token, the true ones before it being read."""
        from steploom.tasks.perplexity import perplexity

        return {"perplexity": perplexity(loss)}

    def evaluate(self, network: EncoderDecoder, data: object, options: Any) -> Evaluation:
        """BLEU, chrF and perplexity, beside those of copying the source."""
        from steploom.data.text.parallel import read_pairs
        from steploom.tasks.translate.scores import score
        from steploom.tasks.translate.text import columns_of

        pairs = data
        if isinstance(data, Files):
            pairs = read_pairs(data, columns_of(self.options, self.artefacts["pairs"]), "the data")
        return score(self, network, pairs, options)

    def predict(self, network: EncoderDecoder, data: Path | None, options: Any) -> Prediction:
        """A line for each line of a file, of `--text`, or of standard input as they come."""
        from steploom.tasks.translate.lines import translate

        return translate(self, network, data, options)

    def plot(self, network: EncoderDecoder, data: Sequence[Path], path: Path) -> None:
        """Where the model looks in some lines; without attention, how sure it is of each token."""
        from steploom.tasks.translate.plot import plot_lines

        plot_lines(self, network, only_file(data, "plot"), path)

    def facts(self) -> dict[str, Any]:
        """The vocabularies, the columns of a table, and what was held out."""
        from steploom.tasks.translate.text import columns_of

        pairs, languages = self.artefacts["pairs"], self.languages
        shared = "vocabulary" in self.artefacts
        sizes = f"{len(languages.source):,}" + (" shared" if shared else f" and {len(languages.target):,}")
        columns = columns_of(self.options, pairs)
        return {
            "vocabulary": f"{sizes} {self.options.unit}",
            "training pairs": f"{pairs['count']:,}" + (f"; {columns.shown}" if columns is not None else ""),
            "validation": pairs["validation"],
        }
