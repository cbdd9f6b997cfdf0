"""Options: one typed definition for the command line, config.yaml, model.json and Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from steploom.errors import OptionError, nearest
from steploom.training.option_errors import flag, option_error

__all__ = ["Options", "TrainOptions", "columns", "option"]


def option(default: Any, help: str, common: bool = False, **constraints: Any) -> Any:
    """A field of `Options`.

    Args:
        default: the default; `...` makes the option obligatory.
        help: one line for `--help`, without the default.
        common: whether the short help shows it.
        constraints: what pydantic's Field takes: ge, gt, le, lt, min_length, pattern.
    """
    return Field(default, description=help, json_schema_extra={"common": common}, **constraints)


def columns(*names: str) -> Any:
    """Lets options that name columns of a table, strings, take a column's number as a number too, as Python and YAML
    may give it. It stands in the class of the options, under any name."""
    return field_validator(*names, mode="before", check_fields=False)(_text_of_number)


def _text_of_number(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Options(BaseModel):
    """The base of all option sets.

    Unknown names are refused, values are checked when it is made, and nothing changes afterwards.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), validate_default=True, allow_inf_nan=False
    )

    @classmethod
    def checked(cls, values: Mapping[str, Any], where: str | None = None) -> Self:
        """Options from `values`.

        Args:
            values: name (with underscores) to value; strings are read as the option's type.
            where: the file the values come from, for the message.

        Raises:
            OptionError: one line that names the first wrong option, what was expected and what was found.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise option_error(error, cls, where) from None

    @classmethod
    def unless_default(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values that are not the defaults anyway: of a file with every option, those that somebody may have typed.

        Args:
            values: name (with underscores) to value, lists in place of tuples.
        """
        fields = cls.model_fields
        defaults = {name: [*d] if isinstance(d := field.default, tuple) else d for name, field in fields.items()}
        return {
            name: value
            for name, value in values.items()
            if name not in fields or fields[name].is_required() or value != defaults[name]
        }

    def given(self, name: str) -> bool:
        """Whether somebody gave the option `name`, be it at its default: what has no effect can then be refused.

        Where the default is no, 0, or nothing, giving it asks for nothing, and does not count.
        """
        default = type(self).model_fields[name].default
        return bool(getattr(self, name) != default or (name in self.model_fields_set and default))


class TrainOptions(Options):
    """The options that training takes in every task. A task derives its own from these, and may change the defaults."""

    cell: str = option("lstm", "cell: a name from `steploom cells`, or package.module:Class", common=True)
    hidden_size: int = option(128, "units of the cell (lstm-projected: of its memory)", common=True, ge=1)
    num_layers: int = option(1, "layers on top of each other", common=True, ge=1)
    dropout: float = option(0.0, "share of the values dropped between layers", common=True, ge=0, lt=1)
    bidirectional: bool = option(False, "run the layers backwards in time too, where the task sees the whole input")
    residual: bool = option(False, "add to a layer's output its input, where they have one size")
    variational: bool = option(False, "hold each dropout mask between layers for a whole sequence")
    recurrent_dropout: float = option(0.0, "variational dropout in the recurrent product", ge=0, lt=1)
    zoneout: float = option(0.0, "share of each state's units that keep their value at a step", ge=0, lt=1)
    engine: Literal["auto", "native", "aten", "reference"] = option("auto", "what runs the cell over time")

    epochs: int = option(20, "passes over the training data", common=True, ge=1)
    max_minutes: float | None = option(None, "stop training after this time, then evaluate", common=True, gt=0)
    batch_size: int = option(64, "examples (or parallel streams) a step", common=True, ge=1)
    lr: float = option(1e-3, "learning rate", common=True, gt=0)
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"] = option("adam", "optimiser", common=True)
    weight_decay: float = option(0.0, "L2 penalty (adamw: decoupled decay)", ge=0)
    momentum: float = option(0.0, "momentum of sgd and rmsprop", ge=0, lt=1)
    nesterov: bool = option(False, "Nesterov's form of the momentum (sgd)")
    schedule: Literal["constant", "cosine", "linear", "exponential", "step", "plateau"] = option(
        "constant", "how the learning rate changes", common=True
    )
    warmup: int = option(0, "steps in which the learning rate rises from 0", ge=0)
    decay: float = option(0.5, "factor of the schedules exponential, step and plateau", gt=0, le=1)
    decay_every: int = option(1, "epochs between two factors (plateau: epochs without a gain)", ge=1)
    decay_after: int = option(0, "epochs before the rate begins to fall (exponential, step)", ge=0)
    clip_norm: float = option(1.0, "largest norm of the gradient; 0: no limit", common=True, ge=0)
    clip_value: float = option(0.0, "largest value in the gradient; 0: no limit", ge=0)
    average: float = option(0.0, "decay of a running mean of the weights, for example 0.999; 0: none", ge=0, lt=1)
    patience: int = option(0, "stop after so many epochs without a better validation loss; 0: never", common=True, ge=0)
    seed: int = option(0, "seed of the weights, the batches and the dropout", common=True, ge=0, lt=2**31)

    accelerator: Literal["auto", "cpu", "gpu"] = option("auto", "where training runs")
    devices: int = option(1, "devices (processes) a node", ge=1)
    num_nodes: int = option(1, "nodes", ge=1)
    precision: Literal["float32", "bfloat16", "float16"] = option("float32", "float32, or mixed precision")
    checkpoint_minutes: float = option(0.5, "time between two states written for `resume`", gt=0)
    checkpoint_steps: int = option(0, "steps between two states, instead of a time; 0: by time", ge=0)

    def further_files(self) -> dict[str, Path]:
        """The options that name files which the training reads besides its data, and those files."""
        return {}

    @field_validator("cell")
    @classmethod
    def _known_cell(cls, cell: str) -> str:
        from steploom.cells.registry import cell_names

        names = list(cell_names())
        if ":" not in cell and cell not in names:
            raise OptionError(
                f"--cell: there is no cell '{cell}'.{nearest(cell, names)} `steploom cells` lists them; "
                "a cell of your own is given as package.module:Class"
            )
        return cell

    @model_validator(mode="after")
    def _something_to_train_on(self) -> Self:
        if getattr(self, "valid_every", 0) == 1:
            raise OptionError("--valid-every: expected 2 or more, or 0 for none, found 1: all would be for validation")
        return self

    @model_validator(mode="after")
    def _within_reach(self) -> Self:
        for name, most in _MOST.items():
            value = getattr(self, name, None)
            if value is not None and value > most:
                raise OptionError(f"{flag(name)}: expected at most {most:,}, found {value}")
        return self

    @model_validator(mode="after")
    def _momentum(self) -> Self:
        if self.momentum and self.optimizer not in ("sgd", "rmsprop"):
            raise OptionError(f"--momentum is for --optimizer sgd or rmsprop; {self.optimizer} has its own")
        if self.nesterov and not (self.optimizer == "sgd" and self.momentum):
            raise OptionError("--nesterov is a form of --momentum: give --optimizer sgd and a momentum such as 0.9")
        return self

    @model_validator(mode="after")
    def _decay(self) -> Self:
        falling = ("exponential", "step")
        for name, known in (
            ("decay", (*falling, "plateau")),
            ("decay_every", (*falling, "plateau")),
            ("decay_after", falling),
        ):
            if self.schedule not in known and self.given(name):
                raise OptionError(
                    f"{flag(name)}: --schedule {self.schedule} has none. Leave it out, or take --schedule {known[-1]}"
                )
        return self


# Beyond these, no machine has the memory, and numbers no longer fit where libraries keep them.
_MOST = {
    "hidden_size": 1_000_000,
    "embedding_size": 1_000_000,
    "encoder_size": 1_000_000,
    "decoder_size": 1_000_000,
    "character_embedding_size": 1_000_000,
    "character_hidden_size": 1_000_000,
    "num_layers": 1_000,
    "encoder_layers": 1_000,
    "batch_size": 1_000_000_000,
    "bptt": 1_000_000_000,
}
