"""Labels for new examples: of a file, of one text, or of lines of standard input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from steploom.data.labelled.examples import Examples
from steploom.data.text.standard_input import STANDARD_INPUT, read_standard_input
from steploom.errors import DataError, OptionError
from steploom.models.classifier import Classifier
from steploom.tasks.classify.scores import as_csv, probabilities_of, table_of, write_table
from steploom.tasks.task import Prediction

if TYPE_CHECKING:
    from steploom.tasks.classify.task import Classify, PredictOptions

__all__ = ["predict_labels"]


def predict_labels(task: Classify, network: Classifier, data: Path | None, options: PredictOptions) -> Prediction:
    """The label and the probabilities of each example, in the order of the input.

    The value is a list with a dict an example: "row", "text" of texts, "label", and "probabilities", label to number.

    Raises:
        DataError: the file cannot be used, or there is no text.
        OptionError: there is nothing to classify, or it is given twice.
    """
    task.kind.check_predicting(options)
    examples = _examples(task, data, options)
    rows = list(table_of(task, examples, probabilities_of(task, network, examples)))
    for name, texts in task.kind.columns(network, examples, options).items():
        rows = [row | {name: text} for row, text in zip(rows, texts, strict=True)]

    def write(path: Path) -> None:
        write_table(path, rows)

    return Prediction(as_csv(rows), write, rows)


def _examples(task: Classify, data: Path | None, options: PredictOptions) -> Examples:
    if data is not None:
        if options.input is not None:
            raise OptionError(f"--input: the examples come from {data} already. Give one or the other")
        return task.read([data], labelled=False)
    if options.input is not None:
        lines, where = [options.input.replace("\n", " ")], "--input"
    else:
        # A kind that reads no lines says so before anyone is asked for them.
        task.kind.from_lines([])
        text = read_standard_input("name a file, or give a text with --input")
        lines, where = text.split("\n"), str(STANDARD_INPUT)
    examples = task.kind.from_lines(lines)
    if not len(examples):
        raise DataError(f"{where}: the text is empty")
    return examples
