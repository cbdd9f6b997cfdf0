"""The options of the task `classify`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import field_validator, model_validator

from steploom.errors import OptionError
from steploom.training.options import Options, TrainOptions, columns, option

__all__ = ["ClassifyOptions", "EvaluateOptions", "PredictOptions"]


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
    input_dropout: float | None = option(None, "dropout before the layers [--dropout; arrays: 0]", ge=0, lt=1)
    output_dropout: float | None = option(None, "dropout behind the pooling; else --dropout", ge=0, lt=1)

    dropout: float = option(0.2, "share of the values dropped around the layers", common=True, ge=0, lt=1)
    lr: float = option(2e-3, "learning rate", common=True, gt=0)
    schedule: Literal["constant", "cosine", "linear", "exponential", "step", "plateau"] = option(
        "cosine", "how the learning rate changes", common=True
    )

    _columns = columns("text", "label")

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
