"""The task `tag`: a tag for each word, from files in columns to files in columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import model_validator

from steploom.data.counted import counted
from steploom.errors import OptionError
from steploom.tasks.task import Evaluation, Files, MetricLabel, Prediction, Prepared, Task, only_file
from steploom.training.option_errors import flag
from steploom.training.options import Options, TrainOptions, option

if TYPE_CHECKING:
    from torch import Tensor

    from steploom.data.labelled.conll_batches import WordCoder
    from steploom.models.tagger import Tagger
    from steploom.tasks.tag.facts import TagFacts

__all__ = ["EvaluateOptions", "PredictOptions", "Tag", "TagOptions"]


class TagOptions(TrainOptions):
    """The options of `steploom train tag`."""

    target_column: int | None = option(None, "column of the tags, from 1; else the last", common=True, ge=1)
    word_column: int = option(1, "column of the words, from 1", common=True, ge=1)
    scheme: Literal["auto", "bioes", "iob2", "iob1", "labels"] = option(
        "auto", "how the model writes spans; labels: tags are no spans; auto: bioes where they are", common=True
    )
    crf: bool = option(True, "score the tags of a sentence together", common=True)
    characters: bool = option(True, "spell each word with a network of its own", common=True)
    vectors: str | None = option(None, "pretrained word vectors: a text file of word2vec or GloVe", common=True)
    vector_words: int = option(20000, "words at its beginning that are known beside those of the data", ge=0)
    constrain_training: bool = option(False, "forbid broken sequences in training too, not only afterwards")
    repair_tags: bool = option(False, "read broken sequences of tags as conlleval does, rather than refuse them")
    allow_unseen_tags: bool = option(False, "count tags that the training data lack as missed, rather than refuse")
    valid_every: int = option(10, "one sentence of so many (2 or more) is for validation; 0: none", ge=0)

    embedding_size: int | None = option(None, "size of a word's vector [100, or that of --vectors]", ge=1)
    character_embedding_size: int = option(30, "size of a character's vector", ge=1)
    character_hidden_size: int = option(50, "units in each direction over the characters", ge=1)
    lowercase: bool | None = option(None, "the vocabulary is in lower case [where characters tell the case]")
    zero_digits: bool = option(True, "the vocabulary has 0 for each digit")
    min_count: int = option(1, "words seen less often are unknown", ge=1)
    word_dropout: float = option(0.5, "share of the words seen once that become unknown", ge=0, le=1)

    hidden_size: int = option(200, "units of the cell in each direction", common=True, ge=1)
    bidirectional: bool = option(True, "read the sentence backwards too", common=True)
    dropout: float = option(0.5, "share of the values dropped around the layers", common=True, ge=0, lt=1)
    epochs: int = option(30, "passes over the training data", common=True, ge=1)
    batch_size: int = option(16, "sentences a step", common=True, ge=1)
    lr: float = option(2e-3, "learning rate", common=True, gt=0)
    schedule: Literal["constant", "cosine", "linear", "exponential", "step", "plateau"] = option(
        "cosine", "how the learning rate changes", common=True
    )
    average: float = option(0.999, "decay of a running mean of the weights; 0: none", ge=0, lt=1)

    @model_validator(mode="after")
    def _one_purpose(self) -> Self:
        if self.target_column == self.word_column:
            raise OptionError(
                f"--target-column and --word-column are both {self.word_column}: the words are no tags of themselves"
            )
        if self.constrain_training and not self.crf:
            raise OptionError("--constrain-training is for a CRF: leave it or --no-crf out")
        for names, holds, where in (
            (("vector_words",), self.vectors is not None, "--vectors FILE"),
            (("character_embedding_size", "character_hidden_size"), self.characters, "--characters"),
        ):
            for name in names:
                if not holds and self.given(name):
                    raise OptionError(f"{flag(name)} is for {where}. Leave it out, or change that")
        return self

    def further_files(self) -> dict[str, Path]:
        """The pretrained vectors."""
        return {} if self.vectors is None else {"vectors": Path(self.vectors)}

    @property
    def in_lower_case(self) -> bool:
        """Whether the vocabulary is in lower case."""
        return self.characters if self.lowercase is None else self.lowercase


class PredictOptions(Options):
    """The options of `steploom predict` for a tagger."""

    text: str | None = option(None, "a sentence to tag", common=True)
    lines: bool = option(False, "DATA has plain sentences", common=True)


class EvaluateOptions(Options):
    """The options of `steploom evaluate` for a tagger."""

    repair_tags: bool = option(False, "read broken sequences of tags as conlleval does", common=True)
    allow_unseen_tags: bool = option(False, "count tags that the training data lack as missed", common=True)


class Tag(Task):
    """A tagger of words: entities, chunks, parts of speech."""

    name: ClassVar[str] = "tag"
    summary: ClassVar[str] = "a tag for each word: entities, chunks, parts of speech (CoNLL columns)"
    metrics: ClassVar[Mapping[str, MetricLabel]] = {
        "f1": MetricLabel("F1 of the spans", "%", "higher"),
        "precision": MetricLabel("precision", "%", "higher"),
        "recall": MetricLabel("recall", "%", "higher"),
        "accuracy": MetricLabel("tags right", "%", "higher"),
        "accuracy_unknown": MetricLabel("tags right, new words", "%", "higher"),
    }
    TrainOptions: ClassVar[type[TrainOptions]] = TagOptions
    PredictOptions: ClassVar[type[Options]] = PredictOptions
    EvaluateOptions: ClassVar[type[Options]] = EvaluateOptions

    options: TagOptions

    def __init__(self, options: Any, artefacts: dict[str, Any], vectors: Tensor | None = None) -> None:
        """Artefacts: "vocabulary" (words and characters), "tags", and "majority", the usual tag of each word.

        Args:
            options: how to train.
            artefacts: see above.
            vectors: (words, size), the first word embeddings, NaN for a word without one.
        """
        super().__init__(options, artefacts)
        self._vectors = vectors
        self._coder: WordCoder | None = None
        self._tags: TagFacts | None = None

    def readers(self) -> dict[str, Callable[[Any], object]]:
        """The vocabulary, the tags, the usual tag of each word."""
        from steploom.data.labelled.conll_batches import WordCoder
        from steploom.tasks.tag.facts import TagFacts, check_majority

        def majority(saved: Any) -> None:
            # The tags were read before it.
            check_majority(saved, spans=self.tags.source != "labels")

        return {"vocabulary": WordCoder.from_json, "tags": TagFacts.from_json, "majority": majority}

    @classmethod
    def prepare(
        cls, options: TagOptions, train: Sequence[Path], valid: Sequence[Path] = (), test: Sequence[Path] = ()
    ) -> Prepared[Self]:
        """Reads and checks all files, learns words and tags from the training part, makes the batches."""
        from steploom.tasks.tag.data import prepare_tags

        return prepare_tags(cls, options, train, valid, test)

    @property
    def coder(self) -> WordCoder:
        """Makes numbers of words."""
        from steploom.data.labelled.conll_batches import WordCoder

        if self._coder is None:
            self._coder = WordCoder.from_json(self.artefacts["vocabulary"])
        return self._coder

    @property
    def tags(self) -> TagFacts:
        """What is known of the tags."""
        from steploom.tasks.tag.facts import TagFacts

        if self._tags is None:
            self._tags = TagFacts.from_json(self.artefacts["tags"])
        return self._tags

    def build(self) -> Tagger:
        """The network, with fresh weights from torch's global generator; pretrained vectors in their places."""
        import torch

        from steploom.models.recurrent_shape import RecurrentShape
        from steploom.models.tagger import Tagger
        from steploom.tasks.tag.facts import constraints

        options, facts, coder = self.options, self.tags, self.coder
        network = Tagger(
            len(coder.words),
            len(facts.tags),
            shape=RecurrentShape.of(options),
            embedding_size=facts.embedding_size,
            characters=len(coder.characters),
            character_embedding_size=options.character_embedding_size,
            character_hidden_size=options.character_hidden_size,
            dropout=options.dropout,
            rare=[number for number in facts.rare if number < len(coder.words)],
            word_dropout=options.word_dropout,
            crf=options.crf,
            constraints=constraints(facts),
            constrain_training=options.constrain_training,
        )
        if self._vectors is not None:
            with torch.no_grad():
                network.embedding.weight.copy_(
                    torch.where(self._vectors.isnan(), network.embedding.weight, self._vectors)
                )
        return network

    def describe(self, loss: float) -> dict[str, float]:
        """The validation loss by its name: the share of tags that one would expect to be wrong."""
        return {"tags_expected_wrong": loss}

    def evaluate(self, network: Tagger, data: object, options: Any) -> Evaluation:
        """F1 of the spans as conlleval counts it and the share of right tags, beside each word's usual tag."""
        from steploom.tasks.tag.files import read_part
        from steploom.tasks.tag.scores import score

        part = read_part(data, self.options, self.tags, options) if isinstance(data, Files) else data
        return score(self, network, part)

    def predict(self, network: Tagger, data: Path | None, options: Any) -> Prediction:
        """The data with one more column. Without data and text, standard input."""
        from steploom.tasks.tag.prediction import predict_tags

        return predict_tags(self, network, data, options)

    def plot(self, network: Tagger, data: Sequence[Path], path: Path) -> None:
        """Sentences with their spans in colour; without data, which tag the CRF likes behind which."""
        from steploom.tasks.tag.plot import plot_tags

        plot_tags(self, network, only_file(data, "plot"), path)

    def facts(self) -> dict[str, Any]:
        """Tags and vocabulary."""
        facts, coder = self.tags, self.coder
        written = "plain labels" if facts.source == "labels" else f"{facts.scheme}, files in {facts.source}"
        return {
            "tags": f"{len(facts.tags)} ({written})",
            "vocabulary": f"{counted(len(coder.words), 'word')}, {counted(len(coder.characters), 'character')}",
            "training data": f"{counted(facts.sentences, 'sentence')}, {counted(facts.words, 'word')}",
            "validation": facts.validation,
        }
