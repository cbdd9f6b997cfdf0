"""The task `classify`: from a text, an image, a sequence of vectors or a tree to one of several labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from steploom.tasks.classify.options import ClassifyOptions, EvaluateOptions, PredictOptions
from steploom.tasks.task import Evaluation, Files, MetricLabel, Prediction, Prepared, Task
from steploom.training.options import Options, TrainOptions

if TYPE_CHECKING:
    from steploom.data.labelled.examples import Examples
    from steploom.models.classifier import Classifier
    from steploom.tasks.classify.kind import Kind

__all__ = ["MOST_DRAWN", "Classify", "ClassifyOptions", "EvaluateOptions", "PredictOptions"]


MOST_DRAWN = 200
"""Classes whose confusion matrix is kept and drawn: of more, nothing could be seen."""


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
        """Artefacts: "labels", the classes and how often the training part has each, with "trained" where its loss
        sees them in another number; "inputs" with the kind of data; and those of that kind."""
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
        from steploom.tasks.classify.data import prepare_examples

        artefacts, parts = prepare_examples(options, train, valid, test)
        task = cls(options, artefacts)
        return Prepared(
            task,
            task.batches(parts.train, training=True),
            None if parts.valid is None else task.batches(parts.valid, training=False),
            parts.valid,
            parts.test,
            parts.overlap,
        )

    def batches(self, examples: Examples, training: bool) -> Any:
        """Labelled examples as batches: shuffled for training, sorted by length for all else."""
        from steploom.data.labelled.examples import LabelledBatches, class_numbers

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
        from steploom.tasks.classify.kind import kind_class

        if self._kind is None:
            self._kind = kind_class(self.artefacts["inputs"]["kind"])(self.options, self.artefacts)
        return self._kind

    def read(self, files: Sequence[Path], labelled: bool) -> Examples:
        """The examples of some files, read as those of the training were; labels are renamed as they were."""
        from steploom.data.file_bytes import check_rereadable
        from steploom.tasks.classify.data import check_labels_kept

        for file in files:
            check_rereadable(file)
        found = self.kind.read(self.options, files, self.artefacts["inputs"], labelled)
        renamed = found.relabelled(self.options.new_labels) if labelled else found
        check_labels_kept(renamed, files)
        return renamed

    def build(self) -> Classifier:
        """The network, with fresh weights from torch's global generator."""
        from steploom.tasks.classify.data import class_weights

        return self.kind.build(len(self.classes), class_weights(self.options, self.artefacts["labels"]))

    def describe(self, loss: float) -> dict[str, float]:
        """The mean probability that the right class gets (the geometric mean)."""
        return {"probability": math.exp(-loss)}

    def finish(self, network: Classifier, prepared: Prepared[Any]) -> None:
        """Keeps the confusion matrix of the validation part, to be drawn without its data."""
        from steploom.data.labelled.examples import Examples
        from steploom.tasks.classify.scores import confusion, probabilities_of

        if isinstance(prepared.valid_source, Examples) and len(self.classes) <= MOST_DRAWN:
            found = probabilities_of(self, network, prepared.valid_source)
            self.artefacts["labels"]["confusion"] = confusion(self, prepared.valid_source, found).tolist()

    def evaluate(self, network: Classifier, data: object, options: Any) -> Evaluation:
        """Accuracy, macro F1 and log loss, beside always naming the most frequent class. `data`: files or examples."""
        from steploom.tasks.classify.scores import score

        return score(self, network, self.read(data, True) if isinstance(data, Files) else data)

    def predict(self, network: Classifier, data: Path | None, options: Any) -> Prediction:
        """The label of each example and the probability of each class, in the order of the file."""
        from steploom.tasks.classify.prediction import predict_labels

        return predict_labels(self, network, data, options)

    def plot(self, network: Classifier, data: Sequence[Path], path: Path) -> None:
        """The confusion matrix, of a file or of the validation part; with attention pooling also its weights."""
        from steploom.tasks.classify.plot import plot_confusion

        plot_confusion(self, network, data, path)

    def architecture(self) -> dict[str, Any]:
        """As every task, or that of a tree network."""
        return self.kind.architecture() or super().architecture()

    def facts(self) -> dict[str, Any]:
        """The classes and what the kind of data has to say."""
        labels = self.artefacts["labels"]
        shown = ", ".join(
            f"{name} ({count:,})" for name, count in zip(labels["classes"], labels["counts"], strict=True)
        )
        return {"classes": shown, **self.kind.facts(), "validation": labels["validation"]}

    def _check_inputs(self, inputs: Any) -> None:
        from steploom.tasks.classify.kind import kind_class

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
    if not isinstance(matrix, list) or not all(isinstance(row, list) for row in matrix):
        raise TypeError("'confusion' should be a list of rows")
    if matrix and (len(matrix) != len(classes) or any(len(row) != len(classes) for row in matrix)):
        raise ValueError("'confusion' should be a row and a column for each class")
    if not all(isinstance(count, int) and 0 <= count < 2**53 for row in matrix for count in row):
        raise TypeError("'confusion' should hold whole numbers that examples can be counted with")
    read_text(labels["validation"], "validation")
