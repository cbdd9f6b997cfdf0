"""The task `classify`: from a text, an image, a sequence of vectors or a tree to one of several labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import field_validator, model_validator

from steploom.errors import OptionError
from steploom.tasks.task import Evaluation, Files, MetricLabel, Prediction, Prepared, Task
from steploom.training.options import Options, TrainOptions, option

if TYPE_CHECKING:
    from steploom.data.labelled import Examples
    from steploom.models.classifier import Classifier
    from steploom.tasks.classify_kind import Kind

__all__ = ["MOST_DRAWN", "Classify", "ClassifyOptions", "EvaluateOptions", "PredictOptions"]


MOST_DRAWN = 200
"""Classes whose confusion matrix is kept and drawn: of more, nothing could be seen."""


class ClassifyOptions(TrainOptions):
    """The options of `steploom train classify`."""

    text: str | None = option(None, "column or key of the text: its name, or its number", common=True)
    label: str | None = option(None, "column, key or array of the label: its name, or its number", common=True)
    file_labels: tuple[str, ...] = option((), "label of each file, where a line is a text", common=True)
    relabel: tuple[str, ...] = option((), "rename a label, OLD=NEW; OLD= leaves it out", common=True)
    kind: Literal["auto", "text", "vectors", "trees"] = option("auto", "what the data are")
    valid_share: float = option(0.1, "share set aside for validation, where no --valid is given", ge=0, le=0.5)
    test_share: float = option(0.0, "share set aside for the test, where no --test is given", ge=0, le=0.5)
    class_weights: tuple[str, ...] = option((), "what a class counts in the loss: balanced, or NAME=WEIGHT")
    label_smoothing: float = option(0.0, "share of the target given to all classes", ge=0, lt=1)

    unit: Literal["words", "characters", "bpe"] = option("words", "what a token of a text is", common=True)
    split_punctuation: bool = option(True, "words: punctuation is a word of its own")
    lower_case: bool = option(False, "read texts in lower case", common=True)
    vocabulary_size: int | None = option(None, "most tokens; rarer ones are unknown (bpe: 8000)", ge=2)
    min_count: int = option(1, "tokens seen less often are unknown", ge=1)
    max_length: int | None = option(None, "tokens of a text that are read; the rest is cut off", ge=1)
    word_dropout: float = option(0.05, "share of the tokens that training reads as unknown", ge=0, lt=1)
    embedding_size: int | None = option(None, "size of a token's vector; else the hidden size", ge=1)
    phrases: bool = option(False, "of trees: every labelled phrase is an example to train on")

    array: str | None = option(None, "array of the inputs in an .npz file [x, X, data, ...]")
    lengths: str | None = option(None, "array of the sequences' lengths in an .npz file [lengths]")
    steps: Literal["rows", "pixels"] = option("rows", "an image is read by", common=True)
    shift: int = option(0, "training moves each image by up to so many pixels", ge=0)
    scale: Literal["auto", "features", "all", "none"] = option("auto", "numbers are scaled by feature, or all alike")

    tree_network: Literal["nary", "child-sum", "recursive"] = option("nary", "trees: what a node computes", common=True)
    node_labels: bool = option(True, "trees: labels below the root are trained on too")
    max_children: int | None = option(None, "trees: most children of a node [as in the training part]", ge=1, le=64)

    pooling: Literal["last", "mean", "max", "attention"] = option(
        "attention", "steps become one vector by", common=True
    )
    input_dropout: float | None = option(None, "dropout before the layers; else --dropout", ge=0, lt=1)
    output_dropout: float | None = option(None, "dropout behind the pooling; else --dropout", ge=0, lt=1)

    dropout: float = option(0.2, "share of the values dropped around the layers", common=True, ge=0, lt=1)
    lr: float = option(2e-3, "learning rate", common=True, gt=0)
    schedule: Literal["constant", "cosine", "linear", "exponential", "step", "plateau"] = option(
        "cosine", "how the learning rate changes", common=True
    )

    @field_validator("text", "label", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        """A column's number may come as a number from Python or YAML."""
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("file_labels", "relabel", "class_weights", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        """One may be given alone in Python, and a mapping where `=` stands between."""
        if isinstance(value, Mapping):
            return tuple(f"{name}={given}" for name, given in value.items())
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        _renamed(self.relabel)
        _weights(self.class_weights)
        return self

    @property
    def new_labels(self) -> dict[str, str]:
        """Old label to new one; "" for those that are left out."""
        return _renamed(self.relabel)

    @property
    def given_weights(self) -> dict[str, float] | Literal["balanced", "none"]:
        """Class to weight, or how the weights follow from the data."""
        return _weights(self.class_weights)


def _renamed(pairs: Sequence[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for pair in pairs:
        old, equals, new = pair.rpartition("=")
        if not equals or not old.strip():
            raise OptionError(f"--relabel: expected OLD=NEW, found '{pair}'")
        names[old.strip()] = new.strip()
    return names


def _weights(given: Sequence[str]) -> dict[str, float] | Literal["balanced", "none"]:
    if not given or tuple(given) == ("none",):
        return "none"
    if tuple(given) == ("balanced",):
        return "balanced"
    weights: dict[str, float] = {}
    for pair in given:
        name, equals, value = pair.rpartition("=")
        try:
            weight = float(value)
        except ValueError:
            weight = math.nan
        if not equals or not name.strip() or not 0 <= weight < math.inf:
            raise OptionError(f"--class-weights: expected balanced, none, or NAME=WEIGHT, found '{pair}'")
        weights[name.strip()] = weight
    return weights


class PredictOptions(Options):
    """The options of `steploom predict` for a classifier."""

    input: str | None = option(None, "a text to classify; without it and DATA, lines of standard input", common=True)
    nodes: bool = option(False, "trees: also write each tree with the label of every node")


class EvaluateOptions(Options):
    """The options of `steploom evaluate` for a classifier: none."""


class Classify(Task):
    """One label for a whole input."""

    name: ClassVar[str] = "classify"
    summary: ClassVar[str] = "one label for a text, an image, a sequence of vectors or a tree"
    metrics: ClassVar[Mapping[str, MetricLabel]] = {
        "accuracy": MetricLabel("accuracy", "%", "higher"),
        "f1": MetricLabel("F1 (macro)", "%", "higher"),
        "nll": MetricLabel("log loss", "nats", "lower"),
        "examples": MetricLabel("examples"),
    }
    TrainOptions: ClassVar[type[TrainOptions]] = ClassifyOptions
    PredictOptions: ClassVar[type[Options]] = PredictOptions
    EvaluateOptions: ClassVar[type[Options]] = EvaluateOptions

    options: ClassifyOptions

    def __init__(self, options: Any, artefacts: dict[str, Any]) -> None:
        """Artefacts: "labels", the classes and how often the training part has each, with "trained" where it
        trains on more than its examples; "inputs" with the kind of data; and those of that kind."""
        super().__init__(options, artefacts)
        self._kind: Kind | None = None

    def readers(self) -> dict[str, Callable[[Any], object]]:
        """The classes, and what the kind of data has."""
        return {"labels": _check_labels, "inputs": self._check_inputs} | self._readers_of_kind()

    @classmethod
    def prepare(
        cls, options: ClassifyOptions, train: Sequence[Path], valid: Sequence[Path] = (), test: Sequence[Path] = ()
    ) -> Prepared[Self]:
        """Reads and checks all files, sets parts aside, learns what there is to learn, makes the batches."""
        from steploom.tasks.classify_data import prepare_examples

        artefacts, parts = prepare_examples(options, train, valid, test)
        task = cls(options, artefacts)
        return Prepared(
            task,
            task.batches(parts.train, training=True),
            None if parts.valid is None else task.batches(parts.valid, training=False),
            parts.valid,
            parts.test,
        )

    def batches(self, examples: Examples, training: bool) -> Any:
        """Labelled examples as batches: shuffled for training, sorted by length for all else."""
        from steploom.data.labelled import LabelledBatches, class_numbers

        numbers = class_numbers(examples, self.classes)
        seed = self.options.seed if training else None
        return LabelledBatches(self.kind.encode(examples, training), numbers, self.options.batch_size, seed)

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, in the order of their numbers."""
        return tuple(self.artefacts["labels"]["classes"])

    @property
    def kind(self) -> Kind:
        """The kind of data."""
        from steploom.tasks.classify_kind import kind_class

        if self._kind is None:
            self._kind = kind_class(self.artefacts["inputs"]["kind"])(self.options, self.artefacts)
        return self._kind

    def read(self, files: Sequence[Path], labelled: bool) -> Examples:
        """The examples of some files, read as those of the training were; labels are renamed as they were."""
        from steploom.tasks.classify_data import check_labels_kept

        found = self.kind.read(self.options, files, self.artefacts["inputs"], labelled)
        renamed = found.relabelled(self.options.new_labels) if labelled else found
        check_labels_kept(renamed, files)
        return renamed

    def build(self) -> Classifier:
        """The network, with fresh weights from torch's global generator."""
        from steploom.tasks.classify_data import class_weights

        return self.kind.build(len(self.classes), class_weights(self.options, self.artefacts["labels"]))

    def describe(self, loss: float) -> dict[str, float]:
        """The mean probability that the right class gets (the geometric mean)."""
        return {"probability": math.exp(-loss)}

    def finish(self, network: Classifier, prepared: Prepared[Any]) -> None:
        """Keeps the confusion matrix of the validation part, to be drawn without its data."""
        from steploom.data.labelled import Examples
        from steploom.tasks.classify_scores import confusion, probabilities_of

        if isinstance(prepared.valid_source, Examples) and len(self.classes) <= MOST_DRAWN:
            found = probabilities_of(self, network, prepared.valid_source)
            self.artefacts["labels"]["confusion"] = confusion(self, prepared.valid_source, found).tolist()

    def evaluate(self, network: Classifier, data: object, options: Any) -> Evaluation:
        """Accuracy, macro F1 and log loss, beside always naming the most frequent class. `data`: files or examples."""
        from steploom.tasks.classify_scores import score

        return score(self, network, self.read(data, True) if isinstance(data, Files) else data)

    def predict(self, network: Classifier, data: Path | None, options: Any) -> Prediction:
        """The label of each example and the probability of each class, in the order of the file."""
        from steploom.tasks.classify_prediction import predict_labels

        return predict_labels(self, network, data, options)

    def plot(self, network: Classifier, data: Path | None, path: Path) -> None:
        """The confusion matrix, of a file or of the validation part; with attention pooling also its weights."""
        from steploom.tasks.classify_plot import plot_confusion

        plot_confusion(self, network, data, path)

    def facts(self) -> dict[str, Any]:
        """The classes and what the kind of data has to say."""
        labels = self.artefacts["labels"]
        shown = ", ".join(
            f"{name} ({count:,})" for name, count in zip(labels["classes"], labels["counts"], strict=True)
        )
        return {"classes": shown, **self.kind.facts(), "validation": labels["validation"]}

    def _check_inputs(self, inputs: Any) -> None:
        from steploom.tasks.classify_kind import kind_class

        kind_class(inputs["kind"])

    def _readers_of_kind(self) -> dict[str, Callable[[Any], object]]:
        try:
            return self.kind.readers()
        except (LookupError, TypeError, ValueError):
            # What is wrong with "inputs" is found by its own reader.
            return {}


def _check_labels(labels: Any) -> None:
    """Raises an error where `labels` is not what `prepare` and `finish` wrote."""
    from steploom.data.json_values import read_text, read_texts

    classes = read_texts(labels["classes"], "classes")
    if len(set(classes)) != len(classes) or len(classes) < 2:
        raise ValueError("'classes' should be two different labels or more")
    counts, matrix = labels["counts"], labels.get("confusion", [])
    for name, found in (("counts", counts), ("trained", labels.get("trained", counts))):
        if len(found) != len(classes) or not all(isinstance(count, int) and count >= 0 for count in found):
            raise ValueError(f"'{name}' should be a whole number for each class")
    if matrix and (len(matrix) != len(classes) or any(len(row) != len(classes) for row in matrix)):
        raise ValueError("'confusion' should be a row and a column for each class")
    if not all(isinstance(count, int) and count >= 0 for row in matrix for count in row):
        raise TypeError("'confusion' should hold whole numbers")
    read_text(labels["validation"], "validation")
