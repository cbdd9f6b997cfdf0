"""Options: one typed definition for the command line, config.yaml, model.json and Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from steploom.errors import OptionError, nearest

__all__ = ["Options", "TrainOptions", "columns", "flag", "option"]


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


def flag(name: str) -> str:
    """The command-line form of an option's name: hidden_size becomes --hidden-size."""
    return "--" + name.replace("_", "-")


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
            raise _option_error(error, cls, where) from None

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
    def _no_astronomy(self) -> Self:
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

_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "a text",
    "list": "a list",
    "tuple": "a list",
    "path": "a path",
    "finite": "a finite number",
}
_BOUNDS = {"greater_than_equal": "ge", "greater_than": "gt", "less_than_equal": "le", "less_than": "lt"}
_WORDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def _option_error(error: ValidationError, model: type[BaseModel], where: str | None) -> OptionError:
    # A misspelt name often leaves the right one missing: the misspelling is the news.
    order = {"extra_forbidden": 0, "missing": 2}
    problem = min(error.errors(), key=lambda e: order.get(e["type"], 1))
    name = str(problem["loc"][0]) if problem["loc"] else ""
    kind, context, found = problem["type"], problem.get("ctx", {}), problem["input"]
    prefix = f"{where}: {name}" if where else flag(name) if name else "options"
    if kind == "extra_forbidden":
        shown = name if where else flag(name)
        return OptionError(
            f"{where + ': ' if where else ''}there is no option {shown}.{_nearest_option(name, model, where)}"
        )
    if kind == "missing":
        return OptionError(f"{prefix} is required")
    if kind == "literal_error":
        choices = [str(c).strip("'") for c in _choices(model, name)] or [str(context.get("expected", ""))]
        return OptionError(
            f"{prefix}: expected one of {', '.join(choices)}, found '{found}'.{nearest(str(found), choices)}"
        )
    if kind == "value_error":
        return OptionError(
            f"{prefix}: {context.get('error', problem['msg'])}" if name else str(context.get("error", problem["msg"]))
        )
    return OptionError(f"{prefix}: expected {_expectation(model, name, kind, context)}, found {found!r}")


def _expectation(model: type[BaseModel], name: str, kind: str, context: Mapping[str, Any]) -> str:
    field = model.model_fields.get(name)
    noun = "a whole number" if field is not None and _holds(field.annotation, int) else "a number"
    bounds: dict[str, Any] = {}
    for part in field.metadata if field is not None else []:
        bounds |= {key: getattr(part, key) for key in _WORDS if getattr(part, key, None) is not None}
    if kind in _BOUNDS:
        bounds.setdefault(_BOUNDS[kind], context.get(_BOUNDS[kind]))
    elif kind.split("_")[0] not in ("int", "float", "finite"):
        return _EXPECTED.get(kind.split("_")[0], "another value")
    limits = " and ".join(
        f"{_WORDS[key]} {bounds[key]:g}" if abs(bounds[key]) < 1e6 else f"{_WORDS[key]} {bounds[key]}" for key in bounds
    )
    return f"{noun} of {limits}" if limits else noun


def _holds(annotation: Any, kind: type) -> bool:
    return annotation is kind or kind in getattr(annotation, "__args__", ())


def _choices(model: type[BaseModel], name: str) -> tuple[Any, ...]:
    annotation = model.model_fields[name].annotation if name in model.model_fields else None
    return tuple(c for c in getattr(annotation, "__args__", ()) if isinstance(c, str))


def _nearest_option(name: str, model: type[BaseModel], where: str | None) -> str:
    names = model.model_fields if where else [flag(n) for n in model.model_fields]
    return nearest(name if where else flag(name), names)
