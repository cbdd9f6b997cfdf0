"""From a task's typed options to the options of a command, and back."""

from __future__ import annotations

import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from steploom.data.name_list import split_names
from steploom.errors import OptionError, nearest
from steploom.training.option_errors import flag
from steploom.training.options import Options, TrainOptions

__all__ = ["click_options", "read_config", "resolve"]

T = TypeVar("T", bound=Options)


def click_options(model: type[Options]) -> list[click.Parameter]:
    """The options of `model` for a command: the common ones first, and of those the task's own.

    Values stay text here. pydantic reads them, so that a wrong one gets the same message from every door.
    """
    own = [name for name in model.model_fields if name not in TrainOptions.model_fields]
    names = [*own, *(name for name in model.model_fields if name not in own)]
    return [
        *sorted((_click_option(name, model.model_fields[name]) for name in names), key=lambda option: option.hidden)
    ]


def resolve(model: type[T], given: Mapping[str, Any], config: Mapping[str, Any], config_file: Path | None) -> T:
    """The options of `model`: those given on the command line, before those of the file, before the defaults.

    Defaults in the file count as not given, since a model's config.yaml has them all.

    Raises:
        OptionError: a value is wrong or a name unknown; the message says where it stands.
    """
    typed = {name: value for name, value in given.items() if value is not None and value != ()}
    unknown = [name for name in config if name not in model.model_fields]
    if unknown:
        hint = nearest(unknown[0], model.model_fields)
        raise OptionError(f"{config_file}: there is no option {unknown[0]}.{hint}")
    for name, value in config.items():
        if name not in typed:
            _check_alone(model, name, value, config_file)
    return model.checked({**model.unless_default(config), **typed})


def read_config(path: Path) -> dict[str, Any]:
    """The options in a YAML file: a mapping of names, with hyphens or underscores, to values.

    Raises:
        OptionError: the file cannot be read, is no YAML, or holds something else than a mapping.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise OptionError(f"--config {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise OptionError(f"--config {path}: this is no text in UTF-8") from None
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise OptionError(f"--config {path}: this is no YAML: {problem}") from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise OptionError(f"--config {path}: expected lines of the form `hidden_size: 128`")
    return {name.replace("-", "_"): value for name, value in values.items()}


def _check_alone(model: type[Options], name: str, value: Any, file: Path | None) -> None:
    """Refuses a value of the file in the file's name; obligatory options may still come from the command line."""
    try:
        model.checked({name: value}, where=str(file))
    except OptionError as error:
        if f"{file}: {name}" in str(error) and "is required" not in str(error):
            raise


def _click_option(name: str, field: FieldInfo) -> click.Option:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    kind, text = _kind(field.annotation), field.description or ""
    shared: dict[str, Any] = {"default": None, "hidden": not extra.get("common", False)}
    if kind is bool:
        # Both forms, so that what a file of options says can be taken back here.
        both = f"{flag(name)}/--no-{name.replace('_', '-')}"
        return click.Option([both, name], help=text + _default_text(field), **shared)
    choices = [str(choice) for choice in get_args(kind)] if get_origin(kind) is Literal else []
    several = get_origin(kind) in (list, tuple) or kind in (list, tuple)
    if choices:
        text += ": " + ", ".join(choices)
    text += _default_text(field)
    metavar = "NAME" if choices else {int: "N", float: "X", Path: "FILE"}.get(kind, "TEXT")
    if several:
        return click.Option([flag(name), name], multiple=True, metavar=metavar, callback=_split, help=text, **shared)
    return click.Option([flag(name), name], metavar=metavar, help=text, **shared)


def _default_text(field: FieldInfo) -> str:
    if field.is_required():
        return " (required)"
    if field.default is None or field.default in ("", (), []):
        return ""
    if isinstance(field.default, bool):
        return " [yes]" if field.default else " [no]"
    value = ",".join(map(str, field.default)) if isinstance(field.default, (list, tuple)) else field.default
    return f" [{value:g}]" if isinstance(value, float) else f" [{value}]"


def _kind(annotation: Any) -> Any:
    """The type behind `X | None` and `Annotated`."""
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [part for part in get_args(annotation) if part is not type(None)]
        return _kind(inner[0])
    return annotation


def _split(_: click.Context, option: click.Parameter, values: tuple[str, ...] | None) -> tuple[str, ...]:
    """`--past TEMP,PRES` is `--past TEMP --past PRES`."""
    return tuple(name for value in values or () for name in split_names(value, option.opts[0]))
