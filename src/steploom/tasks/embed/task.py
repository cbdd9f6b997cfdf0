"""The task `embed`: from running text to vectors of sentences, by skip-thought."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import model_validator

from steploom.data.counted import counted
from steploom.errors import OptionError
from steploom.tasks.task import Evaluation, Files, MetricLabel, Prediction, Prepared, Task, only_file
from steploom.training.option_errors import flag
from steploom.training.options import Options, TrainOptions, columns, option

if TYPE_CHECKING:
    from steploom.data.text.vocabulary import Vocabulary
    from steploom.models.skip_thought import SkipThought

__all__ = ["Embed", "EmbedOptions", "EvaluateOptions", "PredictOptions"]


class EmbedOptions(TrainOptions):
    """The options of `steploom train embed`."""

    normalise: Literal["split", "lower", "ptb", "none"] = option("split", "how words are made of a text", common=True)
    split_sentences: bool = option(False, "cut running text into sentences; else a line is one", common=True)
    vocabulary_size: int = option(20_000, "most words; rarer ones are unknown", common=True, ge=4)
    min_count: int = option(1, "words seen less often are unknown", ge=1)
    max_words: int = option(60, "words of a sentence that training reads", ge=1)
    valid_share: float = option(0.05, "share of the sentences, at the end, for validation", ge=0, le=0.5)

    pooling: Literal["last", "mean", "max", "all"] = option(
        "all", "what of the encoder's outputs is the vector", common=True
    )
    embedding_size: int = option(300, "size of a word's vector", common=True, ge=1)
    decoder_size: int = option(200, "units of the decoders' cell", ge=1)
    tie_embeddings: bool = option(False, "use the embedding as the output layer's weight")
    word_dropout: float = option(0.0, "share of the decoders' input words made unknown", ge=0, lt=1)

    cell: str = option("gru", "cell: a name from `steploom cells`, or package.module:Class", common=True)
    hidden_size: int = option(300, "units of the encoder's cell", common=True, ge=1)
    bidirectional: bool = option(True, "run the encoder backwards in time too", common=True)
    dropout: float = option(0.2, "share of the values dropped around the layers", common=True, ge=0, lt=1)
    epochs: int = option(5, "passes over the training data", common=True, ge=1)
    lr: float = option(2e-3, "learning rate", common=True, gt=0)
    schedule: Literal["constant", "cosine", "linear", "exponential", "step", "plateau"] = option(
        "cosine", "how the learning rate changes", common=True
    )


class _ColumnOptions(Options):
    """The columns of a table of pairs."""

    first: str = option("sentence_A", "column of the first sentence: name, or number", common=True)
    second: str = option("sentence_B", "column of the second sentence", common=True)

    _columns = columns("first", "second", "score")

    @model_validator(mode="after")
    def _all_of_a_kind(self) -> Self:
        named = [name for name in (self.first, self.second, getattr(self, "score", None)) if name is not None]
        if len({name.isdecimal() for name in named}) > 1:
            raise OptionError(
                f"--first, --second and --score: expected names, or numbers for all, found {', '.join(named)}"
            )
        if self.first == self.second:
            raise OptionError(f"--second: '{self.second}' is the first sentence's column too. Name another one")
        return self


class PredictOptions(_ColumnOptions):
    """The options of `steploom predict` for a model of sentences."""

    sentence: str | None = option(None, "a sentence, instead of a file with one a line", common=True)
    pairs: bool = option(False, "DATA is a table of pairs: add their cosine similarity", common=True)
    corpus: Path | None = option(None, "find the nearest of this file's lines for each line of DATA", common=True)
    nearest: int = option(5, "how many of --corpus", common=True, ge=1)

    @model_validator(mode="after")
    def _one_job(self) -> Self:
        if self.pairs and self.corpus is not None:
            raise OptionError("--corpus: --pairs compares the sentences of a row. Give one or the other")
        if self.pairs and self.sentence is not None:
            raise OptionError("--sentence: --pairs reads a table. Give one or the other")
        if self.corpus is None and self.given("nearest"):
            raise OptionError("--nearest: nearest among which sentences? Give their file with --corpus")
        for name in ("first", "second"):
            if not self.pairs and self.given(name):
                raise OptionError(f"{flag(name)}: it names a column of a table of pairs. Leave it out, or give --pairs")
        return self


class EvaluateOptions(_ColumnOptions):
    """The options of `steploom evaluate` for a model of sentences."""

    score: str = option("relatedness_score", "column of the score that people gave", common=True)
    pairs_train: Path | None = option(None, "scored pairs to train a ridge regression on", common=True)
    pairs_valid: Path | None = option(None, "scored pairs to choose its strength on", common=True)
    score_range: tuple[float, ...] = option((), "least and greatest score of the scale [of --pairs-train], as 1,5")
    random_encoders: int = option(3, "untrained encoders of the baseline; 0: none", common=True, ge=0)
    running_text: bool = option(
        False, "DATA is running text: how well its sentences tell their neighbours", common=True
    )

    @model_validator(mode="after")
    def _range(self) -> Self:
        found = self.score_range
        if found and (len(found) != 2 or found[0] >= found[1]):
            listed = ",".join(f"{score:g}" for score in found)
            raise OptionError(f"--score-range: expected two numbers, the lesser one first, found {listed}")
        return self

    @model_validator(mode="after")
    def _regression(self) -> Self:
        if self.pairs_valid is not None and self.pairs_train is None:
            raise OptionError("--pairs-valid: it chooses the strength of a regression. Give --pairs-train too")
        if self.running_text and self.pairs_train is not None:
            raise OptionError("--pairs-train: --running-text scores running text, not pairs. Leave one of them out")
        for name in ("first", "second", "score", "score_range", "random_encoders"):
            if self.running_text and self.given(name):
                raise OptionError(f"{flag(name)}: --running-text scores running text, not pairs. Leave it out")
        return self


class Embed(Task):
    """Vectors of sentences, learnt from the sentences around them."""

    name: ClassVar[str] = "embed"
    summary: ClassVar[str] = "skip-thought: running text in, vectors and similarity of sentences out"
    metrics: ClassVar[Mapping[str, MetricLabel]] = {
        "perplexity": MetricLabel("perplexity", "", "lower"),
        "pearson_ridge": MetricLabel("ridge: Pearson", "", "higher"),
        "spearman_ridge": MetricLabel("ridge: Spearman", "", "higher"),
        "mse_ridge": MetricLabel("ridge: squared error", "", "lower"),
        "pearson_cosine": MetricLabel("cosine: Pearson", "", "higher"),
        "spearman_cosine": MetricLabel("cosine: Spearman", "", "higher"),
        "mse_cosine": MetricLabel("cosine: squared error", "", "lower"),
        "unknown_share": MetricLabel("unknown words", "%", ""),
    }
    TrainOptions: ClassVar[type[TrainOptions]] = EmbedOptions
    PredictOptions: ClassVar[type[Options]] = PredictOptions
    EvaluateOptions: ClassVar[type[Options]] = EvaluateOptions

    options: EmbedOptions

    def __init__(self, options: Any, artefacts: dict[str, Any]) -> None:
        """Artefacts: "vocabulary", and "text" with the counts of the words and what was held out."""
        super().__init__(options, artefacts)
        self._vocabulary: Vocabulary | None = None

    def readers(self) -> dict[str, Callable[[Any], object]]:
        """A vocabulary of words with both ends of a sentence, and a count for each of them."""
        return {"vocabulary": _read_vocabulary, "text": lambda text: _check_facts(text, len(self.vocabulary))}

    @classmethod
    def prepare(
        cls, options: EmbedOptions, train: Sequence[Path], valid: Sequence[Path] = (), test: Sequence[Path] = ()
    ) -> Prepared[Self]:
        """Reads and checks all files, learns the vocabulary from the training part, makes the batches."""
        from steploom.tasks.embed.text import prepare_text

        return prepare_text(cls, options, train, valid, test)

    @property
    def vocabulary(self) -> Vocabulary:
        """The words."""
        if self._vocabulary is None:
            self._vocabulary = _read_vocabulary(self.artefacts["vocabulary"])
        return self._vocabulary

    def build(self) -> SkipThought:
        """The network, with fresh weights from torch's global generator."""
        from steploom.models.recurrent_shape import RecurrentShape
        from steploom.models.skip_thought import SkipThought

        options = self.options
        return SkipThought(
            len(self.vocabulary),
            encoder=RecurrentShape.of(options),
            decoder=RecurrentShape.of(options, hidden_size=options.decoder_size, num_layers=1, bidirectional=False),
            embedding_size=options.embedding_size,
            pooling=options.pooling,
            tie_embeddings=options.tie_embeddings,
            word_dropout=options.word_dropout,
            unknown=self.vocabulary.unknown or 0,
        )

    def describe(self, loss: float) -> dict[str, float]:
        """The perplexity of a neighbour's word."""
        from steploom.tasks.perplexity import perplexity

        return {"perplexity": perplexity(loss)}

    def evaluate(self, network: SkipThought, data: object, options: Any) -> Evaluation:
        """How well the vectors tell the scores of pairs; of running text, how well they tell the neighbours.

        `data`: one file of pairs; with the option `running_text`, files of text; or documents that `prepare` read.
        """
        from steploom.tasks.embed.pairs import score_pairs
        from steploom.tasks.embed.text import read_text_files, score_text

        if not isinstance(data, Files):
            return score_text(self, network, data)
        if options.running_text:
            return score_text(self, network, read_text_files(data, self.options))
        return score_pairs(self, network, data, options)

    def predict(self, network: SkipThought, data: Path | None, options: Any) -> Prediction:
        """Vectors of a file's lines, or their nearest neighbours in another file, or the similarity of pairs."""
        from steploom.tasks.embed.vectors import predict_nearest, predict_similarity, predict_vectors

        if options.pairs:
            return predict_similarity(self, network, data, options)
        if options.corpus is not None:
            return predict_nearest(self, network, data, options)
        return predict_vectors(self, network, data, options)

    def plot(self, network: SkipThought, data: Sequence[Path], path: Path) -> None:
        """How similar the first sentences of a file are to each other, as a map of colours."""
        from steploom.tasks.embed.plot import plot_similarity

        plot_similarity(self, network, only_file(data, "plot"), path)

    def facts(self) -> dict[str, Any]:
        """The vocabulary and what was held out."""
        text = self.artefacts["text"]
        return {
            "vocabulary": f"{len(self.vocabulary):,} words",
            "training text": f"{counted(text['sentences'], 'sentence')} in {counted(text['documents'], 'document')}",
            "validation": text["validation"],
        }


def _read_vocabulary(saved: Any) -> Vocabulary:
    from steploom.data.text.vocabulary import load_vocabulary

    vocabulary = load_vocabulary(saved, lines=True)
    if vocabulary.unit != "words":
        raise ValueError(f"expected words, found {vocabulary.unit}")
    return vocabulary


def _check_facts(text: Any, words: int) -> None:
    """Raises an error where `text` is not what `prepare` wrote about a training text with so many different words."""
    if len(text["counts"]) != words:
        raise ValueError(f"{len(text['counts'])} counts for the {words} words of vocabulary.json")
    if not all(isinstance(count, int) for count in (*text["counts"], text["sentences"], text["documents"])):
        raise TypeError("the counts are no whole numbers")
    str(text["validation"])
