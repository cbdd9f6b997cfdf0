"""How well a classifier names the classes, and what was said of each example."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from steploom.data.batches import in_order
from steploom.data.labelled.examples import Examples, LabelledBatches, class_numbers
from steploom.errors import DataError
from steploom.models.classifier import Classifier
from steploom.tasks.prediction_file import write_lines
from steploom.tasks.task import Evaluation

if TYPE_CHECKING:
    from steploom.tasks.classify.task import Classify

__all__ = [
    "as_csv",
    "batches_for",
    "confusion",
    "figures",
    "probabilities_of",
    "score",
    "table_of",
    "write_table",
]

_BATCH = 256


@torch.no_grad()
def probabilities_of(task: Classify, network: Classifier, examples: Examples) -> Tensor:
    """The probability of each class, float32 (examples, classes), in the order of the examples."""
    found = torch.empty(len(examples), len(task.classes))
    for rows, batch in batches_for(task, network, examples, _BATCH):
        found[rows] = network.probabilities(batch).cpu()
    return found


def batches_for(
    task: Classify, network: Classifier, examples: Examples, batch_size: int
) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """The rows of each batch of examples, and the batch on the network's device, without labels."""
    batches = LabelledBatches(task.kind.encode(examples, training=False), None, batch_size)
    for index, batch in enumerate(in_order(batches, network.device)):
        yield batches.chosen(0, index), batch


def score(task: Classify, network: Classifier, examples: object) -> Evaluation:
    """Accuracy, macro F1 and log loss, and the same of always naming the training part's most frequent class.

    The baseline's log loss is that of the training part's shares of the classes.

    Raises:
        DataError: `examples` are none, or a label is unknown.
    """
    if not isinstance(examples, Examples):
        raise DataError(f"expected labelled examples, found {type(examples).__name__}")
    numbers = class_numbers(examples, task.classes)
    found = probabilities_of(task, network, examples)
    counts = torch.tensor(task.artefacts["labels"]["counts"], dtype=torch.float64)
    always = torch.full_like(numbers, int(counts.argmax()))
    shares = (counts.clamp(min=1e-9) / counts.sum()).expand(len(numbers), -1)
    metrics = _compared(numbers, found.argmax(1), len(counts)) | {"nll": _log_loss(found.double(), numbers)}
    metrics["examples"] = float(len(numbers))
    majority = _compared(numbers, always, len(counts)) | {"nll": _log_loss(shares, numbers)}

    def write(path: Path) -> None:
        write_table(path, table_of(task, examples, found))

    return Evaluation(metrics, {"majority": majority}, write)


def confusion(task: Classify, examples: Examples, probabilities: Tensor) -> Tensor:
    """How often each class (row) was given each label (column), int64 (classes, classes)."""
    numbers, classes = class_numbers(examples, task.classes), len(task.classes)
    return torch.bincount(numbers * classes + probabilities.argmax(1), minlength=classes**2).view(classes, classes)


def figures(right: Tensor, true: Tensor, named: Tensor) -> dict[str, float]:
    """Accuracy, and F1 as the mean over the classes that occur or were named.

    By hand: it is two sums, and a library for them would take longer to import.

    Args:
        right: how often each class was named rightly (classes,).
        true, named: how often each class occurs, and was named.
    """
    f1 = (2 * right.double() / (true + named))[true + named > 0]
    return {"accuracy": int(right.sum()) / int(true.sum()), "f1": float(f1.mean())}


def table_of(task: Classify, examples: Examples, probabilities: Tensor) -> Iterator[dict[str, Any]]:
    """For each example where it stands, its text, its true label where there is one, the label, the probabilities."""
    best = probabilities.argmax(1).tolist()
    several = len(set(examples.files)) > 1
    for row, (name, shares) in enumerate(zip(best, probabilities.tolist(), strict=True)):
        found: dict[str, Any] = {"file": str(examples.file(row))} if several else {}
        found["row"] = examples.places[row][1]
        text = task.kind.text(examples, row)
        found |= {} if text is None else {"text": text}
        found |= {} if examples.labels is None else {"true": examples.labels[row]}
        found["label"] = task.classes[name]
        found["probabilities"] = dict(zip(task.classes, shares, strict=True))
        yield found


def write_table(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Writes what `table_of` gives, as JSON lines to a .jsonl file and as CSV to any other."""
    write_lines(path, map(as_csv, [rows]), rows)


def as_csv(rows: Iterable[dict[str, Any]]) -> str:
    """A line an example, a column `p(CLASS)` a class in place of "probabilities"."""
    text = io.StringIO()
    writer: Any = None
    for row in rows:
        cells: dict[str, Any] = {}
        for name, value in row.items():
            cells |= _shares(value) if name == "probabilities" else {name: value}
        if writer is None:
            writer = csv.DictWriter(text, list(cells), lineterminator="\n")
            writer.writeheader()
        writer.writerow(cells)
    return text.getvalue()


def _shares(probabilities: dict[str, float]) -> dict[str, str]:
    return {f"p({name})": f"{share:.6f}" for name, share in probabilities.items()}


def _compared(true: Tensor, named: Tensor, classes: int) -> dict[str, float]:
    return figures(*(torch.bincount(part, minlength=classes) for part in (true[true == named], true, named)))


def _log_loss(probabilities: Tensor, numbers: Tensor) -> float:
    right = probabilities.gather(1, numbers[:, None]).clamp(min=1e-12)
    return float(-right.log().mean())
